"""A text in a form that ignores how something is written, with the way back to the characters.

Folding makes equal what differs in width (full-width, half-width), case, white space, and the kind of quotes, dashes
and commas; loose folding also drops accents. White space stays only between words of scripts that set it. Unlike
`unicodedata.normalize`, folding goes character by character, so that every folded character has one origin. Knows
characters, not values.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Final

from extractft.grounding.characters import splits_character, word_part

__all__ = ["FoldedText", "fold", "fold_value"]

EDGES = " .,;:!?·'\"-"
"""What loose folding leaves out at both ends of a value."""
_VARIANTS: Final = {
    "'": "‘’‚‛′´`ʼ＇",
    '"': "“”„‟«»「」『』〝〞〟″",
    "-": "‐‑‒–—―−﹣－⁃",
    "~": "∼〜～",
    "·": "•‧∙・･●",
    ",": "、､，",
    ".": "。｡",
    "...": "…⋯",
    "<": "〈《‹",
    ">": "〉》›",
    "(": "（﹙〔",
    ")": "）﹚〕",
    "[": "【〖",
    "]": "】〗",
    "/": "⁄∕",
    "x": "×",
    "¥": "￥",
}
_SAME = {variant: char for char, variants in _VARIANTS.items() for variant in variants}
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
"""Letters with strokes have no decomposition; loose folding takes them for their neighbours."""
_UNLIKE = ("<super>", "<sub>", "<circle>", "<fraction>")
"""Compatibility forms that mean something else: 10² is not 102."""


class _Folder(dict[str, str]):
    """Folds one character; remembers those that it has folded."""

    def __init__(self, *, loose: bool) -> None:
        self._loose = loose

    def __missing__(self, char: str) -> str:
        self[char] = folded = self._fold(char)
        return folded

    def _fold(self, char: str) -> str:
        if char in _SAME:
            return _SAME[char]
        if char.isspace():
            return " "
        if unicodedata.category(char) in ("Cc", "Cf") or "\ufe00" <= char <= "\ufe0f":
            return ""
        if unicodedata.decomposition(char).startswith(_UNLIKE):
            return char
        parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
        if parts.startswith(" "):  # an accent that stands alone
            return char
        if char.isdecimal():
            return str(unicodedata.decimal(char))
        parts = "".join(_SAME.get(part, part) for part in parts)
        if self._loose:
            parts = "".join(_LETTERS.get(part, part) for part in parts if not "\u0300" <= part <= "\u036f")
        return parts


_FOLDERS = {loose: _Folder(loose=loose) for loose in (False, True)}


@dataclass(frozen=True, slots=True)
class FoldedText:
    """A folded text.

    Attributes:
        text: The folded text.
        source: The text that was folded.
        origins: For each character of `text`, the index in `source` of the character that it came from; never
            falling.
    """

    text: str
    source: str = field(repr=False)
    origins: list[int] = field(repr=False)

    def find(self, folded: str) -> Iterator[tuple[int, int]]:
        """The places in the source, from left to right, that a folded value stands at; they may overlap.

        A place that begins or ends within a character of the source is none: `s` does not stand in `ß`.
        """
        start = self.text.find(folded) if folded else -1
        while start >= 0:
            place = self.to_source(start, start + len(folded))
            if place is not None:
                yield place
            start = self.text.find(folded, start + 1)

    def to_source(self, start: int, end: int) -> tuple[int, int] | None:
        """The characters of the source that became `text[start:end]`, or `None` if it cuts through one of them.

        Args:
            start: First character of a folded piece that is not empty.
            end: Character after the last one.
        """
        origins, source = self.origins, self.source
        if start and origins[start - 1] == origins[start]:
            return None
        if end < len(origins) and (origins[end] == origins[end - 1] or unicodedata.combining(self.text[end])):
            return None
        first, after = origins[start], origins[end - 1] + 1
        following = origins[end] if end < len(origins) else len(source)
        while after < following and splits_character(source, after):  # marks that were dropped
            after += 1
        if splits_character(source, first) or splits_character(source, after):
            return None
        return first, after


def fold(text: str, *, loose: bool = False) -> FoldedText:
    """Fold a text.

    Args:
        text: Any text, best in NFC.
        loose: Whether accents are dropped.
    """
    parts = list(map(_FOLDERS[loose].__getitem__, text))
    folded = "".join(parts)
    if len(folded) == len(parts) and all(parts):
        origins = list(range(len(text)))
    else:
        origins = list(chain.from_iterable(map(repeat, range(len(parts)), map(len, parts))))
    return _without_spaces(folded, text, origins)


def fold_value(value: str, *, loose: bool = False) -> str:
    """A value in the form in which it is looked up in a folded text."""
    folded = fold(unicodedata.normalize("NFC", value), loose=loose).text
    return folded.strip(EDGES) if loose else folded


def _without_spaces(folded: str, source: str, origins: list[int]) -> FoldedText:
    """Leave one blank between words that need it, and between numbers and what is set apart from them."""
    pieces: list[str] = []
    kept: list[int] = []
    done = 0
    start = folded.find(" ")
    while start >= 0:
        end = start + 1
        while end < len(folded) and folded[end] == " ":
            end += 1
        keep = int(_needs_blank(folded, start, end))
        if end - start > keep:
            pieces.append(folded[done : start + keep])
            kept += origins[done : start + keep]
            done = end
        start = folded.find(" ", end)
    pieces.append(folded[done:])
    kept += origins[done:]
    return FoldedText("".join(pieces), source, kept)


def _needs_blank(folded: str, start: int, end: int) -> bool:
    if not start or end == len(folded):
        return False
    after = word_part(folded[end])
    if after is None:
        return False
    if word_part(folded[start - 1]) is not None:
        return True
    # "1, 2" are two numbers, "1,2" may be one
    return after == "digit" and start > 1 and folded[start - 1] in ".,:-/" and word_part(folded[start - 2]) == "digit"
