"""`IndexedText`: a text with everything that is looked up in it, each view made when first needed. Knows no values."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import time, timedelta
from decimal import Decimal
from functools import cached_property

from extractft.text.folding import FoldedText, fold
from extractft.text.graphemes import Clusters
from extractft.text.nfc import compose
from extractft.text.scanners.dates import Dates, scan_dates, scan_times
from extractft.text.scanners.durations import scan_durations
from extractft.text.scanners.numbers import Numeral, plain_digits, scan_numbers

__all__ = ["IndexedText"]

_JOINED = re.compile(r"(?<![0-9])[0-9]++(?:[-/:.][0-9]++){2,}+")
_GROUPED = re.compile(r"[0-9](?:[ ()./\-\u00a0]{0,2}+[0-9])*+")
_EMOJI_DIGIT = re.compile("\ufe0f?\u20e3?|\ufe0e?")
"""Characters that may follow a digit in its cluster: the key around it, or the way to draw it."""


class IndexedText:
    """A text to look values up in.

    Attributes:
        original: The text as it was handed in.
        text: The same in NFC, as the model saw it; all places are places in it, until `to_original`.
    """

    def __init__(self, text: str) -> None:
        self.original = text
        self._composed = compose(text)
        self.text = self._composed.text

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the original that became `text[start:end]`."""
        return self._composed.to_source(start, end)

    def slice(self, start: int, end: int) -> str:
        """The part of the original that `text[start:end]` stands for."""
        start, end = self.to_original(start, end)
        return self.original[start:end]

    @cached_property
    def clusters(self) -> Clusters:
        """The grapheme clusters of the text in NFC."""
        return self._original_clusters if self.text == self.original else Clusters(self.text)

    @cached_property
    def _original_clusters(self) -> Clusters:
        return Clusters(self.original)

    def cuts_cluster(self, start: int, end: int) -> bool:
        """True if a place begins or ends within a grapheme cluster, here or in the original."""
        if self.clusters.splits(start) or self.clusters.splits(end):
            return True
        if self.text == self.original:
            return False
        return any(map(self._original_clusters.splits, self.to_original(start, end)))

    def whole_clusters(self, start: int, end: int) -> tuple[int, int]:
        """The place, widened to whole clusters here and in the original."""
        start, end = self.clusters.start(start), self.clusters.end(end)
        if self.text == self.original:
            return start, end
        first, after = self.to_original(start, end)
        widened = self._original_clusters.start(first), self._original_clusters.end(after)
        return (start, end) if widened == (first, after) else self._composed.from_source(*widened)

    def whole_digits(self, start: int, end: int) -> tuple[int, int] | None:
        """A place of digits with the keys that they are drawn on (5️⃣); `None` if it cuts any other cluster."""
        after = self.clusters.end(end)
        if after > end and _EMOJI_DIGIT.fullmatch(self.text, end, after):
            end = after
        return None if self.cuts_cluster(start, end) else (start, end)

    @cached_property
    def folded(self) -> FoldedText:
        """The text without differences in width, case, white space and punctuation."""
        return fold(self.text, clusters=self.clusters)

    @cached_property
    def loose(self) -> FoldedText:
        """The same without accents."""
        return fold(self.text, loose=True, clusters=self.clusters)

    @cached_property
    def plain(self) -> str:
        """The text with digits and the signs around them in ASCII, character for character."""
        return plain_digits(self.text)

    @cached_property
    def grouped_digits(self) -> tuple[str, list[int]]:
        """The digits without the signs that group them, each with its place; a blank between what does not belong."""
        digits: list[str] = []
        origins: list[int] = []
        for group in _GROUPED.finditer(self.plain):
            for at, char in enumerate(group[0], group.start()):
                if "0" <= char <= "9":
                    digits.append(char)
                    origins.append(at)
            digits.append(" ")
            origins.append(group.end())
        return "".join(digits), origins

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
        """True if a place is within a date, a time of day, or figures joined to a telephone number or the like."""
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
