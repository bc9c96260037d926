"""Where a character ends for a reader, and where a word does. Knows code points; knows no language.

A reader's character may be several code points: a letter with its accents, an emoji of a family, CR with LF. The rules
are those of Unicode Standard Annex 29 as far as Python's own character database can tell (it does not know which
symbols are pictographs: any symbol after a joiner counts as one).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

__all__ = ["UNSPACED", "WordPart", "cuts_word", "splits_character", "word_part"]

WordPart = Literal["letter", "digit"] | None
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"  # Thai to Myanmar, Hangul letters, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u318f\u31a0-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uffdc\U00016fe0-\U0001b2ff\U00020000-\U0003ffff"
)
"""Scripts that set no space between words, as a regular expression's character class. Korean does, but its endings are
glued to the words, so that a word is not bounded there either."""
JOINER = "\u200d"
_UNSPACED = re.compile(f"[{UNSPACED}]")
_CONTINUING = ("Mn", "Me", "Mc")


@lru_cache(maxsize=4096)
def word_part(char: str) -> WordPart:
    """What a character is within a word of a script that sets spaces between words; `None` for all else."""
    if char.isalpha() or unicodedata.category(char) in _CONTINUING:
        return None if _UNSPACED.match(char) else "letter"
    return "digit" if char.isdecimal() else None


def cuts_word(text: str, at: int) -> bool:
    """Whether letters, or digits, stand on both sides of a position; `x3` is no word that could be cut."""
    if not 0 < at < len(text):
        return False
    part = word_part(text[at])
    return part is not None and part == word_part(text[at - 1])


def splits_character(text: str, at: int) -> bool:
    """Whether a position is inside of what a reader takes for one character."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return before == "\r" and after == "\n"
    if unicodedata.category(before) in ("Cc", "Zl", "Zp") or (
        unicodedata.category(before) == "Cf" and not _continues(before)
    ):
        return False
    if _continues(after):
        return True
    if before == JOINER:
        return _is_symbol(after) and _joins_symbol(text, at - 1)
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        return _odd_flags_before(text, at)
    if unicodedata.combining(before) == 9:  # a virama joins consonants
        return "\u0900" <= after <= "\u0dff" and unicodedata.category(after) == "Lo"
    return _joins_hangul(before, after) or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")


@lru_cache(maxsize=4096)
def _continues(char: str) -> bool:
    """Marks, variation selectors, skin tones, tags, joiners."""
    return (
        unicodedata.category(char) in _CONTINUING
        or "\u200c" <= char <= JOINER
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
        or char in "\u0e33\u0eb3\uff9e\uff9f"
    )


def _is_symbol(char: str) -> bool:
    return char > "\u2000" and unicodedata.category(char) in ("So", "Sm") and not "\U0001f1e6" <= char <= "\U0001f1ff"


def _joins_symbol(text: str, joiner: int) -> bool:
    """Whether a joiner follows a symbol and the marks on it."""
    before = joiner - 1
    while before > 0 and text[before] != JOINER and _continues(text[before]):
        before -= 1
    return before >= 0 and _is_symbol(text[before])


def _odd_flags_before(text: str, at: int) -> bool:
    start = at
    while start and "\U0001f1e6" <= text[start - 1] <= "\U0001f1ff":
        start -= 1
    return (at - start) % 2 == 1


def _joins_hangul(before: str, after: str) -> bool:
    """Leading, vowel and trailing letters of one syllable."""
    if "\u1100" <= before <= "\u115f":
        return "\u1100" <= after <= "\u11a7" or "\uac00" <= after <= "\ud7a3"
    if "\u1160" <= before <= "\u11a7" or ("\uac00" <= before <= "\ud7a3" and (ord(before) - 0xAC00) % 28 == 0):
        return "\u1160" <= after <= "\u11ff"
    if "\u11a8" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3":
        return "\u11a8" <= after <= "\u11ff"
    return False
