"""No span cuts what a reader takes for one character, however the value was found."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from extractft.grounding import ground, split_text
from extractft.schema import Schema, Verbatim

VALUE: Schema[Any] = Schema.of(create_model("Record", value=(str, ...)))
COPIED: Schema[Any] = Schema.of(create_model("Copied", value=(Annotated[str, Verbatim()], ...)))
LOOSELY: Schema[Any] = Schema.of(create_model("Loosely", value=(Annotated[str, Verbatim(normalized=True)], ...)))


class Others(BaseModel):
    number: int
    amount: Decimal
    day: date
    kind: Literal["👩", "❤", "a", "12"]


OTHERS = Schema.of(Others)

CLUSTERS = [
    "👨‍👩‍👧‍👦", "👩‍💻", "👍🏽", "❤️", "❤", "🇨🇳", "🇩🇪", "🇨", "🏴\U000e0067\U000e0062\U000e007f", "1️⃣", "2️⃣", "5\u20e3", "#️⃣", "☎︎", "e\u0301", "é",
    "q\u0307\u0323", "n̈", "각", "\u1100\u1161\u11a8", "가\u11a8", "क्षि", "กำ", "ｶﾞ", "か\u3099", "\r\n", "\u200d", "\ufe0f", "\u0600", "🏽",
    "1", "2", "12", " ", "a", "man", "Main Street", "林", "5月1日", "2024-05-01", ".", "ß", "\u200b",
]  # fmt: skip
texts = st.lists(st.sampled_from(CLUSTERS), max_size=14).map("".join)


def borders(text: str) -> set[int]:
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


def assert_whole(schema: Schema[Any], value: Any, text: str) -> None:
    whole = borders(text)
    for path, spans in ground(schema, value, text).items():
        for span in spans:
            assert {span.start, span.end} <= whole, (path, span)
            assert span.start < span.end
            assert span.method != "exact" or text[span.start : span.end] == str(value[path])


@settings(max_examples=600)
@given(texts, texts, st.data())
def test_no_span_cuts_a_cluster(text: str, other: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for value in (text[start:end], other, text[start:end] + data.draw(st.sampled_from(CLUSTERS))):
        for schema in (VALUE, COPIED, LOOSELY):
            assert_whole(schema, {"value": value}, text)


@settings(max_examples=300)
@given(texts, st.sampled_from([1, 2, 5, 12, 512]), st.sampled_from(["👩", "❤", "a", "12"]))
def test_nor_those_of_numbers_dates_and_choices(text: str, number: int, kind: str) -> None:
    assert_whole(OTHERS, {"number": number, "amount": f"{number}", "day": "2024-05-01", "kind": kind}, text)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(CLUSTERS), min_size=4, max_size=14).map("".join), st.data())
def test_nor_those_of_what_is_similar(middle: str, data: st.DataObject) -> None:
    """A long value with a change in it, so that it is looked for by similarity."""
    value = f"the address of {middle} in the long street"
    cut = data.draw(st.integers(0, len(value)))
    text = f"{data.draw(texts)}{value[:cut]}{data.draw(st.sampled_from(CLUSTERS))}{value[cut:]}{data.draw(texts)}"
    assert_whole(VALUE, {"value": value}, text)


@given(texts, st.integers(3, 12), st.integers(0, 2))
def test_nor_do_windows(text: str, limit: int, overlap: int) -> None:
    whole = borders(text)
    longest = max((b - a for a, b in zip(sorted(whole), sorted(whole)[1:], strict=False)), default=0)
    for window in split_text(text, size=len, limit=max(limit, longest, overlap + 1), overlap=overlap):
        assert {window.start, window.end} <= whole


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("👨", "👨‍👩‍👧‍👦 family", None),
        ("🇨", "🇨🇳 China", None),
        ("👍", "👍🏽 ok", None),
        ("💻", "👩‍💻 dev", None),
        ("👍🏽", "👍🏽 ok", "👍🏽"),
        ("🇳🇩", "🇨🇳🇩🇪", None),
        ("🇩🇪", "🇨🇳🇩🇪", "🇩🇪"),
        ("room 5", "room 5️⃣ here", None),
        ("a line", "a line\r\nand more", "a line"),
        ("가", "각", None),
        ("cafe", "cafe\u0301 noir", "cafe\u0301"),
    ],
)
def test_half_a_character_has_no_place(value: str, text: str, found: str | None) -> None:
    spans = ground(VALUE, {"value": value}, text)["value"]
    assert [text[span.start : span.end] for span in spans] == ([] if found is None else [found])


def test_a_copied_half_gets_the_whole() -> None:
    (span,) = ground(COPIED, {"value": "👨"}, "our 👨‍👩‍👧‍👦 family")["value"]
    assert ("our 👨‍👩‍👧‍👦 family"[span.start : span.end], span.method) == ("👨‍👩‍👧‍👦", "normalized")


def test_a_number_on_a_key_is_that_number() -> None:
    schema: Schema[Any] = Schema.of(create_model("Number", value=(int, ...)))
    text = "press 5️⃣ now"
    (span,) = ground(schema, {"value": 5}, text)["value"]
    assert (text[span.start : span.end], span.method) == ("5️⃣", "normalized")
    assert not ground(schema, {"value": 5}, "press 5\u0338 now")["value"], "a digit that is struck out"
