"""What a place in a record may hold, over all options of a union."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from extractft.errors import SchemaError
from extractft.evaluation import evaluate_records
from extractft.evaluation.alignment import align
from extractft.evaluation.shape import Shape, shape_of, takes_null
from extractft.evaluation.tree import grow
from extractft.schema import Schema


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
    return [".".join(path) for path in shape_of(Schema.of(type_)).paths()]


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


def test_recursive_shapes_are_cyclic() -> None:
    shape = shape_of(Schema.of(Leafy))
    _, child = shape.member("child")
    assert child.member("child")[1] is child
    assert child.member("label") == ("label", shape.member("label")[1])


def test_merged_options_keep_what_each_allows() -> None:
    _, value = shape_of(Schema.of(Left | Right)).member("value")
    assert value.free_text
    _, kind = shape_of(Schema.of(Left | Right)).member("kind")
    assert kind.scalar
    assert kind.strings
    assert not kind.free_text


def test_null_alone_is_no_field() -> None:
    assert paths(None) == []
    assert takes_null(Schema.of(Literal["a", None]))
    assert takes_null(Schema.of(int | None))
    assert not takes_null(Schema.of(Leafy))


def test_an_unknown_key_is_refused_without_naming_it() -> None:
    with pytest.raises(SchemaError) as caught:
        shape_of(Schema.of(Left)).member("secret")
    assert "secret" not in str(caught.value)


def test_what_follows_the_positions_of_a_tuple_is_a_list() -> None:
    text = Shape(scalar=True, strings=True, free_text=True)
    shape = Shape(positions=(Shape(scalar=True),), items=text)
    pairs = list(align(grow([1, "a", "b"], shape), grow([1, "b", "c", "a"], shape)))
    found = [(pair.place.field, pair.place.path, pair.match.name) for pair in pairs]
    assert found == [
        (("0",), ("0",), "EXACT"),
        (("*",), ("1",), "EXACT"),
        (("*",), ("2",), "EXACT"),
        (("*",), ("2",), "DIFFERENT"),
    ]
    assert [".".join(path) for path in shape.paths()] == ["0", "*"]


Json = TypeAliasType("Json", "list[Json] | dict[str, Json] | str | int")


def test_free_form_values_go_as_deep_as_they_go() -> None:
    schema: Schema[Any] = Schema.of(Json)
    gold: Any = {"a": [1, {"b": "x"}], "c": "y"}
    prediction: Any = {"a": [{"b": "x"}, 2], "c": ["y"]}
    report = evaluate_records(schema, [gold], [prediction])
    found = {path: (s.tp, s.wrong, s.missed, s.invented) for path, s in report.fields.items() if s.support or s.fp}
    assert found == {"*": (0, 0, 1, 0), "*.*": (0, 1, 0, 1), "*.*.*": (1, 0, 0, 0)}
