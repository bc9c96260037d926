"""Unicode normalisation with a way back: NFC text and where each of its spans stands in the original.

Tokenizers such as Qwen3's compose their input (NFC), so decomposed text does not survive tokenisation. Everything
downstream sees the normalised text; spans are reported in the original.

`unicodedata.normalize` sorts runs of combining marks by insertion, in C, where no signal gets in: thousands of marks on
one letter take seconds, a megabyte of them most of an hour. Unicode's Stream-Safe Text Format (Standard Annex 15)
bounds such runs at 30 marks. `normal_form` sorts longer ones itself first, so that nothing is refused and the result is
that of Unicode, in time that grows with the length alone. Knows characters, not tokens.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Literal

from extractft.errors import PromptError

__all__ = [
    "NormalizedText",
    "Replacement",
    "compose",
    "is_blank",
    "normal_form",
    "normalize_text",
    "refuse_surrogates",
]

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]

LAST_MARK = 0x20000
"""No character from here on is a mark or composes with the one before it: planes 2 and up hold ideographs."""
COMPATIBILITY_IDEOGRAPHS = range(0x2F800, 0x2FA20)
"""Those among them that normalisation changes."""
MAX_RUN_LENGTH = 30
"""Marks in a row that `unicodedata.normalize` may sort: the bound of the Stream-Safe Text Format."""
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
        replacements: The rewritten pieces, from left to right; empty for a text that was normalised already.
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
    refuse_surrogates(text)
    return compose(text)


def compose(text: str) -> NormalizedText:
    """The same for texts that no tokenizer will see: a lone surrogate is taken over."""
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return NormalizedText(text)
    pieces: list[str] = []
    replacements: list[Replacement] = []
    shift = kept = 0
    for group in _tables().changing.finditer(text):
        source = group.group()
        target = normal_form("NFC", source)
        if target == source:
            continue
        start, end = group.span()
        replacements.append(Replacement((start, end), (start + shift, start + shift + len(target))))
        pieces += text[kept:start], target
        shift += len(target) - len(source)
        kept = end
    pieces.append(text[kept:])
    return NormalizedText("".join(pieces), tuple(replacements))


def normal_form(form: Form, text: str) -> str:
    """`unicodedata.normalize` in time that grows with the length of the text alone, whatever is in it."""
    if text.isascii() or unicodedata.is_normalized(form, text):
        return text
    if len(text) > MAX_RUN_LENGTH:
        decomposed: Form = "NFKD" if form in ("NFKC", "NFKD") else "NFD"
        text = _tables().long_run.sub(lambda run: _in_order(decomposed, run[0]), text)
    return unicodedata.normalize(form, text)


def _in_order(form: Form, run: str) -> str:
    """The characters of a run taken apart, and its marks in Unicode's order."""
    parts = "".join(unicodedata.normalize(form, char) for char in run)
    ordered: list[str] = []
    for _, group in groupby(parts, key=lambda char: unicodedata.combining(char) > 0):
        ordered += sorted(group, key=unicodedata.combining)
    return "".join(ordered)


def is_blank(text: str) -> bool:
    """True if a text has nothing to read in it: no character, or only white space and characters that print nothing.

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


def refuse_surrogates(text: str) -> None:
    """Raise a `PromptError` if the text holds half of a surrogate pair."""
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"expected Unicode text, found a lone surrogate at character {error.start}"
        raise PromptError(message).hint(
            "The text was decoded wrongly, often from UTF-16 or with errors='surrogateescape'. Read it again with "
            "the right encoding, or replace the surrogates: text.encode('utf-8', 'replace').decode()."
        ) from None


@dataclass(frozen=True, slots=True)
class _Tables:
    """Expressions made of Python's Unicode database.

    Attributes:
        changing: Finds what normalisation may change: a character with everything behind it that may compose with it
            or be reordered, and characters that change alone. A character opens a group of its own unless it is a
            combining mark, comes apart into such, or is the second half of a composition (Hangul vowels, some Indic
            vowel signs). Groups normalise independently (Unicode Standard Annex 15, section 9.1).
        long_run: Finds a character with more marks behind it than may be sorted by insertion.
    """

    changing: re.Pattern[str]
    long_run: re.Pattern[str]


@cache
def _tables() -> _Tables:
    marks, joining, alone = set(), set(), set()
    for code in (*range(LAST_MARK), *COMPATIBILITY_IDEOGRAPHS):
        char = chr(code)
        parts = unicodedata.decomposition(char).split()
        if unicodedata.combining(char):
            marks.add(char)
        if not parts or parts[0].startswith("<"):
            continue
        if len(parts) == 2:
            joining.add(chr(int(parts[1], 16)))
        if unicodedata.combining(unicodedata.normalize("NFD", char)[0]):
            marks.add(char)
        if unicodedata.normalize("NFC", char) != char:
            alone.add(char)
    joining |= marks | {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}
    members = {
        name: "".join(sorted(chars)) for name, chars in (("joining", joining), ("alone", alone), ("marks", marks))
    }
    return _Tables(
        changing=re.compile(f"(?s:.[{members['joining']}]+)|[{members['alone']}]"),
        long_run=re.compile(f"(?s:.[{members['marks']}]{{{MAX_RUN_LENGTH},}})"),
    )
