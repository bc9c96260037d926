"""Everything that reads a text takes time that grows with its length alone, on texts made to take long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile import assert_bounded

from extractft.text import Clusters, IndexedText, is_blank, lowest_rung, normal_form, normalize_text, occurrences
from extractft.text.folding import fold, squeeze
from extractft.text.scanners.dates import scan_dates, scan_times
from extractft.text.scanners.numbers import plain_digits, scan_numbers

FINDERS: dict[str, Callable[[str], Any]] = {
    "normalise": normalize_text,
    "compatibility": lambda text: normal_form("NFKD", text),
    "blank": is_blank,
    "clusters": lambda text: Clusters(text).splits(1),
    "fold": fold,
    "fold loosely": lambda text: fold(text, loose=True),
    "squeeze": squeeze,
    "numbers": lambda text: scan_numbers(plain_digits(text)),
    "dates": lambda text: scan_dates(plain_digits(text)),
    "times": lambda text: scan_times(plain_digits(text)),
    "durations": lambda text: IndexedText(text).durations,
    "grouped digits": lambda text: IndexedText(text).grouped_digits,
    "figures": lambda text: IndexedText(text).within_figures(0, 1),
    "one character": lambda text: occurrences(text[2:3], IndexedText(text)),
    "a repeated value": lambda text: occurrences(text[2:1002], IndexedText(text)),
    "nearly a repeated value": lambda text: occurrences(text[2:502] + "q", IndexedText(text)),
    "a repeated copy": lambda text: occurrences(text[2:1002], IndexedText(text), verbatim=True),
    "a link": lambda text: occurrences("https://" + text[2:102], IndexedText(text), link=True),
    "spaced digits": lambda text: occurrences("1 " * 25 + "2", IndexedText(text)),
    "the same in two": lambda text: lowest_rung(text, text[:-1] + "q"),
}


@pytest.mark.parametrize("name", FINDERS)
def test_finders_are_bounded(name: str) -> None:
    normalize_text("e\u0301")  # builds the tables once
    assert_bounded(FINDERS[name])
