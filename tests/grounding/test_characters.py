from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.grounding.characters import cuts_word, splits_character

SIGNS = [
    "a", "é", " ", "\r", "\n", "\u0301", "\u0308", "\u200d", "\ufe0f", "👩", "👧", "\U0001f3fb", "\U0001f1e9", "\U0001f1ea",
    "❤", "각", "가", "\u1100", "\u1161", "\u11a8", "क", "ष", "\u094d", "\u093f", "ก", "\u0e33", "龙", "ﾞ", "1", "\u20e3", "\u00ad",
]  # fmt: skip


@settings(max_examples=500)
@given(st.lists(st.sampled_from(SIGNS), max_size=8).map("".join))
def test_characters_are_those_of_unicode(text: str) -> None:
    ends = {match.end() for match in regex.finditer(r"\X", text)}
    inside = [at for at in range(1, len(text)) if splits_character(text, at)]
    # a virama that other marks stand behind joins as well, which is left out here
    if "\u094d" in text and any(mark in text for mark in "\u0301\u0308\u200d\ufe0f\u093fﾞ\u20e3\U0001f3fb"):
        return
    assert inside == [at for at in range(1, len(text)) if at not in ends]


@pytest.mark.parametrize(
    ("text", "at", "cuts"),
    [
        ("team", 2, True),
        ("a team", 2, False),
        ("x3", 1, False),
        ("13", 1, True),
        ("林街", 1, False),
        ("林a", 1, False),
        ("Łódź", 2, True),
        ("домом", 3, True),
        ("서울에서", 2, False),
        ("e\u0301a", 2, True),
        ("a", 0, False),
        ("a", 1, False),
    ],
)
def test_words(text: str, at: int, cuts: bool) -> None:
    assert cuts_word(text, at) is cuts
