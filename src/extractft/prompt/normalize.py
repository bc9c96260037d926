"""Unicode normalisation with a way back: NFC text and where each of its spans stands in the original.

Tokenizers such as Qwen3's compose their input (NFC), so decomposed text does not survive tokenisation. Everything
downstream sees the normalised text; spans are reported in the original. Knows characters, not tokens.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from extractft.errors import PromptError

__all__ = ["NormalizedText", "Replacement", "is_blank", "normalize_text"]

LAST_COMPOSING_PLANE = 0x20000
"""Characters from here on never compose with the one before them: planes 2 and up hold ideographs."""
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf"})
"""Control and format characters: NUL, byte order mark, zero-width space and joiners, soft hyphen, bidi marks."""
INVISIBLE_CHARACTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code)
    for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for code in range(first, last + 1)
}
"""Characters of other categories that print nothing: fillers, the empty Braille cell, variation selectors."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Characters that normalisation rewrote together; spans count characters, end exclusive.

    Attributes:
        source: Span in the original text.
        target: Span in the normalised text.
    """

    source: tuple[int, int]
    target: tuple[int, int]


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """A text in NFC and the way back to the original.

    Attributes:
        text: The normalised text.
        replacements: What was rewritten, from left to right; empty for a text that was normalised already.
            Everything between two replacements was taken over character by character.
    """

    text: str
    replacements: tuple[Replacement, ...] = ()
    _targets: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    _sources: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_targets", tuple(r.target for r in self.replacements))
        object.__setattr__(self, "_sources", tuple(r.source for r in self.replacements))

    def to_source(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that became `text[start:end]`.

        A span that cuts through a rewritten group of characters is widened to the whole group; an empty span stays
        empty.

        Args:
            start: First character in the normalised text.
            end: Character after the last one.

        Returns:
            Start and end in the original text, in characters, end exclusive.
        """
        return _map_span(start, end, self._targets, self._sources)

    def from_source(self, start: int, end: int) -> tuple[int, int]:
        """The span of `text` that `source[start:end]` became; the inverse of `to_source`, with the same rules."""
        return _map_span(start, end, self._sources, self._targets)


def normalize_text(text: str) -> NormalizedText:
    """Compose a text (NFC) and remember where its characters came from.

    Args:
        text: Any text.

    Returns:
        The normalised text with its offset map.

    Raises:
        PromptError: The text holds a lone surrogate, which no tokenizer can encode.
    """
    if text.isascii():
        return NormalizedText(text)
    _refuse_surrogates(text)
    if unicodedata.is_normalized("NFC", text):
        return NormalizedText(text)
    pieces: list[str] = []
    replacements: list[Replacement] = []
    shift = kept = 0
    for group in _group_pattern().finditer(text):
        source = group.group()
        target = unicodedata.normalize("NFC", source)
        if target == source:
            continue
        start, end = group.span()
        replacements.append(Replacement((start, end), (start + shift, start + shift + len(target))))
        pieces += text[kept:start], target
        shift += len(target) - len(source)
        kept = end
    pieces.append(text[kept:])
    return NormalizedText("".join(pieces), tuple(replacements))


def is_blank(text: str) -> bool:
    """Tell if a text has nothing to read in it: no character, or only white space and characters that print nothing.

    The one rule for training, evaluation and extraction: such a text is an error, since a model that must answer
    would invent a record.

    Args:
        text: Any text.
    """
    return all(_is_invisible(character) for character in text)


def _is_invisible(character: str) -> bool:
    return (
        character.isspace()
        or character in INVISIBLE_CHARACTERS
        or unicodedata.category(character) in INVISIBLE_CATEGORIES
    )


def _map_span(
    start: int, end: int, origin: Sequence[tuple[int, int]], image: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Map a span through sorted, disjoint groups: `origin[i]` became `image[i]`, the rest is only shifted."""
    before = bisect_right(origin, start, key=lambda span: span[0]) - 1
    if before < 0:
        mapped_start = start
    elif start < origin[before][1]:
        mapped_start = image[before][0]
    else:
        mapped_start = start - origin[before][1] + image[before][1]
    if end <= start:
        return mapped_start, mapped_start
    last = bisect_left(origin, end, key=lambda span: span[0]) - 1
    if last < 0:
        return mapped_start, end
    if end < origin[last][1]:
        return mapped_start, image[last][1]
    return mapped_start, end - origin[last][1] + image[last][1]


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"expected Unicode text, found a lone surrogate at character {error.start}"
        raise PromptError(message).hint(
            "The text was decoded wrongly, often from UTF-16 or with errors='surrogateescape'. Read it again with "
            "the right encoding, or replace the surrogates: text.encode('utf-8', 'replace').decode()."
        ) from None


@cache
def _group_pattern() -> re.Pattern[str]:
    """Matches a character together with everything behind it that may compose with it or be reordered.

    A character opens a group of its own unless it is a combining mark or the second half of a composition (Hangul
    vowels, some Indic vowel signs). Groups normalise independently (Unicode Standard Annex 15, section 9.1).
    """
    joining = {chr(c) for c in range(LAST_COMPOSING_PLANE) if unicodedata.combining(chr(c))}
    for code in range(LAST_COMPOSING_PLANE):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            joining.add(chr(int(parts[1], 16)))
    joining |= {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    return re.compile(f"(?s:.[{''.join(sorted(joining))}]*)")
