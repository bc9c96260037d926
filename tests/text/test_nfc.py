from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.errors import PromptError
from extractft.text import is_blank, normalize_text
from timing import assert_within

COMPOSING = [
    "e\u0301",  # Latin with an accent
    "q\u0323\u0307",  # no composed form, in canonical order
    "q\u0307\u0323",  # the same marks, to be reordered
    "\u1100\u1161\u11a8",  # Hangul syllable in three parts
    "\uac00\u11a8",  # Hangul syllable and a final
    "\u0915\u093c",  # Devanagari, a composition that NFC excludes
    "\u0958",  # ... and its one-character form, which NFC decomposes
    "\u09c7\u09be",  # two Bengali vowel signs that make one
    "\u2126",  # Ohm sign, a singleton
    "\uf9dd",  # CJK compatibility ideograph
    "\U0002f800",  # the same beyond the basic plane
    "\U0001d15e",  # musical symbol that NFC decomposes
    "か\u3099",  # kana with a voicing mark
    "\u0344",  # a mark that NFC decomposes into two
    "=\u0338",
]
texts = st.lists(
    st.one_of(st.sampled_from(COMPOSING), st.text(st.characters(exclude_categories=["Cs"]), max_size=6)), max_size=12
).map("".join)


@pytest.mark.parametrize("text", ["", "plain", "龙琳，宁夏", "👍🏽", "é"])
def test_composed_text_is_taken_over(text: str) -> None:
    normalized = normalize_text(text)
    assert normalized.text == text
    assert normalized.replacements == ()
    assert normalized.to_source(0, len(text)) == (0, len(text))


def test_spans_lead_back_to_the_original() -> None:
    source = "Cafe\u0301 龙琳 \u2126"
    normalized = normalize_text(source)
    assert normalized.text == "Café 龙琳 Ω"
    assert normalized.to_source(3, 4) == (3, 5)
    assert normalized.to_source(0, 4) == (0, 5)
    assert normalized.to_source(5, 7) == (6, 8)
    assert normalized.to_source(8, 9) == (9, 10)
    assert normalized.from_source(6, 8) == (5, 7)
    assert normalized.from_source(3, 4) == (3, 4), "half a character is widened to the whole"


def test_a_cut_through_a_rewritten_group_is_widened() -> None:
    normalized = normalize_text("aq\u0307\u0323b")
    assert normalized.text == "aq\u0323\u0307b"
    assert normalized.to_source(2, 3) == (1, 4)
    assert normalized.to_source(4, 5) == (4, 5)


def test_empty_spans_stay_empty() -> None:
    normalized = normalize_text("e\u0301x")
    assert normalized.to_source(0, 0) == (0, 0)
    assert normalized.to_source(1, 1) == (2, 2)


@given(texts)
def test_text_is_nfc_and_pieces_tile_it(text: str) -> None:
    normalized = normalize_text(text)
    assert normalized.text == unicodedata.normalize("NFC", text)
    at_source = at_target = 0
    for replacement in normalized.replacements:
        (s0, s1), (t0, t1) = replacement.source, replacement.target
        assert text[at_source:s0] == normalized.text[at_target:t0]
        assert unicodedata.normalize("NFC", text[s0:s1]) == normalized.text[t0:t1]
        at_source, at_target = s1, t1
    assert text[at_source:] == normalized.text[at_target:]


@given(texts, st.data())
def test_spans_between_whole_characters_compose_to_the_same(text: str, data: st.DataObject) -> None:
    normalized = normalize_text(text)
    inside = {i for r in normalized.replacements for i in range(r.target[0] + 1, r.target[1])}
    borders = [i for i in range(len(normalized.text) + 1) if i not in inside]
    start, end = sorted((data.draw(st.sampled_from(borders)), data.draw(st.sampled_from(borders))))
    s, e = normalized.to_source(start, end)
    assert unicodedata.normalize("NFC", text[s:e]) == normalized.text[start:end]
    assert normalized.from_source(s, e) == (start, end)


@given(texts, st.data())
def test_any_span_leads_to_a_span_that_covers_it(text: str, data: st.DataObject) -> None:
    normalized = normalize_text(text)
    positions = st.integers(0, len(normalized.text))
    start, end = sorted((data.draw(positions), data.draw(positions)))
    s, e = normalized.to_source(start, end)
    assert 0 <= s <= e <= len(text)
    back = normalized.from_source(s, e)
    assert (start == end) or (back[0] <= start and back[1] >= end)


@given(texts)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalize_text(text).text
    assert normalize_text(once).text == once
    assert normalize_text(once).replacements == ()


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(PromptError, match="character 2") as caught:
        normalize_text("龙琳\ud83d!")
    assert "surrogate" in str(caught.value)
    assert caught.value.__notes__
    assert "龙琳" not in "".join([str(caught.value), *caught.value.__notes__])


@pytest.mark.parametrize("text", ["e\u0301" + "龙" * 50_000, "e\u0301" * 25_000, "e" + "\u0301" * 50_000])
def test_long_texts_are_quick(text: str) -> None:
    normalize_text("e\u0301")  # builds the table once
    normalized = assert_within(lambda: normalize_text(text), 1)
    assert normalized.text == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t\r", "\u3000", "\u00a0\u2003", "\u200b", "\ufeff", "\u200e\u202e \u2066", "\u00ad", "\x00", "\u2028",
     "\u2060\u200d\u200c", "\u3164", "\u115f", "\u2800", "\ufe0f", "\U000e0001\U000e0041", "\u180e", "\ufeff \u3000\u200b\n"],
)  # fmt: skip
def test_texts_with_nothing_to_read_are_blank(text: str) -> None:
    assert is_blank(text)
    assert is_blank(text * 3)
    assert not is_blank(f"{text}龙{text}")


@pytest.mark.parametrize("text", ["a", "。", "-", "0", "🧾", "无", "\u0301", "\ud800", "\u200b.\u200b"])
def test_texts_with_anything_to_read_are_not_blank(text: str) -> None:
    assert not is_blank(text)


@given(st.text())
def test_what_strips_to_nothing_is_blank(text: str) -> None:
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf").strip()
    if not visible:
        assert is_blank(text)
    assert is_blank(text) == is_blank(visible)
