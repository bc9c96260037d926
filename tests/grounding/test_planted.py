"""Values planted into random texts are found where they were planted, however they are written there."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from extractft.grounding import ground
from extractft.schema import Schema, Verbatim, verbatim_sources
from extractft.text import Clusters
from extractft.text.folding import fold, fold_value
from extractft.text.scanners.numbers import plain_digits, scan_numbers
from timing import assert_within

VALUE: Schema[Any] = Schema.of(create_model("Record", value=(str, ...)))
NUMBER: Schema[Any] = Schema.of(create_model("Number", value=(int, ...)))
NOISE = st.lists(
    st.sampled_from(
        ["\r\n", "\n", "  ", "\u3000", "e\u0301", "o\u0308\u0323", "👨‍👩‍👧", "🇩🇪", "Ａ", "１２", "。", "，", "words and ", "林街", "ß",
         "ﬁ", "ｶﾞ", "각", "\u200b", "ﾞ", "\ufeff", "क्षि", "İ", "…", "½", "2024"]
    ),
    max_size=12,
).map("".join)  # fmt: skip
PLANTED = st.text(st.sampled_from("qzQZ龙琳鑫éöБж"), min_size=4, max_size=10)


def wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


WRITINGS = [
    str,
    str.upper,
    str.lower,
    wide,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFKD", text.upper()),
]


@given(NOISE, PLANTED, NOISE, st.sampled_from(WRITINGS))
def test_planted_text_is_found(before: str, value: str, after: str, write: Any) -> None:
    written = write(value)
    text = f"{before}|{written}|{after}"
    spans = ground(VALUE, {"value": unicodedata.normalize("NFC", value)}, text)["value"]
    start = len(before) + 1
    place = start, start + len(written)
    assert place in [(span.start, span.end) for span in spans]
    for span in spans:
        assert 0 <= span.start < span.end <= len(text)
        assert span.method != "exact" or text[span.start : span.end] == unicodedata.normalize("NFC", value)
        assert (span.score == 1) == (span.method != "fuzzy")


@settings(max_examples=300)
@given(st.lists(st.tuples(NOISE, PLANTED), min_size=1, max_size=3), st.data())
def test_what_a_verbatim_field_can_hold_has_a_place(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(map("".join, parts)).translate({ord(char): "x" for char in "ßﬁİ"})  # upper case of more characters
    composed = unicodedata.normalize("NFC", text)
    kind = data.draw(st.sampled_from(["exact", "normalized"]))
    source = data.draw(st.sampled_from(verbatim_sources(composed, kind)))
    start = data.draw(st.integers(0, len(source) - 1))
    value = source[start : data.draw(st.integers(start + 1, len(source)))]
    schema: Schema[Any] = Schema.of(create_model("R", value=(Annotated[str, Verbatim(kind == "normalized")], ...)))
    spans = ground(schema, {"value": value}, text)["value"]
    if kind == "exact":
        assert spans
        assert value in unicodedata.normalize("NFC", text[spans[0].start : spans[0].end])
    elif fold_value(value) and not any(map(Clusters(source).splits, (start, start + len(value)))):
        assert spans


@given(
    NOISE, st.integers(100, 10**6), NOISE, st.sampled_from([str, "{:,}".format, lambda n: wide(str(n)), "{}.00".format])
)
def test_planted_numbers_are_found(before: str, value: int, after: str, write: Any) -> None:
    written = write(value)
    text = f"{before}|{written}|{after}"
    spans = ground(NUMBER, {"value": value}, text)["value"]
    assert (len(before) + 1, len(before) + 1 + len(written)) in [(span.start, span.end) for span in spans]


@given(st.text(max_size=60), st.booleans())
def test_folding_keeps_the_way_back(text: str, loose: bool) -> None:
    text = unicodedata.normalize("NFC", text)
    view = fold(text, loose=loose)
    assert len(view.origins) == len(view.text)
    assert all(a <= b for a, b in zip(view.origins, view.origins[1:], strict=False))
    assert all(0 <= origin < len(text) for origin in view.origins)
    assert fold(view.text, loose=loose).text == view.text or not view.text.isascii()
    for start in range(len(view.text)):
        for end in range(start + 1, min(start + 4, len(view.text)) + 1):
            place = view.to_source(start, end)
            if place is not None:
                assert 0 <= place[0] < place[1] <= len(text)


@given(st.text(st.sampled_from("0123456789.,-%年月日十二三万亿点 ab:/+eE块五"), max_size=40))
def test_numbers_lie_within_the_text_and_cut_no_digits(text: str) -> None:
    plain = plain_digits(text)
    assert len(plain) == len(text)
    for numerals in scan_numbers(plain).values():
        for numeral in numerals:
            assert 0 <= numeral.start < numeral.end <= len(text)
            assert not (numeral.start and text[numeral.start - 1].isdigit() and text[numeral.start].isdigit())
            assert not (text[numeral.end - 1].isdigit() and text[numeral.end : numeral.end + 1].isdigit())


@settings(max_examples=50)
@given(st.text(max_size=80), st.text(max_size=12), st.integers(-5, 3000))
def test_any_text_and_value_will_do(text: str, value: str, number: int) -> None:
    for schema, leaf in ((VALUE, value), (NUMBER, number)):
        for span in ground(schema, {"value": leaf}, text)["value"]:
            assert 0 <= span.start < span.end <= len(text)


class Everything(BaseModel):
    text: str = "x"
    number: int = 1
    decimal: Decimal = Decimal(1)
    day: date = date(2024, 1, 1)
    moment: datetime = datetime(2024, 1, 1)
    clock: time = time(1)
    length: timedelta = timedelta(1)


RUNS = [
    "9",
    "一",
    "十",
    "万",
    "1,",
    "1.",
    "-1",
    "1-",
    "年",
    "二月",
    "1:1",
    "one ",
    "hundred ",
    " and",
    "%",
    "e9",
    "块五",
    " ",
    "\n",
    "may ",
    "1h ",
    "天",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(RUNS), st.integers(1, 3000)), min_size=1, max_size=4))
def test_hostile_texts_do_no_harm(parts: list[tuple[str, int]]) -> None:
    text = "".join(part * (count // len(part) + 1) for part, count in parts)
    schema = Schema.of(Everything, omit_defaults=False)
    value = schema.canonical_value(Everything(text=text[:50].strip() or "x"))
    found = assert_within(lambda: ground(schema, value, text), 2)
    assert all(0 <= span.start < span.end <= len(text) for spans in found.values() for span in spans)
