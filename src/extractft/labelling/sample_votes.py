"""Several records of one text put together by vote, and how far they agree. Knows records and schemas, no server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from extractft.confidence import Confidence
from extractft.errors import SchemaError
from extractft.schema import Node, ObjectNode, Schema, StringNode, verbatim_sources
from extractft.schema.records import scalars, walk

__all__ = ["Vote", "not_verbatim", "vote"]

ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Vote:
    """The outcome of a vote.

    Attributes:
        output: The record.
        record: Its canonical form.
        confidence: For each value the share of all samples that have it; of the record, that of its least certain
            field.
    """

    output: Any
    record: Any
    confidence: Confidence


def vote(records: Sequence[Any], asked: int, schema: Schema[Any]) -> Vote:
    """Choose the value that most samples have, field by field.

    Args:
        records: Records in canonical form, the surest sample first: it decides where votes are equal.
        asked: Samples that were asked for; those that gave no record agree with nothing.
        schema: Their schema.
    """
    for record in (_by_fields(records, schema), *records):
        try:
            output = schema.parse_value(record)
            canonical = schema.canonical_value(output)
        except (ValidationError, SchemaError, ValueError):  # fields of several records that do not go together
            continue
        return Vote(output, canonical, _agreement(canonical, records, asked, schema))
    raise ValueError("expected at least one valid record")


def not_verbatim(record: Any, text: str, schema: Schema[Any]) -> list[str]:
    """The paths of verbatim fields whose values do not stand in the text."""
    return [visit.path for visit in scalars(record, schema) if not _stands(visit.value, visit.node, text)]


def _stands(value: Any, node: Node, text: str) -> bool:
    """False for the value of a verbatim field that is not in the text."""
    if not isinstance(node, StringNode) or not node.verbatim or not isinstance(value, str):
        return True
    return any(value in source for source in verbatim_sources(text, node.verbatim))


def _by_fields(records: Sequence[Any], schema: Schema[Any]) -> Any:
    """The record whose fields have the most votes; for what is no object, the record that has."""
    root = schema.resolve(schema.tree)
    if not isinstance(root, ObjectNode) or not all(isinstance(record, dict) for record in records):
        return _most_common(records)
    made = {}
    for field in root.fields:
        chosen = _most_common([record.get(field.key, ABSENT) for record in records])
        if chosen is not ABSENT:
            made[field.key] = chosen
    return made


def _most_common(values: Sequence[Any]) -> Any:
    """The value that stands most often, the first of several."""
    keys = [_key(value) for value in values]
    best, _ = Counter(keys).most_common(1)[0]  # counted in the order in which they come
    return values[keys.index(best)]


def _key(value: Any) -> Any:
    return ABSENT if value is ABSENT else (json.dumps(value, ensure_ascii=False, sort_keys=True),)


def _agreement(record: Any, records: Sequence[Any], asked: int, schema: Schema[Any]) -> Confidence:
    """The share of samples with the same value at each path, absent fields too."""
    samples = [_values(sample, schema) for sample in records]
    own = _values(record, schema)
    paths = {**own, **{path: ABSENT for sample in samples for path in sample if path not in own}}
    fields = {path: sum(s.get(path, ABSENT) == value for s in samples) / asked for path, value in paths.items()}
    whole = sum(sample == own for sample in samples) / asked
    least = min(fields.values(), default=whole)
    return Confidence(record=least if isinstance(record, dict) else min(whole, least), fields=fields)


def _values(record: Any, schema: Schema[Any]) -> dict[str, Any]:
    """The values of a record by path, and the lengths of its lists."""
    found: dict[str, Any] = {}
    for visit in walk(record, schema):
        if visit.is_leaf:
            found[visit.path] = _key(visit.value)
        elif isinstance(visit.value, list):
            found[visit.path] = len(visit.value)
    return found
