# ruff: noqa: UP007, UP045  (these types are put together at run time)
"""Every constraint is one that the grammar enforces, or one that has a note; and no note is false."""

import collections
import datetime as dt
import random
import re
import uuid
import zoneinfo
from collections.abc import Sequence
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Interface
from typing import Annotated, Any, Literal, Optional, Union

import annotated_types as at
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, Strict, StringConstraints, TypeAdapter, create_model
from schema_grammar import accepts_text, matcher
from schema_machine import LEAVES
from test_schema_roundtrip import scribble

from extractft.schema import Schema

REFUSALS = (pydantic.ValidationError, TypeError)
"""Pydantic raises TypeError for a bound that cannot be compared with the value."""


TAKEN_BEFORE = ("max_digits=70", "timedelta(days=1))]")


class Stripping(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    x: Annotated[str, Field(min_length=2)]


class JsonFormat:
    """A type of a library's that speaks of itself in JSON schema only."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return pydantic.AfterValidator(cls.checked).__get_pydantic_core_schema__(str, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> Any:
        return {"type": "string", "format": "phone"}

    @classmethod
    def checked(cls, value: str) -> str:
        if not value.startswith("+"):
            raise ValueError("no number")
        return value


BAD: list[tuple[Any, str]] = [
    (Annotated[bytes, Field(max_length=3)], '"龙龙"'),
    (Annotated[bytes, Field(min_length=3)], '"a"'),
    (IPvAnyAddress, '"hello"'),
    (IPv4Address, '"hello"'),
    (IPv6Address, '"hello"'),
    (IPv4Network, '"hello"'),
    (IPv6Interface, '"hello"'),
    (pydantic.IPvAnyNetwork, '"hello"'),
    (pydantic.Base64Str, '"a"'),
    (pydantic.Base64UrlBytes, '"a"'),
    (pydantic.ByteSize, '"1w"'),
    (re.Pattern, '"("'),
    (zoneinfo.ZoneInfo, '"a"'),
    (pydantic.FilePath, '"/no/such/file"'),
    (pydantic.DirectoryPath, '"/no/such/place"'),
    (pydantic.NewPath, '"/no/such/place/file"'),
    (JsonFormat, '"a"'),
    (pydantic.PastDate, '"2999-01-01"'),
    (pydantic.FutureDatetime, '"2001-01-01T00:00:00"'),
    (pydantic.UUID7, f'"{uuid.UUID(int=0)}"'),
    (pydantic.AwareDatetime, '"2001-01-01T00:00:00"'),
    (pydantic.HttpUrl, '"http://a.b/' + "a" * 2100 + '"'),
    (pydantic.AnyUrl, '"http:::"'),
    (Annotated[pydantic.HttpUrl, Field(pattern="a")], '"http://b.c/"'),
    (Annotated[pydantic.SecretStr, Field(min_length=3)], '"a"'),
    (Annotated[Decimal, Field(max_digits=3)], '"1234"'),
    (Annotated[Decimal, Field(decimal_places=1)], '"1.23"'),
    (Annotated[Decimal, Field(max_digits=70)], '"' + "1" * 28 + "." + "1" * 50 + '"'),
    (Annotated[Decimal, Field(multiple_of=5)], '"1"'),
    (Annotated[Decimal, Field(gt=0)], '"0"'),
    (Annotated[Decimal, Field(le=9)], '"9.5"'),
    (Annotated[float, Field(multiple_of=0.25)], "0.3"),
    (Annotated[float, Field(ge=0.25)], "0.21"),
    (Annotated[float, Field(lt=0)], "1.0"),
    (Annotated[int, Field(multiple_of=7)], "8"),
    (Annotated[int, Field(multiple_of=5_000)], "8"),
    (Annotated[int, Field(le=2**70)], str(2**70 + 1)),
    (Annotated[dt.timedelta, Field(le=dt.timedelta(1))], '"P2D"'),
    (Annotated[dt.timedelta, Field(multiple_of=dt.timedelta(1))], '"PT1H"'),
    (Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))], '"2019-01-01"'),
    (Annotated[dt.time, Field(lt=dt.time(12))], '"13:00:00"'),
    (Annotated[dt.datetime, Field(ge=dt.datetime(2020, 1, 1))], '"2019-01-01T00:00:00"'),
    (dt.date, '"2023-02-29"'),
    (Annotated[str, Field(min_length=2)], '"a"'),
    (Annotated[str, Field(max_length=2)], '"abc"'),
    (Annotated[str, Field(pattern="^a$")], '"b"'),
    (Annotated[str, Field(pattern=r"\ba")], '"b"'),
    (Annotated[str, Field(pattern=re.compile(r"^\w+$", re.ASCII))], '"龙"'),
    (Annotated[str, StringConstraints(strip_whitespace=True, min_length=2)], '"  "'),
    (Annotated[str, StringConstraints(strip_whitespace=True, pattern="^ a")], '" a"'),
    (Stripping, '{"x":"  "}'),
    (Annotated[str, at.Predicate(str.islower)], '"A"'),
    (Annotated[str, at.Not(str.islower)], '"a"'),
    (Annotated[int, at.Predicate(lambda value: value > 3)], "3"),
    (Annotated[int | str, Field(ge=3)], "2"),
    (Annotated[list[int], Field(min_length=1)], "[]"),
    (Annotated[list[int], Field(max_length=1)], "[1,2]"),
    (Annotated[Sequence[int], Field(min_length=1)], "[]"),
    (Annotated[list[int] | set[int], Field(min_length=2)], "[1]"),
    (Annotated[tuple[int, ...], Field(min_length=2)], "[1]"),
    (Annotated[set[int], Field(min_length=2)], "[1,1]"),
    (Annotated[frozenset[str], Field(min_length=2)], '["a","a"]'),
    (Annotated[collections.deque[int], Field(max_length=1)], "[1,2]"),
    (Annotated[dict[str, int], Field(min_length=2)], '{"a":1,"a":2}'),
    (Annotated[dict[str, int], Field(max_length=1)], '{"a":1,"b":2}'),
    (Annotated[dict[Literal["a", "b"], int], Field(min_length=1)], "{}"),
    (Annotated[dict[Literal["a", "b", "c"], int], Field(min_length=2)], '{"a":1}'),
    (Annotated[dict[Literal["a", "b"], int], Field(max_length=1)], '{"a":1,"b":2}'),
    (dict[Annotated[int, Field(ge=3)], int], '{"1":1}'),
    (dict[Annotated[str, Field(pattern="a", min_length=3)], int], '{"a":1}'),
    (dict[Annotated[str, Field(min_length=3)], int], '{"a":1}'),
    (dict[dt.date, int], '{"a":1}'),
    (Annotated[int, Strict()], '"1"'),
    (Annotated[bool, Strict()], '"true"'),
    (Annotated[Decimal, Strict()], "true"),
]


@pytest.mark.parametrize(("type_", "text"), BAD, ids=lambda value: str(value)[-60:])
def test_a_constraint_is_enforced_or_noted(type_: Any, text: str) -> None:
    if pydantic.VERSION < "2.14" and any(name in str(type_) for name in TAKEN_BEFORE):
        pytest.skip("this version of Pydantic takes the value")
    with pytest.raises(REFUSALS):
        TypeAdapter(type_).validate_json(text)
    assert Schema.of(type_).notes or not accepts_text(type_, text, cap=None)


@pytest.mark.parametrize("type_", [*LEAVES, *(type_ for type_, _ in BAD)], ids=lambda value: str(value)[-60:])
def test_random_records_are_refused_with_a_note_only(type_: Any) -> None:
    schema: Schema[Any] = Schema.of(type_)
    grammar, rng = matcher(schema.grammar_schema(max_string_length=4)), random.Random(3)
    for _ in range(15):
        text = scribble(grammar, rng, 300)
        try:
            if text is not None:
                schema.parse(text)
        except REFUSALS:
            assert schema.notes, text


ENFORCED: list[Any] = [
    str, int, float, bool, Decimal, bytes, dt.date, dt.datetime, dt.time, dt.timedelta, uuid.UUID, pydantic.UUID4,
    IPv4Address, pydantic.SecretStr, pydantic.Secret[int], pydantic.Secret[dt.date], pydantic.AwareDatetime,
    Annotated[str, Field(min_length=1, max_length=3, pattern="^[a-z]+$")],
    Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=4)],
    Annotated[str, Field(description="words", title="Title", examples=["a"])],
    Annotated[int, Field(ge=0, lt=10, multiple_of=2)], Annotated[float, Field(ge=0, le=1)],
    Annotated[float, Field(allow_inf_nan=False)], Annotated[Decimal, Field(ge=0, max_digits=6, decimal_places=2)],
    Annotated[list[int], Field(min_length=1, max_length=3)], Annotated[set[int], Field(min_length=1)],
    Annotated[dict[str, int], Field(min_length=1, max_length=2)],
    Annotated[dict[Literal["a", "b"], int], Field(min_length=1, max_length=2)],
    Optional[Annotated[int, Field(ge=3)]], Union[int, str], Union[int, float, None], Union[dt.date, dt.datetime, None],
    Union[Annotated[str, Field(max_length=3)], dt.date],
    Annotated[dt.date | str, Field(union_mode="left_to_right")],
    Annotated[str, pydantic.AfterValidator(str.strip)], Annotated[int, Strict()], Sequence[int],
]  # fmt: skip


@pytest.mark.parametrize("type_", ENFORCED, ids=lambda value: str(value)[-60:])
def test_no_note_where_the_grammar_does_it_all(type_: Any) -> None:
    assert Schema.of(type_).notes == ()


def test_options_that_are_told_apart_have_no_note() -> None:
    Flat = create_model("Flat", kind=(Literal["a"], ...), sub=(Literal["x"], ...), v=(int, ...))
    Flat2 = create_model("Flat2", kind=(Literal["a"], ...), sub=(Literal["y"], ...), v=(int, ...))
    Flat3 = create_model("Flat3", kind=(Literal["b"], ...), v=(int, ...))
    inner = Annotated[Flat | Flat2, Field(discriminator="sub")]
    assert Schema.of(Annotated[inner | Flat3, Field(discriminator="kind")]).notes == ()
    assert Schema.of(Union[Flat, Flat2, Flat3]).notes == ()
    numbers, texts = create_model("Numbers", v=(int, ...)), create_model("Texts", v=(str, ...))
    assert Schema.of(Union[numbers, texts]).notes == ()
    lists = create_model("Lists", v=(Optional[list[int]], ...))
    assert Schema.of(Union[numbers, lists]).notes == ()


def test_options_that_are_not_told_apart_have_one() -> None:
    one, two = create_model("One", v=(int, ...)), create_model("Two", v=(float, ...))
    assert "Two cannot be told" in Schema.of(Union[one, two]).notes[0]
    maybe = create_model("Maybe", v=(Optional[int], ...))
    assert "Maybe cannot be told" in Schema.of(Union[one, maybe]).notes[0]
    assert "always read as text" in Schema.of(Union[str, dt.date]).notes[0]
    assert "spelled alike" in Schema.of(Union[str, pydantic.SecretStr]).notes[0]
    assert "spelled alike" in Schema.of(Union[str, bytes]).notes[0]


def test_notes_say_where_and_once() -> None:
    class Line(BaseModel):
        day: Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))]

    class Bill(BaseModel):
        lines: list[Line]
        first: Line

    assert Schema.of(Bill).notes == ("lines.*.day: ge=2020-01-01 is checked after decoding, not by the grammar",)


def test_what_a_model_writes_is_never_imported() -> None:
    with pytest.raises(ValueError, match="ImportString"):
        Schema.of(pydantic.ImportString)


def test_fixed_keys_may_have_to_be_there_or_may_not_be_empty() -> None:
    class Marks(BaseModel):
        by_name: dict[Literal["a", "b"], int] = {}

    assert accepts_text(Marks, "{}")
    assert accepts_text(Marks, '{"by_name":{"b":1}}')
    assert not accepts_text(Marks, '{"by_name":{}}')
    some = Annotated[dict[Literal["a", "b", "c"], int], Field(min_length=1)]
    assert [accepts_text(some, text) for text in ("{}", '{"c":1}', '{"a":1,"c":1}', '{"c":1,"a":1}')] == [
        False,
        True,
        True,
        False,
    ]
