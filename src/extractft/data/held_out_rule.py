"""The rule by which rows are held out once and for all, kept without saying anything of a single row.

Rows are ranked by a hash of seed and text (`held_out_split`), and those in some ranges of the ranks are held out. The
ends of a range are as short as can be between two rows' ranks: whoever reads them learns where a range ends, and can
try out no name and no text. One hash of all held-out rows together tells if they are the same rows again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, Self

from extractft.data.example import Example
from extractft.data.held_out_split import row_rank, text_key

__all__ = ["HeldOutRange", "HeldOutRule", "rows_digest_of"]


class HeldOutRange(NamedTuple):
    """Ranks that are held out: from `start` on and below `end`, which is empty where there is no end.

    Attributes:
        seed: Seed of the ranks.
        start: Beginning of the range, as hexadecimal digits.
        end: Its end.
    """

    seed: int
    start: str
    end: str

    def holds(self, key: str) -> bool:
        """True if a text of this key is held out."""
        rank = row_rank(self.seed, key).hex()
        return self.start <= rank and (not self.end or rank < self.end)


class HeldOutRule(NamedTuple):
    """The rows that an extractor was scored on and never trained on.

    Attributes:
        ranges: Ranges of ranks; none if the rows were handed over by themselves.
        rows: Number of the rows.
        sha256: Hash of all of them together.
    """

    ranges: tuple[HeldOutRange, ...] = ()
    rows: int = 0
    sha256: str = ""

    @classmethod
    def of_split(cls, train: Sequence[Example[Any]], held_out: Sequence[Example[Any]], seed: int) -> Self:
        """The rule that splits these rows like this, and any others by their texts alone."""
        inside = {text_key(example.text) for example in held_out}
        outside = {text_key(example.text) for example in train}
        return cls(tuple(_ranges(inside, outside, seed)), len(held_out), rows_digest_of(held_out))

    @classmethod
    def of_own(cls, held_out: Sequence[Example[Any]]) -> Self:
        """The rule of rows that were handed over by themselves: no ranges, but one hash of all of them."""
        return cls((), len(held_out), rows_digest_of(held_out))

    def split(self, examples: Iterable[Example[Any]]) -> tuple[list[Any], list[Any]]:
        """Training and held-out rows."""
        parts: tuple[list[Any], list[Any]] = ([], [])
        for example in examples:
            parts[self.holds(example.text)].append(example)
        return parts

    def holds(self, text: str) -> bool:
        """True if a text is held out."""
        key = text_key(text)
        return any(found.holds(key) for found in self.ranges)

    def joined(self, other: HeldOutRule) -> HeldOutRule:
        """The ranges of both, with the rows of this one."""
        return self._replace(ranges=tuple(dict.fromkeys([*self.ranges, *other.ranges])))


def rows_digest_of(examples: Iterable[Example[Any]]) -> str:
    """One hash of the texts of all rows together, whatever their order."""
    found = hashlib.sha256()
    for key in sorted({text_key(example.text) for example in examples}):
        content = key.encode("utf-8", "surrogatepass")
        found.update(len(content).to_bytes(8, "big") + content)
    return found.hexdigest()


def _ranges(inside: Collection[str], outside: Collection[str], seed: int) -> Iterable[HeldOutRange]:
    ranked = sorted((row_rank(seed, key).hex(), key in inside) for key in {*inside, *outside})
    start, before = "", ""
    held = False
    for rank, own in ranked:
        if own is not held:
            edge = _between(before, rank)
            if held:
                yield HeldOutRange(seed, start, edge)
            start, held = edge, own
        before = rank
    if held:
        yield HeldOutRange(seed, start, "")


def _between(before: str, rank: str) -> str:
    """The shortest beginning of `rank` that comes after `before`; empty at the start."""
    if not before:
        return ""
    length = next(place for place, (one, other) in enumerate(zip(before, rank, strict=True)) if one != other)
    return rank[: length + 1]
