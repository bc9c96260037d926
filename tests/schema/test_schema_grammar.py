"""Constructs that a raw JSON schema gets wrong in the grammar compiler, one by one."""

import enum
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import annotated_types
import pydantic
import pytest
from pydantic import AwareDatetime, BaseModel, Field, NaiveDatetime, TypeAdapter, create_model
from schema_grammar import accepts, accepts_text, matcher
from schema_zoo import Cat, Color, Dog, Home, Mood, Numbers, Tree

from extractft.schema import Schema, StringNode
from extractft.schema.grammar_schema import grammar_schema
from extractft.schema.json_schema_nodes import node_of_json_schema
from timing import assert_within

Word = Annotated[str, Field(pattern=r"^\w{2,4}$")]

CASES = [
    # sets: no uniqueItems, repeats are dropped after parsing
    (set[int], "[1,2]", True),
    (set[int], "[1,1]", True),
    (set[Literal["a", "b"]], '["a","b","a"]', False),
    # known keys: in their order, each at most once
    (dict[Literal["b", "a"], int], '{"b":1,"a":2}', True),
    (dict[Literal["b", "a"], int], '{"a":2,"b":1}', False),
    (dict[Literal["b", "a"], int], '{"c":2}', False),
    (dict[int, str], '{"-12":"x"}', True),
    (dict[int, str], '{"a":"x"}', False),
    (dict[bool, int], '{"true":1}', True),
    (dict[bool, int], '{"yes":1}', False),
    (Annotated[dict[str, int], Field(min_length=1)], "{}", False),
    (Annotated[dict[str, int], Field(max_length=1)], '{"a":1,"b":2}', False),
    (dict[str, int], '{"龙\\n":1}', True),
    # times: no zone is invented
    (datetime, '"2024-05-17T12:30:00"', True),
    (datetime, '"2024-05-17T12:30:00Z"', True),
    (datetime, '"2024-05-17T12:30:00.5+08:00"', True),
    (datetime, '"2024-05-17T12:30:00.500"', False),
    (datetime, '"2024-05-17T12:30:00+00:00"', False),
    (datetime, '"2024-05-17 12:30:00"', False),
    (datetime, '"2024-13-17T12:30:00"', False),
    (AwareDatetime, '"2024-05-17T12:30:00"', False),
    (AwareDatetime, '"2024-05-17T12:30:00-03:30"', True),
    (NaiveDatetime, '"2024-05-17T12:30:00"', True),
    (NaiveDatetime, '"2024-05-17T12:30:00Z"', False),
    (date, '"2024-02-29"', True),
    (date, '"2023-02-29"', False),
    (date, '"1900-02-29"', False),
    (date, '"2000-02-29"', True),
    (date, '"2023-02-30"', False),
    (date, '"2023-04-31"', False),
    (date, '"0000-01-01"', False),
    (timedelta, '"PT0.5S"', True),
    (timedelta, '"-P1D"', True),
    (timedelta, '"P400DT5H0.000001S"', True),
    (timedelta, '"P1Y35DT5H"', False),
    (timedelta, '"P"', False),
    (timedelta, '"PT"', False),
    (timedelta, '"P1DT"', False),
    # decimals
    (Decimal, '"12.50"', True),
    (Decimal, "12.50", False),
    (Decimal, '"1E+50"', True),
    (Decimal, '"012"', False),
    (Annotated[Decimal, Field(ge=0)], '"-1"', False),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], '"123.45"', True),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], '"1234.5"', False),
    (Annotated[Decimal, Field(max_digits=5, decimal_places=2)], '"1.234"', False),
    # patterns
    (Word, '"龙琳"', True),
    (Word, '"龙琳a9_"', False),
    (Word, '"龙 琳"', False),
    (Annotated[str, Field(pattern=r"\d{3}")], '"x١٢٣y"', True),
    (Annotated[str, Field(pattern="b")], '"abc"', True),
    (Annotated[str, Field(pattern="^b")], '"abc"', False),
    # floats: plain digits, within bounds too
    (float, "0.00001", True),
    (float, "-1.5", True),
    (float, "1e5", False),
    (Annotated[float, Field(ge=0, le=1)], "0.00000012", True),
    (Annotated[float, Field(ge=0, le=1)], "1.5", False),
    (Annotated[float, Field(ge=0.25, le=0.75)], "0.7", True),
    (Annotated[float, Field(ge=0.25, le=0.75)], "0.85", False),
    (Annotated[float, Field(le=0)], "0.0", True),
    (Annotated[float, Field(ge=0, le=0.05)], "0.0", True),
    (Annotated[float, Field(multiple_of=0.25)], "0.5", True),
    (Annotated[int, Field(multiple_of=5, ge=7)], "10", True),
    (Annotated[int, Field(multiple_of=5, ge=7)], "5", False),
    (Annotated[int, Field(gt=3, lt=5)], "4", True),
    (Annotated[int, Field(gt=3, lt=5)], "5", False),
    # tuples, literals, enumerations
    (tuple[int, str], '[1,"a"]', True),
    (tuple[int, str], '[1,"a",2]', False),
    (tuple[int, str], "[1]", False),
    (Literal["a", 1, True, None], "true", True),
    (Literal["a", 1, True, None], "null", True),
    (Literal["a", 1, True, None], "2", False),
    (Color, "3", True),
    (Color, '"蓝"', True),
    (Mood, '"bad \\u007f\\n\\"\\\\"', True),
    # one way to write: no spaces, no other order, no further keys
    (Tree, '{"value":1,"children":[{"value":2}]}', True),
    (Tree, '{"value": 1}', False),
    (Tree, '{"children":[{"value":2}],"value":1}', False),
    (Tree, '{"value":1,"children":[{"value":2,"x":1}]}', False),
    (Tree, '{"value":1,"children":[]}', False),
]


@pytest.mark.parametrize(("type_", "text", "expected"), CASES, ids=[f"{i}-{case[1]}" for i, case in enumerate(CASES)])
def test_accepts(type_: Any, text: str, expected: bool) -> None:
    assert accepts_text(type_, text) is expected
    if expected:
        TypeAdapter(type_).validate_json(text)


@pytest.mark.parametrize(
    ("format_", "text", "expected"),
    [
        ("email", "nafan@example.com", True),
        ("email", "张三@例子.中国", True),
        ("email", "no at sign", False),
        ("email", "a@b", False),
        ("uri", "https://例え.jp/路径?q=1", True),
        ("uri", "mailto:a@b", True),
        ("uri", "no scheme", False),
    ],
)
def test_addresses_are_not_ascii_only(format_: Any, text: str, expected: bool) -> None:
    schema = {**grammar_schema(StringNode(format_), {})}
    assert accepts(matcher(schema), json.dumps(text, ensure_ascii=False)) is expected


def test_an_email_type_is_recognised_by_its_json_schema() -> None:
    assert node_of_json_schema({"type": "string", "format": "email"}) == StringNode("email")


@pytest.mark.parametrize(
    "type_",
    [
        __import__("pathlib").Path,
        bytes,
        pydantic.SecretStr,
        pydantic.IPvAnyAddress,
        __import__("typing").Pattern,
        __import__("ipaddress").IPv6Address,
    ],
)
def test_formats_that_the_compiler_refuses_are_text(type_: Any) -> None:
    assert accepts_text(type_, '"127.0.0.1"')


@pytest.mark.parametrize("pattern", [r"^(?=.*\d).+$", r"^(a)\1$", r"\bx\b", r"(?<!a)b", "x*^a", "(^a)+"])
def test_patterns_that_no_grammar_expresses_are_dropped_and_noted(pattern: str) -> None:
    model = create_model("M", s=(str, Field(pattern=__import__("re").compile(pattern))))
    schema = Schema.of(model)
    assert accepts_text(model, '{"s":"anything"}')
    assert len(schema.notes) == 1
    assert schema.notes[0].startswith("s: the pattern")


def test_bounds_that_pydantic_alone_checks_are_noted() -> None:
    class Bounds(BaseModel):
        money: Decimal = Field(ge=3)
        day: date = Field(le=date(2024, 1, 1))
        big: int = Field(ge=2**60)
        quarter: float = Field(multiple_of=0.25)
        narrow: float = Field(ge=0.25)
        many: set[int] = Field(min_length=2)
        exact: int = Field(ge=3, le=2**53)

    notes = Schema.of(Bounds).notes
    assert [note.split(":")[0] for note in notes] == ["money", "day", "big", "quarter", "narrow", "many"]
    assert "ge=3" in notes[0]


def test_a_tag_with_a_default_is_always_written() -> None:
    home = Home(pets=[Dog(), Cat(lives=3)])
    schema = Schema.of(Home)
    text = '{"pets":[{"kind":"dog"},{"kind":"cat","lives":3}]}'
    assert schema.canonical_json(home) == text
    assert accepts_text(Home, text)
    assert not accepts_text(Home, '{"pets":[{"lives":3}]}')


def test_a_default_that_is_left_out_is_not_offered() -> None:
    class M(BaseModel):
        name: str | None = None
        flag: bool = True
        color: Literal["red", "blue"] = "red"
        only: Literal["v1"] = "v1"
        tags: list[str] = []
        text: str = ""
        color2: Color | None = Color.RED

    refused = ['{"name":null}', '{"flag":true}', '{"color":"red"}', '{"only":"v1"}', '{"tags":[]}', '{"text":""}']
    assert [text for text in refused if accepts_text(M, text)] == []
    for text in ["{}", '{"name":""}', '{"flag":false}', '{"color":"blue"}', '{"tags":["x"]}', '{"color2":null}']:
        assert accepts_text(M, text), text
    assert not accepts_text(M, '{"color2":"red"}')


def test_with_all_keys_kept_nothing_may_be_left_out() -> None:
    class M(BaseModel):
        name: str | None = None
        tags: list[str] = []

    assert accepts_text(M, '{"name":null,"tags":[]}', omit_defaults=False)
    assert not accepts_text(M, '{"tags":[]}', omit_defaults=False)
    assert not accepts_text(M, "{}", omit_defaults=False)


def test_strings_are_capped_but_never_below_their_own_least_length() -> None:
    class M(BaseModel):
        free: str
        long: str = Field(min_length=8)
        short: str = Field(max_length=2)
        coded: str = Field(pattern="^[a-z]+$")
        exact: str = Field(pattern="^x{9}$")

    def text(free: str, long: str, short: str, coded: str = "a") -> str:
        return json.dumps({"free": free, "long": long, "short": short, "coded": coded, "exact": "x" * 9}).replace(
            " ", ""
        )

    assert accepts_text(M, text("abcd", "a" * 8, "ab"), cap=4)
    assert not accepts_text(M, text("abcde", "a" * 8, "ab"), cap=4)
    assert not accepts_text(M, text("abcd", "a" * 9, "ab"), cap=4)
    assert not accepts_text(M, text("abcd", "a" * 8, "abc"), cap=4)
    assert not accepts_text(M, text("abcd", "a" * 8, "ab", "a" * 50), cap=4)
    assert accepts_text(M, text("a" * 5000, "a" * 8, "ab"), cap=None)


@pytest.mark.parametrize(
    "text", [chr(code) for code in [*range(0x20), 0x22, 0x5C, 0x7F, 0x85, 0x2028, 0xFFFF, 0x1F600]]
)
def test_every_character_is_written_as_the_grammar_writes_it(text: str) -> None:
    capped = Schema.of(Annotated[str, Field(min_length=1, max_length=1)])
    assert accepts(matcher(capped.grammar_schema()), capped.canonical_json(text))
    loose = Schema.of(dict[str, str])
    assert accepts(matcher(loose.grammar_schema(max_string_length=5)), loose.canonical_json({text: text}))


def test_separators_stand_at_the_top_level() -> None:
    schema = Schema.of(Tree).grammar_schema()
    assert schema["x-guidance"] == {"item_separator": ",", "key_separator": ":", "whitespace_flexible": False}


def test_three_hundred_optional_fields() -> None:
    model = create_model("Wide", **{f"field_{i}": (str | None, None) for i in range(300)})  # type: ignore[call-overload]
    schema = assert_within(lambda: Schema.of(model), 0.5)
    assert accepts(matcher(schema.grammar_schema(max_string_length=100)), '{"field_7":"a","field_299":"b"}')


def test_a_long_tuple_of_constraints_compiles() -> None:
    matcher(Schema.of(Numbers).grammar_schema(max_string_length=2000))
    matcher(Schema.of(Annotated[list[Literal["a"]], annotated_types.Len(2, 5)]).grammar_schema())


def test_empty_enumerations_have_no_values() -> None:
    class Nothing(enum.Enum):
        pass

    with pytest.raises((ValueError, pydantic.PydanticUserError)):
        Schema.of(Nothing)
