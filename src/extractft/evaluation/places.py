"""The places of values in a text, as the report needs them. Knows places; knows no fields and no scores."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from extractft.text import IndexedText

__all__ = ["Lookup", "Places", "Range", "nearest"]

Range = tuple[int, int]
Places = Mapping[str, Sequence[Range]]
"""For each path of a record the places of its value in the text, most likely first."""


class Lookup(Protocol):
    """Looks the values of a record, in JSON form, up in its text."""

    def places(self, value: Any, text: IndexedText, *, words: bool) -> Places:
        """The places of each value.

        Args:
            value: The record.
            text: Its text.
            words: Whether to leave out parts of words for a value that also stands as a word. A prediction may well
                be half a word, a gold value hardly.
        """

    def ungrounded(self, value: Any, text: IndexedText) -> Collection[str]:
        """The paths of the values that are free text and stand nowhere in the text."""


def nearest(gold: Sequence[Range], prediction: Sequence[Range]) -> tuple[Range | None, Range | None]:
    """One place for each of two values: two that overlap if there are such, else the most likely ones."""
    ordered = sorted(prediction)
    starts = [start for start, _ in ordered]
    farthest = list(accumulate((end for _, end in ordered), max))
    for right in gold:
        before = bisect_left(starts, right[1])
        if before and farthest[before - 1] > right[0]:
            return right, next(found for found in prediction if right[0] < found[1] and found[0] < right[1])
    return next(iter(gold), None), next(iter(prediction), None)
