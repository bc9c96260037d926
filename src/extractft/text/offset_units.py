"""Positions in a text as other programs count them: UTF-16 code units, or what a reader takes for one character.

Python counts code points. JavaScript, and so every annotation tool that runs in a browser, counts UTF-16 code units: an
emoji is two of them. Knows code points; knows no words.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property
from typing import Literal, get_args

from extractft.text.graphemes import Clusters

__all__ = ["OFFSET_UNITS", "OffsetMap", "OffsetUnit"]

OffsetUnit = Literal["characters", "utf-16", "graphemes"]
OFFSET_UNITS: tuple[OffsetUnit, ...] = get_args(OffsetUnit)

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


class OffsetMap:
    """Positions of a text in code points and in another unit.

    Args:
        text: The text.
        unit: The other unit.
    """

    def __init__(self, text: str, unit: OffsetUnit) -> None:
        self._text, self._unit = text, unit

    @cached_property
    def _starts(self) -> list[int]:
        """Of UTF-16, where characters of two units stand; of graphemes, where each begins, and the end of the text."""
        if self._unit == "utf-16":
            return [match.start() for match in _ASTRAL.finditer(self._text)]
        return [*(start for start, _ in Clusters(self._text)), len(self._text)]

    @cached_property
    def _units(self) -> list[int]:
        """The positions of `_starts` in UTF-16 code units."""
        return [start + before for before, start in enumerate(self._starts)]

    def from_characters(self, at: int) -> int | None:
        """The position in the other unit; `None` if it is inside of one."""
        if self._unit == "characters":
            return at
        index = bisect_left(self._starts, at)
        if self._unit == "utf-16":
            return at + index
        return index if index < len(self._starts) and self._starts[index] == at else None

    def to_characters(self, at: int) -> int | None:
        """The position in code points; `None` if there is none, in the middle of a character or behind the text."""
        if at < 0:
            return None
        if self._unit == "graphemes":
            return self._starts[at] if at < len(self._starts) else None
        before = 0
        if self._unit == "utf-16":
            before = bisect_left(self._units, at)
            if before and self._units[before - 1] == at - 1:
                return None
        return at - before if at - before <= len(self._text) else None
