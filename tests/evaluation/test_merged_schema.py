"""Everything that a place in a record may hold, over all options of a union."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from extractft.errors import SchemaError
from extractft.evaluation import evaluate_records
from extractft.evaluation.merged_schema import MergedField, MergedSchema, merged_schema
from extractft.evaluation.value_pairing import align
from extractft.evaluation.value_trees import to_tree
from extractft.schema import Schema, accepts_null


class Leafy(BaseModel):
    label: str
    child: Leafy | None = None
    others: list[Leafy] = []


class Left(BaseModel):
    kind: Literal["left"]
    value: int


class Right(BaseModel):
    kind: Literal["right"]
    value: str
    extra: bool = False


def paths(type_: Any) -> list[str]:
    return [".".join(path) for path in merged_schema(Schema.of(type_)).paths()]


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (int, [""]),
        (list[int], ["*"]),
        (dict[str, list[Left]], ["*.*.kind", "*.*.value"]),
        (tuple[int, str], ["0", "1"]),
        (tuple[int, str] | tuple[int], ["0", "1"]),
        (tuple[int, str] | list[int], ["*"]),
        (Left | Right, ["kind", "value", "extra"]),
        (Left | dict[str, int], ["kind", "value", "*"]),
        (Left | str | None, ["", "kind", "value"]),
        (Leafy, ["label"]),
    ],
)
def test_paths(type_: Any, expected: list[str]) -> None:
    assert paths(type_) == expected


def test_a_recursive_schema_is_cyclic() -> None:
    merged = merged_schema(Schema.of(Leafy))
    child = merged.member("child").schema
    assert child.member("child").schema is child
    assert child.member("label") == MergedField("label", merged.member("label").schema)


def test_merged_options_keep_what_each_allows() -> None:
    value = merged_schema(Schema.of(Left | Right)).member("value").schema
    assert value.free_text
    kind = merged_schema(Schema.of(Left | Right)).member("kind").schema
    assert kind.scalar
    assert kind.strings
    assert not kind.free_text


def null_is_a_record(type_: Any) -> bool:
    schema = Schema.of(type_)
    return accepts_null(schema.tree, schema.definitions)


def test_null_alone_is_no_field() -> None:
    assert paths(None) == []
    assert null_is_a_record(Literal["a", None])
    assert null_is_a_record(int | None)
    assert not null_is_a_record(Leafy)


def test_an_unknown_key_is_refused_without_naming_it() -> None:
    with pytest.raises(SchemaError) as caught:
        merged_schema(Schema.of(Left)).member("secret")
    assert "secret" not in str(caught.value)


def test_what_follows_the_positions_of_a_tuple_is_a_list() -> None:
    text = MergedSchema(scalar=True, strings=True, free_text=True)
    merged = MergedSchema(positions=(MergedSchema(scalar=True),), items=text)
    pairs = list(align(to_tree([1, "a", "b"], merged), to_tree([1, "b", "c", "a"], merged)))
    found = [(pair.path.field, pair.path.path, pair.match.name) for pair in pairs]
    assert found == [
        (("0",), ("0",), "EXACT"),
        (("*",), ("1",), "EXACT"),
        (("*",), ("2",), "EXACT"),
        (("*",), ("2",), "DIFFERENT"),
    ]
    assert [".".join(path) for path in merged.paths()] == ["0", "*"]


Json = TypeAliasType("Json", "list[Json] | dict[str, Json] | str | int")


def test_free_form_values_go_as_deep_as_they_go() -> None:
    schema: Schema[Any] = Schema.of(Json)
    gold: Any = {"a": [1, {"b": "x"}], "c": "y"}
    prediction: Any = {"a": [{"b": "x"}, 2], "c": ["y"]}
    report = evaluate_records(schema, [gold], [prediction])
    found = {path: (s.tp, s.wrong, s.missed, s.invented) for path, s in report.fields.items() if s.support or s.fp}
    assert found == {"*": (0, 0, 1, 0), "*.*": (0, 1, 0, 1), "*.*.*": (1, 0, 0, 0)}
