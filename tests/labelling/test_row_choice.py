"""Rows to label next: uncertain, unlike each other, none twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.data import text_key
from extractft.errors import DatasetError
from extractft.labelling import choose_rows

KINDS = ("invoice of {} for tea, payable at once", "Lebenslauf: {}, geboren in Köln 🎂", "投诉：{}，小区垃圾堆积成山")


def texts_of_kinds(each: int) -> list[str]:
    return [kind.format(f"name{number} {number * 7919}") for kind in KINDS for number in range(each)]


def test_each_kind_of_text_is_chosen() -> None:
    texts = texts_of_kinds(20)
    assert {place // 20 for place in choose_rows(texts, 3)} == {0, 1, 2}


def test_certain_texts_are_left_for_later() -> None:
    texts = texts_of_kinds(40)
    confidences = [0.2 if place % 40 < 10 else 0.99 for place in range(len(texts))]
    chosen = choose_rows(texts, 3, confidences=confidences)
    assert all(place % 40 < 10 for place in chosen)
    assert {place // 40 for place in chosen} == {0, 1, 2}


def test_failed_texts_count_as_uncertain() -> None:
    confidences = [0.9, None, 0.8, float("nan")]
    assert choose_rows(["a b", "c d", "e f", "g h"], 4, confidences=confidences) == [1, 3, 2, 0]


def test_what_is_labelled_or_equal_is_not_chosen() -> None:
    texts = ["Tea  House", "tea house", "rice", "salt", "e\u0301", "\u00e9"]
    assert choose_rows(texts, 10, labelled=["RICE"]) == [0, 3, 4]


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.text(min_size=0, max_size=8), max_size=25),
    count=st.integers(1, 12),
    data=st.data(),
)
def test_as_many_as_are_wanted_and_always_the_same(texts: list[str], count: int, data: st.DataObject) -> None:
    confidences = data.draw(st.none() | st.lists(st.floats(0, 1), min_size=len(texts), max_size=len(texts)))
    chosen = choose_rows(texts, count, confidences=confidences)
    assert len(chosen) == min(count, len({text_key(text) for text in texts}))
    assert len({text_key(texts[place]) for place in chosen}) == len(chosen)
    assert chosen == choose_rows(texts, count, confidences=confidences)


def test_wrong_arguments() -> None:
    with pytest.raises(DatasetError, match="count of at least 1"):
        choose_rows(["a"], 0)
    with pytest.raises(DatasetError, match="a confidence for each of 2 texts, found 1"):
        choose_rows(["a", "b"], 1, confidences=[0.5])
