"""Rows written in each format and read again are the same rows; what a format does not hold is said."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from schema_zoo import ZOO, values, zoo_id

from extractft.data import load_examples
from extractft.errors import DatasetError, SchemaError
from extractft.grounding import Span
from extractft.interchange import (
    FORMATS,
    FormatName,
    InterchangeOptions,
    LabelledRow,
    read_rows,
    rows_content,
)
from extractft.schema import Schema
from extractft.schema.records import scalars
from extractft.text import is_blank
from extractft.text.offset_units import OFFSET_UNITS, OffsetMap

NOISE = st.sampled_from([" ", "🧾", "👨‍👩‍👧 ", "e\u0301", " — ", "\r\n", "नि", "🇩🇪🇫🇷", "\u200d", "茶", "\n\n", "x"])
TASKS = ("label-studio", "doccano")


class Tax(BaseModel):
    rate: float
    note: str | None = None


class Line(BaseModel):
    name: str
    total: float | None = None
    taxes: list[Tax] = []


class Receipt(BaseModel):
    company: str
    kind: Literal["receipt", "invoice"]
    paid: bool | None = None
    lines: list[Line] = []
    prices: dict[str, float] = {}
    tags: list[str] = []


SCHEMA: Schema[Any] = Schema.of(Receipt)
TEXT = "👨‍👩‍👧 Cafe\u0301 GmbH 🎉 receipt: Äpfel 1,50 and Äpfel 2.5 at 0.19, paid"
RECORD = {
    "company": "Cafe\u0301 GmbH",
    "kind": "receipt",
    "paid": True,
    "lines": [{"name": "Äpfel", "total": 1.5}, {"name": "Äpfel", "total": 2.5, "taxes": [{"rate": 0.19}]}],
    "prices": {"a.b": 1.0},
    "tags": ["🎉", "not in the text"],
}
ROW = {
    "id": "r-1",
    "text": TEXT,
    "output": RECORD,
    "confidence": {"record": 0.71234, "fields": {"company": 0.9, "lines.0.name": 0.5}, "calibrated": True},
    "shop": {"number": 3, "名": "🏪"},
}


def there_and_back(
    rows: list[LabelledRow], schema: Schema[Any], name: FormatName, **options: Any
) -> tuple[list[LabelledRow], dict[str, int]]:
    settings_ = InterchangeOptions(**options)
    content, written = rows_content(rows, schema, name, settings_)
    lines = json.loads(content) if name == "label-studio" else [json.loads(line) for line in content.split("\n")[:-1]]
    return read_rows(lines, schema, name, settings_).rows, dict(written.lost)


@st.composite
def zoo_rows(draw: Any, type_: Any) -> LabelledRow:
    """A record, and a text that has some of its values with all sorts of characters between them."""
    schema: Schema[Any] = Schema.of(type_)
    value = draw(values(schema, schema.tree))
    try:
        record = schema.canonical_value(schema.parse_value(value))
        schema.canonical_json(schema.parse_value(record))
    except (ValueError, SchemaError):
        assume(False)
    words = [found.value for found in scalars(record, schema) if draw(st.booleans())]
    parts = [word if isinstance(word, str) else json.dumps(word) for word in words]
    text = "".join(draw(NOISE) + part for part in parts) + draw(NOISE) + "."
    assume(not is_blank(text) and "\x00" not in text)
    return LabelledRow(number=1, text=text, record=record, id=draw(st.none() | st.integers() | st.text(max_size=4)))


@pytest.mark.parametrize("type_", ZOO, ids=zoo_id)
@pytest.mark.parametrize("name", ["rows", *TASKS])
def test_every_record_comes_back(type_: Any, name: FormatName) -> None:
    schema: Schema[Any] = Schema.of(type_)

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(row=zoo_rows(type_), unit=st.sampled_from(OFFSET_UNITS))
    def check(row: LabelledRow, unit: Any) -> None:
        (back,), lost = there_and_back([row], schema, name, offsets=unit)
        assert (back.text, back.record, back.id) == (row.text, row.record, row.id)
        assert not lost

    check()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.lists(NOISE | st.text(st.characters(codec="utf-8"), max_size=3)).map("".join), data=st.data())
def test_positions_are_those_of_the_unit(text: str, data: Any) -> None:
    at = data.draw(st.integers(0, len(text)))
    units = OffsetMap(text, "utf-16")
    assert units.from_characters(at) == len(text[:at].encode("utf-16-le")) // 2
    for unit in OFFSET_UNITS:
        offsets = OffsetMap(text, unit)
        found = offsets.from_characters(at)
        assert found is None or offsets.to_characters(found) == at
    assert units.to_characters(len(text.encode("utf-16-le")) // 2 + 1) is None


def test_a_position_inside_of_an_emoji_is_none() -> None:
    assert OffsetMap("a🎉b", "utf-16").to_characters(2) is None
    assert OffsetMap("a🎉b", "utf-16").to_characters(3) == 2
    assert OffsetMap("e\u0301b", "graphemes").from_characters(1) is None
    assert OffsetMap("e\u0301b", "graphemes").to_characters(1) == 2


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_with_all_there_is(name: FormatName) -> None:
    row = read_rows([ROW], SCHEMA).rows
    (back,), lost = there_and_back(row, SCHEMA, name, predictions=True)
    assert (back.text, back.record) == (TEXT, RECORD)
    if name == "rows" or name in TASKS:
        assert (back.id, back.confidence, back.extra) == ("r-1", ROW["confidence"], {"shop": ROW["shop"]})
        assert not lost
    else:
        expected = {"confidence", "other columns"} | ({"id"} if name != "sharegpt" else set())
        assert set(lost) == expected


@pytest.mark.parametrize("name", TASKS)
def test_places_come_back(name: FormatName) -> None:
    (first,) = read_rows([ROW], SCHEMA).rows
    (placed,), _ = there_and_back([first], SCHEMA, name, predictions=True)
    assert placed.spans is not None
    assert {path: TEXT[spans[0].start : spans[0].end] for path, spans in placed.spans.items()} == {
        "company": "Cafe\u0301 GmbH",
        "kind": "receipt",
        "lines.0.name": "Äpfel",
        "lines.0.total": "1,50",
        "lines.1.name": "Äpfel",
        "lines.1.total": "2.5",
        "lines.1.taxes.0.rate": "0.19",
        "tags.0": "🎉",
    }
    assert placed.spans["lines.0.name"] != placed.spans["lines.1.name"]
    (again,), lost = there_and_back([placed], SCHEMA, name, predictions=True)
    assert again == placed
    assert not lost


@pytest.mark.parametrize("name", TASKS)
def test_further_places_are_said_to_be_lost(name: FormatName) -> None:
    text = "tea or tea"
    spans = {"company": (Span(0, 3, "exact"), Span(7, 10, "exact"))}
    row = LabelledRow(number=1, text=text, record={"company": "tea", "kind": "receipt"}, spans=spans)
    _, lost = there_and_back([row], SCHEMA, name)
    assert lost == {"further places of a value": 1}


@pytest.mark.parametrize("name", ["openai", "alpaca", "sharegpt"])
def test_training_data_is_read_by_the_loader_of_examples(name: FormatName) -> None:
    content, _ = rows_content(read_rows([ROW], SCHEMA).rows, SCHEMA, name)
    (example,) = load_examples([json.loads(content)], SCHEMA)
    assert example.text == TEXT
    assert SCHEMA.canonical_value(example.output) == RECORD


def test_openai_gets_messages_alone() -> None:
    content, _ = rows_content(read_rows([ROW], SCHEMA).rows, SCHEMA, "openai")
    line = json.loads(content)
    assert list(line) == ["messages"]
    assert [turn["role"] for turn in line["messages"]] == ["system", "user", "assistant"]
    assert line["messages"][2]["content"] == SCHEMA.canonical_json(SCHEMA.parse_value(RECORD))


def test_a_record_that_would_come_back_as_another_is_refused() -> None:
    schema: Schema[Any] = Schema.of(str | Tax)
    rows = read_rows([{"text": "at 3", "output": {"rate": 3.0}}], schema).rows
    with pytest.raises(DatasetError, match="1 rows would not come back from openai") as caught:
        rows_content(rows, schema, "openai")
    assert caught.value.issues[0].row == 1
