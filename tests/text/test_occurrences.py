"""The ladder: how a value and a piece of text are the same, and where."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.text import Clusters, IndexedText, Rung, SearchBudget, lowest_rung, normal_form, occurrences
from extractft.text.search_budget import MAX_TRIES, starts_of
from timing import assert_within


@pytest.mark.parametrize(
    ("value", "piece", "expected"),
    [
        ("Main Street", "Main Street", Rung.EXACT),
        ("Café", "Cafe\u0301", Rung.NFC),
        ("Main Street", "Main\n  Street", Rung.BLANKS),
        ("林街5号楼", "林街 5 号楼", Rung.BLANKS),
        ("Main Street", "MAIN  STREET", Rung.FOLDED),
        ("13号，一楼", "１３号,一楼", Rung.FOLDED),
        ("O'Neil", "O’Neil", Rung.FOLDED),
        ("Café", "cafe", Rung.LOOSE),
        ("Main Street", "Main Street.", Rung.LOOSE),
        ("Main Street", "Mainstreet", None),
        ("12", "1 2", None),
        ("a", "b", None),
    ],
)
def test_rungs(value: str, piece: str, expected: Rung | None) -> None:
    assert lowest_rung(value, piece) is expected
    assert lowest_rung(piece, value) is expected


@pytest.mark.parametrize(
    ("value", "text", "found", "expected"),
    [
        ("Main Street", "at Main Street 5", "Main Street", Rung.EXACT),
        ("Café", "the Cafe\u0301 here", "Cafe\u0301", Rung.NFC),
        ("Main Street", "at Main\nStreet 5", "Main\nStreet", Rung.BLANKS),
        ("main street", "at MAIN STREET", "MAIN STREET", Rung.FOLDED),
        ("Muller", "Herr Müller kommt", "Müller", Rung.LOOSE),
        ("13800000000", "call 138 0000 0000 now", "138 0000 0000", Rung.FORM),
        ("138 0000 0000", "call 13800000000 now", "13800000000", Rung.FORM),
        ("2024-05-01", "on May 1, 2024", "May 1, 2024", Rung.FORM),
        ("1280.50", "costs 1,280.50 in all", "1,280.50", Rung.FORM),
    ],
)
def test_places(value: str, text: str, found: str, expected: Rung) -> None:
    source = IndexedText(text)
    (place,) = occurrences(value, source)
    assert (source.slice(place.start, place.end), place.rung) == (found, expected)


def test_links_stand_without_scheme_and_slash() -> None:
    source = IndexedText("see example.com/a for more")
    assert not occurrences("https://example.com/a/", source)
    (place,) = occurrences("https://example.com/a/", source, link=True)
    assert (source.slice(place.start, place.end), place.rung) == ("example.com/a", Rung.FORM)


def test_values_that_are_only_parts_of_words_and_numbers() -> None:
    assert not occurrences("am", IndexedText("the team"))
    assert not occurrences("5", IndexedText("15 or 53"))
    assert occurrences("am", IndexedText("the team"), verbatim=True)
    assert not occurrences(" ", IndexedText("a b"))


@given(st.text(max_size=30), st.text(max_size=5), st.text(max_size=30))
def test_what_was_cut_from_a_text_between_blanks_is_in_it(before: str, value: str, after: str) -> None:
    text = f"{before} | {value} | {after}"
    source = IndexedText(text)
    start = len(before) + 3
    whole = not any(map(Clusters(text).splits, (start, start + len(value))))
    composed = normal_form("NFC", value)
    if value.strip() and whole and composed in source.text and any(map(str.isalnum, composed)):
        assert occurrences(value, source)


@settings(max_examples=300)
@given(st.text(max_size=40), st.text(max_size=6))
def test_a_place_is_what_its_rung_says(text: str, value: str) -> None:
    source = IndexedText(text)
    for place in occurrences(value, source):
        piece = source.slice(place.start, place.end)
        if place.rung < Rung.FORM:
            assert lowest_rung(value, piece) is not None
            assert lowest_rung(value, piece) <= place.rung  # type: ignore[operator]
        assert not source.cuts_cluster(place.start, place.end)


@given(
    st.text(st.sampled_from("e\u0301\u0323\u0315\u0344\u0f75\u1100\u1161\u11a8가龙ﬁ½"), max_size=120),
    st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]),
)
def test_normal_forms_are_those_of_unicode(text: str, form: str) -> None:
    assert normal_form(form, text) == unicodedata.normalize(form, text)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["NFC", "NFKD"])
def test_long_runs_of_marks_are_put_in_order_and_nothing_is_refused(form: str) -> None:
    text = "a" + "\u0315\u0300" * 2000 + "b"
    found = assert_within(lambda: normal_form(form, text), 0.1)  # type: ignore[arg-type]
    assert found == unicodedata.normalize(form, text)  # type: ignore[arg-type]


def test_a_budget_ends_a_search() -> None:
    budget = SearchBudget(100)
    found = len(list(starts_of("a", "a" * 100_000, budget)))
    assert found == MAX_TRIES
    for _ in range(10):
        found += len(list(starts_of("a", "a" * 100_000, budget)))
    assert found < 10 * MAX_TRIES
    assert not budget.allows_comparison(10**6)
    assert not list(starts_of("", "aaa", SearchBudget(3)))


def test_numbers_keep_all_their_digits() -> None:
    """Arithmetic on decimals rounds to 28 digits; the number of a contract has more."""
    long = "1" * 35
    source = IndexedText(f"no. {long} and {long[:-1]}2")
    (place,) = occurrences(long, source)
    assert source.slice(place.start, place.end) == long
    assert not occurrences(long[:-1] + "3", source)
