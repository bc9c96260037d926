"""A text in a form that ignores how something is written, with the way back to the characters.

Folding makes equal what differs in width (full-width, half-width), case, white space, and the kind of quotes, dashes
and commas; loose folding also drops accents. White space stays only between words of scripts that set it. Unlike
`unicodedata.normalize`, folding goes character by character, so that every folded character has one origin. Knows
characters, not values.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Final

from extractft.text.graphemes import Clusters
from extractft.text.nfc import normal_form
from extractft.text.word_boundaries import word_part

__all__ = ["FoldedText", "fold", "fold_value", "squeeze"]

EDGES = " .,;:!?·'\"-"
"""Characters that loose folding leaves out at both ends of a value."""
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
_SPACE = re.compile(r"\s")
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
        clusters: The grapheme clusters of `source`.
    """

    text: str
    source: str = field(repr=False)
    origins: list[int] = field(repr=False)
    clusters: Clusters = field(repr=False)

    def to_source(self, start: int, end: int) -> tuple[int, int] | None:
        """The characters of the source that became `text[start:end]`, or `None` if it cuts through one of them.

        Args:
            start: First character of a folded piece that is not empty.
            end: Character after the last one.
        """
        origins = self.origins
        if start and origins[start - 1] == origins[start]:
            return None
        if end < len(origins) and (origins[end] == origins[end - 1] or unicodedata.combining(self.text[end])):
            return None
        first = origins[start]
        after = self.clusters.end(origins[end - 1] + 1)  # with the marks that were dropped
        following = origins[end] if end < len(origins) else len(self.source)
        return None if after > following or self.clusters.splits(first) else (first, after)


def fold(text: str, *, loose: bool = False, clusters: Clusters | None = None) -> FoldedText:
    """Fold a text.

    Args:
        text: Any text, best in NFC.
        loose: True if accents are dropped.
        clusters: The grapheme clusters of the text, if they are known.
    """
    parts = list(map(_FOLDERS[loose].__getitem__, text))
    folded = "".join(parts)
    if len(folded) == len(parts) and all(parts):
        origins = list(range(len(text)))
    else:
        origins = list(chain.from_iterable(map(repeat, range(len(parts)), map(len, parts))))
    kept_text, kept = _without_spaces(folded, origins)
    return FoldedText(kept_text, text, kept, clusters or Clusters(text))


def squeeze(text: str) -> str:
    """A text without differences in white space alone: a blank stays between words that need it."""
    return _without_spaces(_SPACE.sub(" ", text), [])[0]


def fold_value(value: str, *, loose: bool = False) -> str:
    """A value in the form in which it is looked up in a folded text."""
    folded = fold(normal_form("NFC", value), loose=loose).text
    return folded.strip(EDGES) if loose else folded


def _without_spaces(folded: str, origins: list[int]) -> tuple[str, list[int]]:
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
    return "".join(pieces), kept


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
