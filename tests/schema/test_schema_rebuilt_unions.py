# ruff: noqa: UP007, UP045  (these types are put together at run time)
"""Rebuilt classes read unions of numbers, booleans and enumerations as the original does, types and all."""

import enum
import json
from typing import Any, Literal, Optional, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from schema_machine import Rank

from extractft.errors import SchemaError
from extractft.schema import Schema


class Whole(enum.Enum):
    """Numbers without a base class."""

    ONE = 1
    TWO = 2


class Half(float, enum.Enum):
    """Numbers of which one is whole."""

    ONE = 1.0
    TWO_AND_A_HALF = 2.5


class Mixed(enum.Enum):
    """A number and a word."""

    ONE = 1
    X = "x"


LEAVES: list[Any] = [
    Rank,
    Whole,
    Half,
    Mixed,
    bool,
    int,
    float,
    str,
    Literal["a"],
    Literal[1, 2],
    Literal[0, 1],
    Literal[True],
    Literal[1, True],
]
UNIONS = [
    *(Union[one, other] for one in LEAVES for other in LEAVES if one is not other),
    Union[Rank, int, bool],
    Union[Literal["a"], Rank, bool],
    Union[Rank, bool, float],
]
VALUES: list[Any] = [True, False, 0, 1, 2, 0.0, 1.0, 2.0, 2.5, "a", "x", *Rank, *Whole, *Half, *Mixed]


def loaded(schema: Schema[Any]) -> Schema[Any]:
    schema.require_loadable()
    return Schema.from_dict(json.loads(json.dumps(schema.to_dict())))


def plain(value: Any) -> Any:
    """The value with the members of enumerations as what stands for them in JSON, and with the types of all."""
    if isinstance(value, enum.Enum):
        member = value.value
        value = int(member) if isinstance(member, float) and member.is_integer() else member
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return type(value), value


def containers(union: Any) -> list[tuple[Any, Any]]:
    """Types that hold the union, each with what puts a value of the union into it."""
    found: list[tuple[Any, Any]] = [
        (union, lambda value: value),
        (Optional[union], lambda value: value),
        (list[union], lambda value: [value]),
        (tuple[union, ...], lambda value: (value,)),
        (dict[str, union], lambda value: {"k": value}),
    ]
    options = getattr(union, "__args__", ())
    for wrap, put in ((lambda t: list[t], lambda v: [v]), (lambda t: dict[str, t], lambda v: {"k": v})):
        found.append((Union[tuple(map(wrap, options))], put))
    return found


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(UNIONS), st.integers(0, 6))
def test_original_and_rebuilt_parse_the_same_canonical_json_to_equal_values_and_types(union: Any, place: int) -> None:
    type_, put = containers(union)[place]
    schema: Schema[Any] = Schema.of(type_)
    rebuilt = loaded(schema)
    for value in VALUES:
        try:
            text = schema.canonical_json(put(value))
        except SchemaError:
            continue
        assert plain(rebuilt.parse(text)) == plain(schema.parse(text)), text
        assert rebuilt.canonical_json(rebuilt.parse(text)) == text


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Union[Rank, bool], "true", True),
        (Union[Rank, bool], "1", 1),
        (list[Union[Rank, bool]], "[true,1]", [True, 1]),
        (Union[Rank, bool, None], "true", True),
        (Union[Rank, int, bool], "true", True),
        (Union[Literal["a"], Rank, bool], "true", True),
        (Union[list[Rank], list[bool]], "[true]", [True]),
        (Union[dict[str, Rank], dict[str, bool]], '{"k":true}', {"k": True}),
        (tuple[Union[Rank, bool], ...], "[true]", [True]),
        (Union[Half, bool], "true", True),
        (Union[Half, bool], "1", 1),
        (Union[Rank, float], "1.0", 1.0),
        (Union[Literal[0, 1], float], "1", 1),
        (Rank, "1", 1),
        (Rank, "1.0", 1),
        (Half, "1.0", 1),
    ],
    ids=repr,
)
def test_true_is_no_number(type_: Any, text: str, value: Any) -> None:
    assert plain(loaded(Schema.of(type_)).parse(text)) == plain(value)


@pytest.mark.parametrize("union", UNIONS, ids=repr)
def test_what_the_class_reads_as_another_type_is_noted(union: Any) -> None:
    """The class reads `true` as 1 where the rebuilt one reads it as True: a model may write what no row holds."""
    schema: Schema[Any] = Schema.of(union)
    rebuilt, noted = loaded(schema), {note.partition(" is always read")[0] for note in schema.notes}
    for text in ("true", "false", "0", "1", "2"):
        try:
            original, again = plain(schema.parse(text)), plain(rebuilt.parse(text))
        except ValidationError:
            continue
        differs = issubclass(original[0], bool) != issubclass(again[0], bool)
        assert differs == (text in noted), (text, original, again, schema.notes)


@pytest.mark.parametrize("text", ["true", "3", "1.5", '"1"', "null"])
def test_what_is_none_of_the_values_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        loaded(Schema.of(Rank)).parse(text)


def test_a_default_of_true_beside_a_literal_of_the_same_numbers() -> None:
    class Record(BaseModel):
        x: Rank | bool = True
        y: Literal[1, 2] | bool | None = None

    schema = Schema.of(Record)
    rebuilt = loaded(schema)
    assert rebuilt.fingerprint == schema.fingerprint
    assert rebuilt.parse("{}").x is True
    assert plain(rebuilt.parse('{"x":1,"y":2}').x) == (int, 1)
    assert TypeAdapter(schema.type).validate_json("{}").x is True
