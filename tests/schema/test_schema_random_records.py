"""A model that knows nothing writes what the grammar lets it: random records of every leaf parse."""

import random
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import UUID4, AwareDatetime, Field, NaiveDatetime
from schema_grammar import END, accepts_text

from extractft.constraints import GrammarCompiler
from extractft.errors import SchemaError
from extractft.schema import Schema

TYPES = [
    date, time, datetime, AwareDatetime, NaiveDatetime, timedelta, UUID, UUID4, IPv4Address, Decimal,
    Annotated[Decimal, Field(ge=0)],
    Annotated[Decimal, Field(gt=0)],
    Annotated[Decimal, Field(gt=0, decimal_places=2)],
    Annotated[Decimal, Field(max_digits=5)],
    Annotated[Decimal, Field(max_digits=5, gt=0)],
    Annotated[Decimal, Field(max_digits=5, decimal_places=2, gt=0)],
    Annotated[Decimal, Field(max_digits=2, decimal_places=2, gt=0)],
    Annotated[Decimal, Field(max_digits=5, decimal_places=0, gt=0)],
]  # fmt: skip


def random_record(grammar: Any, rng: random.Random) -> str:
    """A walk over allowed tokens, fond of digits; some walks are fond of one digit alone."""
    matcher, mask = grammar.matcher(), bytearray(grammar.mask_bytes)
    favourite = ord("9") - ord("!") if rng.random() < 0.3 else None
    text = bytearray()
    while not matcher.is_finished():
        matcher.fill_mask(mask)
        allowed = [i for i in range(8 * len(mask)) if mask[i >> 3] >> (i & 7) & 1]
        digits = [i for i in allowed if chr(i + ord("!")).isdigit()]
        if favourite in allowed and rng.random() < 0.9:
            token = favourite
        else:
            token = rng.choice(digits if digits and rng.random() < 0.6 else allowed)
        matcher.consume(token)
        if token == END:
            break
        text.append(token + ord("!"))
    return text.decode()


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_random_records_parse(type_: Any, tokenizer: Any) -> None:
    schema: Schema[Any] = Schema.of(type_)
    assert schema.notes == ()
    assert tokenizer.convert_ids_to_tokens(0) == "!"
    grammar = GrammarCompiler(tokenizer, vocab_size=264, end_token_id=END).compile(schema)
    rng = random.Random(7)
    for _ in range(60):
        record = random_record(grammar, rng)
        assert len(record) < 80
        schema.canonical_json(schema.parse(record))


@settings(deadline=None)
@given(st.timedeltas())
def test_every_duration_is_accepted(span: timedelta) -> None:
    assert accepts_text(timedelta, Schema.of(timedelta).canonical_json(span))


@pytest.mark.parametrize("span", [timedelta.min, timedelta.max, timedelta.min + timedelta(microseconds=1)])
def test_the_longest_durations_are_accepted(span: timedelta) -> None:
    assert accepts_text(timedelta, Schema.of(timedelta).canonical_json(span))
    assert not accepts_text(timedelta, '"-P999999999DT1S"')


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+27", "1" + "0" * 27),
        ("1E+28", "1E+28"),
        ("1E-28", "0." + "0" * 27 + "1"),
        ("-1E-29", "-1E-29"),
        ("1." + "1" * 30, "1." + "1" * 30 + "E+0"),
    ],
)
def test_decimals_have_28_digits_on_either_side_or_an_exponent(value: str, text: str) -> None:
    schema: Schema[Decimal] = Schema.of(Decimal)
    assert schema.canonical_json(Decimal(value)) == f'"{text}"'
    assert accepts_text(Decimal, f'"{text}"')
    assert schema.parse(f'"{text}"') == Decimal(value)


def test_decimals_that_no_grammar_takes_are_refused_without_being_quoted() -> None:
    with pytest.raises(SchemaError, match="57 digits, found 60"):
        Schema.of(Decimal).canonical_json(Decimal("7" * 60))
    counted: Schema[Decimal] = Schema.of(Annotated[Decimal, Field(decimal_places=2)])
    with pytest.raises(SchemaError, match="28 digits before the point"):
        counted.canonical_json(Decimal("1E+28"))


def test_prices_end() -> None:
    assert accepts_text(Decimal, '"' + "7" * 28 + '"')
    assert not accepts_text(Decimal, '"' + "7" * 29 + '"')
    percent = Annotated[Decimal, Field(ge=0, le=100)]
    assert accepts_text(percent, '"100.00"')
    assert not accepts_text(percent, '"1000"')
