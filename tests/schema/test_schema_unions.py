# ruff: noqa: UP007, UP045  (these types are put together at run time)
"""A value in a union is written by the option that it belongs to by its type, and null stays null."""

import dataclasses
import enum
import ipaddress
import pathlib
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
import pytest
from pydantic import (
    BaseModel,
    Field,
    HttpUrl,
    IPvAnyAddress,
    PlainValidator,
    Secret,
    SecretStr,
    TypeAdapter,
    create_model,
)
from schema_grammar import accepts_text
from schema_machine import LEAVES, Code, Grade, Hue, Rank

from extractft.config import PromptConfig
from extractft.errors import SchemaError
from extractft.evaluation import evaluate_records
from extractft.prompt import render_system_prompt
from extractft.schema import Schema


class Page(BaseModel):
    name: str | None = None
    site: HttpUrl | None = None
    ip: IPvAnyAddress | None = None


def test_absence_is_null_and_never_the_text_none() -> None:
    schema = Schema.of(Page)
    assert schema.full_value(Page(name="a")) == {"name": "a", "site": None, "ip": None}
    assert schema.canonical_json(Page()) == "{}"
    assert "None" not in render_system_prompt(schema, PromptConfig())
    assert not accepts_text(Page, '{"site":null}')
    filled = Page(site="http://a.b")  # type: ignore[arg-type]
    report = evaluate_records(schema, [Page(), filled, Page()], [Page(), Page(), filled])
    assert report.fields["site"].support == 1


@pytest.mark.parametrize("type_", [leaf for leaf in LEAVES if leaf is not Literal["a", "b", None]], ids=str)
def test_every_single_value_may_be_null(type_: Any) -> None:
    required = Schema.of(create_model("Required", x=(Optional[type_], ...)))
    assert required.canonical_json(required.type(x=None)) == '{"x":null}'
    with_default = Schema.of(create_model("WithDefault", x=(Optional[type_], None)))
    assert with_default.full_value(with_default.type()) == {"x": None}
    assert with_default.canonical_json(with_default.type()) == "{}"
    listed: Schema[Any] = Schema.of(list[type_ | None])
    assert listed.canonical_json([None]) == "[null]"


class Name(str):
    """A string class of one's own, without more."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        made = PlainValidator(cls.checked, json_schema_input_type=str)
        return made.__get_pydantic_core_schema__(source, handler)

    @classmethod
    def checked(cls, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError("no name")
        return cls(value)


class Opaque:
    """A class that compares by identity."""

    def __init__(self, text: Any) -> None:
        self.text = text

    def __str__(self) -> str:
        return str(self.text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        made = PlainValidator(lambda v: v if isinstance(v, cls) else cls(v), json_schema_input_type=str)
        return made.__get_pydantic_core_schema__(source, handler)


class Half(float, enum.Enum):
    """Numbers of which one is whole."""

    ONE = 1.0
    TWO_AND_A_HALF = 2.5


class Ranked(BaseModel):
    rank: Union[int, Rank]


@dataclasses.dataclass
class Ranking:
    rank: Union[int, Rank]


Path = pathlib.PurePosixPath


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        (Union[Path, int, list[int]], 7, "7"),
        (Union[Path, int, list[int]], [7], "[7]"),
        (Union[Path, int, list[int]], Path("7"), '"7"'),
        (Union[list[Path], list[int]], [7], "[7]"),
        (Union[dict[str, Path], dict[str, int]], {"a": 7}, '{"a":7}'),
        (Union[SecretStr, int], SecretStr("7"), '"7"'),
        (Union[SecretStr, int], 7, "7"),
        (Union[Secret[date], int], Secret[date](date(2024, 1, 2)), '"2024-01-02"'),
        (Union[ipaddress.IPv4Address, int], 7, "7"),
        (Union[IPvAnyAddress, list[int]], ipaddress.IPv6Address("::1"), '"::1"'),
        (Union[re.Pattern, int], re.compile("a+"), '"a+"'),
        (Union[Code, int, None], None, "null"),
        (Union[Code, int, None], 5, "5"),
        (Union[Code, int, None], Code("5"), '"5"'),
        (Union[Opaque, None], None, "null"),
        (Union[Opaque, None], Opaque("o"), '"o"'),
        (Union[Name, list[Name], None], ["a"], '["a"]'),
        (Union[Decimal, int], 7, "7"),
        (Union[Decimal, int], Decimal("7.0"), '"7.0"'),
        (Union[float, int], 7, "7"),
        (Union[float, int], 7.0, "7.0"),
        (Union[float, Decimal], Decimal(7), '"7"'),
        (Union[int, bool], True, "true"),
        (Union[Literal[1], Literal[True]], 1, "1"),
        (Union[datetime, date], date(2024, 1, 2), '"2024-01-02"'),
        (Union[date, datetime], datetime(2024, 1, 2, 3), '"2024-01-02T03:00:00"'),
        (Union[Hue, int], Hue.BLUE, "2"),
        (Union[Hue, date], Hue.RED, '"red"'),
        (Union[list[int], dict[str, int]], {"a": 1}, '{"a":1}'),
        (Union[tuple[int, str], list[int]], [1, 2], "[1,2]"),
        (Union[Sequence[Path], int], [Path("a")], '["a"]'),
        (Union[HttpUrl, int, None], TypeAdapter(HttpUrl).validate_python("http://a.b/"), '"http://a.b/"'),
        (Union[pydantic.PostgresDsn, int], TypeAdapter(pydantic.PostgresDsn).validate_python("postgres://u@h/d"), '"postgres://u@h/d"'),
        (Optional[pydantic.Base64Str], "abcd", '"YWJjZA=="'),
        (Optional[pydantic.Base64Bytes], b"\xff\x00", '"/wA="'),
    ],
    ids=repr,
)  # fmt: skip
def test_the_value_decides(type_: Any, value: Any, text: str) -> None:
    schema: Schema[Any] = Schema.of(type_)
    if type_ != Union[Hue, int]:  # 2 is read back as an integer, which the next test is about
        assert schema.canonical_json(value) == text
        assert accepts_text(type_, text)
    assert schema.full_value(value) == schema.canonical_value(value)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Union[str, date], date(2024, 1, 2)),
        (Union[str, Path], Path("a")),
        (Union[str, bytes], b"a"),
        (Union[Hue, str], Hue.RED),
        (Union[Hue, int], Hue.BLUE),
        (Union[list[int], set[int]], {1}),
        (Union[str, SecretStr], SecretStr("a")),
        (Union[int, Rank], Rank.LOW),
        (Union[str, Grade], Grade.A),
        (Union[float, Rank], Rank.LOW),
        (Union[int, Half], Half.ONE),
        (Union[Literal[1, 2], bool], True),
        (Union[Literal[1], bool, None], True),
        (list[Union[Literal[0, 1], bool]], [False]),
        (dict[str, Union[Literal[0, 1], bool]], {"a": False}),
        (Union[Literal[1], Literal[True]], True),
        (Union[Literal[True], int], 1),
        (Union[Literal[0, 1], float], 1.0),
        (Union[bool, Rank], Rank.LOW),
        (set[Union[int, Rank]], {Rank.LOW}),
        (tuple[Union[int, Rank], int], (Rank.LOW, 1)),
        (Secret[Union[int, Rank]], Secret[Union[int, Rank]](Rank.LOW)),
        (Ranked, Ranked(rank=Rank.LOW)),
        (list[Ranking], [Ranking(Rank.LOW)]),
    ],
    ids=repr,
)
def test_what_would_be_read_back_as_another_type_is_refused(type_: Any, value: Any) -> None:
    with pytest.raises(SchemaError, match="read back as another of its types"):
        Schema.of(type_).canonical_json(value)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Union[bool, Rank], True),
        (Union[Rank, bool], Rank.LOW),
        (Union[Rank, bool], True),
        (Union[int, Rank], 1),
        (list[Union[Literal[0, 1], bool]], [0, 1]),
        (Ranked, Ranked(rank=1)),
        (Union[Literal["a"], str], "a"),
        (Union[int, float], 1),
    ],
    ids=repr,
)
def test_what_is_read_back_as_an_equal_value_is_taken(type_: Any, value: Any) -> None:
    schema: Schema[Any] = Schema.of(type_)
    again = schema.parse(schema.canonical_json(value))
    assert again == value
    assert type(again) is type(value)


def test_patterns_keep_their_flags_or_are_refused() -> None:
    schema: Schema[Any] = Schema.of(re.Pattern)
    assert schema.canonical_json(re.compile("(?i)a")) == '"(?i)a"'
    written = schema.canonical_value(re.compile("a"))
    assert schema.parse(f'"{written}"') == re.compile("a")
    with pytest.raises(SchemaError):
        schema.canonical_json(re.compile("a", re.IGNORECASE))


def test_models_of_a_union_go_by_their_class() -> None:
    class Cat(BaseModel):
        name: str
        at: Path | None = None

    class Dog(BaseModel):
        name: str
        at: Path | None = None

    class Pup(Dog):
        pass

    schema: Schema[Any] = Schema.of(Cat | Dog)
    assert schema.canonical_value(Dog(name="a")) == {"name": "a", "at": None}
    with pytest.raises(SchemaError, match="another of its types"):
        schema.canonical_json(Dog(name="a"))
    assert schema.canonical_value(Pup(name="a")) == {"name": "a", "at": None}


def test_defaults_that_were_never_validated_are_written_as_they_stand() -> None:
    class Raw(BaseModel):
        path: Path = "a/b"  # type: ignore[assignment]
        site: HttpUrl = "http://a.b/"  # type: ignore[assignment]
        wrong: Path = None  # type: ignore[assignment]

    schema = Schema.of(Raw)
    assert schema.full_value(Raw()) == {"path": "a/b", "site": "http://a.b/", "wrong": None}
    assert schema.canonical_json(Raw()) == "{}"
    assert schema.canonical_json(Raw(path=Path("c"))) == '{"path":"c"}'


def test_large_enumerations_are_written_by_a_look_up() -> None:
    many = enum.Enum("Many", {f"v{i}": f"value {i}" for i in range(20_000)})  # type: ignore[misc]
    schema: Schema[Any] = Schema.of(list[many])  # type: ignore[valid-type]
    members = list(many)
    assert schema.canonical_value(members)[-1] == "value 19999"


def test_a_tag_is_found_beneath_null() -> None:
    One = create_model("One", id=(Literal["i1"], ...), kind=(Literal["k1"], "k1"))
    Two = create_model("Two", id=(Literal["i2"], ...), kind=(Literal["k2"], "k2"))
    schema: Schema[Any] = Schema.of(Optional[Annotated[One | Two, Field(discriminator="kind")]])
    assert schema.canonical_json(Two(id="i2")) == '{"id":"i2","kind":"k2"}'
    assert schema.canonical_json(None) == "null"


def test_integers_longer_than_python_reads_are_refused() -> None:
    schema: Schema[Any] = Schema.of(int)
    longest = -(10**4300 - 1)
    assert schema.parse(schema.canonical_json(longest)) == longest
    for value in (10**4300, -(10**5000)):
        with pytest.raises(SchemaError, match="at most 4300 digits"):
            schema.canonical_json(value)
    with pytest.raises(SchemaError, match="at most 4300 digits"):
        Schema.of(dict[int, int]).canonical_json({10**5000: 1})
    with pytest.raises(SchemaError, match="more than 4300 digits"):
        Schema.of(create_model("Long", x=(Annotated[int, Field(le=10**5000)], ...)))
