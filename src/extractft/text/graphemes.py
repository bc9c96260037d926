"""Grapheme clusters: what a reader takes for one character, by the rules of Unicode Standard Annex 29.

A cluster may be several code points: a letter with its accents, an emoji of a family, a flag, CR with LF. The rules are
those of the `regex` library. Knows code points; knows no words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property

import regex

__all__ = ["Clusters"]

_BEHIND = r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]"
_JOINABLE = regex.compile(
    r"\r\n|[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=Regional_Indicator}"
    r"\p{GCB=L}\p{GCB=V}\p{GCB=T}]"
)
"""Without one of these, every character of a text is a cluster of its own."""
_CLUSTER = regex.compile(rf"\p{{GCB=Prepend}}*+\p{{GCB=Regional_Indicator}}{{2}}{_BEHIND}*+|\X")
"""Flags are taken in pairs first: the library counts a run of them anew at each of its ends."""


class Clusters:
    """The grapheme clusters of a text.

    Args:
        text: Any text; it is taken apart when the first question is asked.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Start and end of each cluster, from left to right."""
        return (match.span() for match in _CLUSTER.finditer(self._text))

    def splits(self, at: int) -> bool:
        """True if a position is inside of a cluster."""
        return self._around(at) is not None

    def start(self, at: int) -> int:
        """The position itself, or the start of the cluster that it is inside of."""
        around = self._around(at)
        return at if around is None else around[0]

    def end(self, at: int) -> int:
        """The position itself, or the end of the cluster that it is inside of."""
        around = self._around(at)
        return at if around is None else around[1]

    def _around(self, at: int) -> tuple[int, int] | None:
        """The cluster that a position is inside of."""
        starts, ends = self._longer
        index = bisect_left(starts, at) - 1
        return (starts[index], ends[index]) if index >= 0 and at < ends[index] else None

    @cached_property
    def _longer(self) -> tuple[list[int], list[int]]:
        """Starts and ends of the clusters of more than one code point."""
        if _JOINABLE.search(self._text) is None:
            return [], []
        longer = [(start, end) for start, end in self if end - start > 1]
        return [start for start, _ in longer], [end for _, end in longer]
