"""A text with everything that is looked up in it, each view made when it is first needed. Knows no values."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import time, timedelta
from decimal import Decimal
from functools import cached_property

from extractft.grounding.dates import Dates, scan_dates, scan_times
from extractft.grounding.durations import scan_durations
from extractft.grounding.numbers import Numeral, plain_digits, scan_numbers
from extractft.grounding.views import FoldedText, fold
from extractft.prompt import normalize_text

__all__ = ["Source"]

_JOINED = re.compile(r"[0-9]+(?:[-/:.][0-9]+){2,}")


class Source:
    """A text to look values up in.

    Attributes:
        original: The text as it was handed in.
        text: The same in NFC, as the model saw it; all places are places in it, until `to_original`.
    """

    def __init__(self, text: str) -> None:
        self.original = text
        self._normalized = normalize_text(text)
        self.text = self._normalized.text

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original that became `text[start:end]`."""
        return self._normalized.to_source(start, end)

    @cached_property
    def folded(self) -> FoldedText:
        """The text without differences in width, case, white space and punctuation."""
        return fold(self.text)

    @cached_property
    def loose(self) -> FoldedText:
        """The same without accents."""
        return fold(self.text, loose=True)

    @cached_property
    def plain(self) -> str:
        """The text with digits and the signs around them in ASCII, character for character."""
        return plain_digits(self.text)

    @cached_property
    def numbers(self) -> Mapping[Decimal, list[Numeral]]:
        """All numbers, by value."""
        return scan_numbers(self.plain)

    @cached_property
    def dates(self) -> Dates:
        """All dates."""
        return scan_dates(self.plain)

    @cached_property
    def times(self) -> Mapping[time, list[tuple[int, int]]]:
        """All times of day."""
        return scan_times(self.plain)

    @cached_property
    def durations(self) -> Mapping[timedelta, list[tuple[int, int]]]:
        """All durations."""
        return scan_durations(self.plain, (numeral for same in self.numbers.values() for numeral in same))

    def within_figures(self, start: int, end: int) -> bool:
        """Whether a place is within a date, a time of day, or figures joined to a telephone number or the like."""
        at = bisect_right(self._figures, (start, len(self.text))) - 1
        return at >= 0 and end <= self._figures[at][1]

    @cached_property
    def _figures(self) -> list[tuple[int, int]]:
        """These places from left to right, without those that lie within others."""
        moments = (*self.dates.whole.values(), *self.dates.yearless.values(), *self.times.values())
        every = [place for places in moments for place in places]
        every += [match.span() for match in _JOINED.finditer(self.plain)]
        apart: list[tuple[int, int]] = []
        for place in sorted(every, key=lambda place: (place[0], -place[1])):
            if not apart or place[1] > apart[-1][1]:
                apart.append(place)
        return apart
