"""The text that a record copies from: where what is written stands in it, and what goes on there.

A value's first word has no white space in front, and the same bytes may be split into other tokens than in the text:
so places are found by bytes, and what follows is split into tokens anew, from the place on. Knows bytes and tokens;
knows no record.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, islice
from zlib import crc32

__all__ = ["PromptLookup"]

_AHEAD = 64
"""Bytes behind what is written that are split into tokens at a time."""
_UNSURE = 2
"""Tokens at the end of a piece that may be others when the text goes on."""
_STARTS = 4096
"""Words at which values may begin: the first ones of a longer text."""
_VOCABULARY = 32
"""Different words of a text that are looked at together."""
_LOOKED_AT = 8
"""Places of what is written that are looked at, in each direction from the last copy."""


class PromptLookup:
    """A text.

    Args:
        token_ids: The text's tokens.
        spelling: The bytes of a token.
        tokenize: The tokens of bytes, which need not be valid text.
    """

    def __init__(
        self, token_ids: Sequence[int], spelling: Callable[[int], bytes], tokenize: Callable[[bytes], list[int]]
    ) -> None:
        self._spelling, self._tokenize = spelling, tokenize
        spelled = [spelling(token_id) for token_id in token_ids]
        self.text = b"".join(spelled)
        self._offsets = list(accumulate(map(len, spelled), initial=0))
        self.words = [word.strip() for word in spelled]
        self._pieces: dict[int, tuple[int, list[int], dict[int, int]]] = {}
        self._starts: list[tuple[int, bytes, bytes]] | None = None
        self._vocabulary: list[int] | None = None

    def word_starts(self) -> list[tuple[int, bytes, bytes]]:
        """Places at which a value may begin: byte, the word before and the one before that, if any."""
        if self._starts is None:
            self._starts = list(islice(self._all_starts(), _STARTS))
        return self._starts

    def _all_starts(self) -> Iterator[tuple[int, bytes, bytes]]:
        second = first = b""
        for offset, end, word in zip(self._offsets, self._offsets[1:], self.words, strict=False):
            if word:
                lead = len(self.text[offset:end]) - len(self.text[offset:end].lstrip())
                yield offset + lead, first, second
                second, first = first, word

    def word_at(self, offset: int) -> bytes:
        """The first word from a byte on; empty within a token, and at the end."""
        index = bisect_right(self._offsets, offset) - 1
        # Behind the white space in front of a token is its beginning, too.
        if self.text[self._offsets[index] : offset].strip():
            return b""
        return self.word(self.index_at(offset))

    def index_at(self, offset: int) -> int:
        """Number of the first word that ends behind a byte; that of words if there is none."""
        index = bisect_right(self._offsets, offset) - 1
        while index < len(self.words) and not self.words[index]:
            index += 1
        return index

    def words_from(self, offset: int, count: int) -> list[int]:
        """Bytes at which the next words begin, from a byte on."""
        starts = self.word_starts()
        first = bisect_left(starts, (offset,))
        return [start for start, _, _ in starts[first : first + count]]

    def word(self, index: int) -> bytes:
        """One of the words; empty before the first and behind the last."""
        return self.words[index] if 0 <= index < len(self.words) else b""

    def vocabulary(self) -> list[int]:
        """The different words as whole numbers, the first ones of a longer text."""
        if self._vocabulary is None:
            self._vocabulary = [crc32(word) for word in islice(filter(None, dict.fromkeys(self.words)), _VOCABULARY)]
        return self._vocabulary

    def find(self, written: bytes, *, behind: int = 0, most: int = 2 * _LOOKED_AT) -> list[int]:
        """Places of some bytes, those from `behind` on first; not all of a great many."""
        before = self._found(written, 0, behind + len(written) - 1)
        return list(islice(chain(self._found(written, behind, len(self.text)), before), most))

    def next_token(self, start: int, length: int) -> int | None:
        """The token that goes on behind the first `length` bytes from `start` on; `None` at the end."""
        if start + length >= len(self.text):
            return None
        covered, ids, indices = self._pieces.get(start, (0, [], {}))
        if covered < length + _AHEAD // 2 and start + covered < len(self.text):
            covered, ids, indices = self._pieces[start] = self._split(start, 2 * length + _AHEAD)
        index = indices.get(length)
        if index is None or index == len(ids):
            ids, index = self._tokenize(self.text[start + length : start + length + _AHEAD]), 0
        return ids[index] if index < len(ids) else None

    def _split(self, start: int, size: int) -> tuple[int, list[int], dict[int, int]]:
        piece = self.text[start : start + size]
        ids = self._tokenize(piece)
        if start + size < len(self.text):
            del ids[-_UNSURE:]
        ends = accumulate((len(self._spelling(token_id)) for token_id in ids), initial=0)
        return len(piece), ids, {end: index for index, end in enumerate(ends)}

    def _found(self, written: bytes, low: int, high: int) -> Iterator[int]:
        for _ in range(_LOOKED_AT):
            place = self.text.find(written, low, high)
            if place < 0:
                return
            yield place
            low = place + 1
