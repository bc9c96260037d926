"""Records of every kind of schema: the paths are those of the evaluation, and merging a record with itself is nothing."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extractft.evaluation.merged_schema import merged_schema
from extractft.evaluation.value_trees import ValuePath, iter_scalars, to_tree
from extractft.grounding import ground, merge
from extractft.schema import Schema

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "schema"))
zoo: Any = importlib.import_module("schema_zoo")
sys.path.pop(0)


@pytest.mark.parametrize("type_", zoo.ZOO, ids=zoo.zoo_id)
@settings(max_examples=8, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_every_record_has_places_and_merges_with_itself(type_: Any, data: st.DataObject) -> None:
    schema: Schema[Any] = Schema.of(type_)
    value = data.draw(zoo.values(schema, schema.tree))
    text = json.dumps(value, ensure_ascii=False)
    tree = to_tree(value, merged_schema(schema))
    expected = [] if tree is None else [".".join(place.path) for place, _ in iter_scalars(tree, ValuePath())]
    spans = ground(schema, value, text)
    assert sorted(spans) == sorted(set(expected))
    for found in spans.values():
        assert all(0 <= span.start < span.end <= len(text) for span in found)
    merged = merge(schema, [value, value], spans=[spans, spans])
    once = merge(schema, [value])
    assert merged.value == once.value
    assert set(merged.sources) <= set(spans)
