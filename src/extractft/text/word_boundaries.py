"""Ends of words, in scripts that set spaces between words and in others. Knows code points; knows no language."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

__all__ = ["UNSPACED", "WordPart", "cuts_word", "weight", "word_part"]

WordPart = Literal["letter", "digit"] | None
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"  # Thai to Myanmar, Hangul letters, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u318f\u31a0-\u31ff\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\uff66-\uffdc\U00016fe0-\U0001b2ff\U00020000-\U0003ffff"
)
"""Scripts that set no space between words, as a regular expression's character class. Korean does, but its endings are
glued to the words, so that a word is not bounded there either."""
_UNSPACED = re.compile(f"[{UNSPACED}]")
_MARKS = ("Mn", "Me", "Mc")


@lru_cache(maxsize=4096)
def word_part(char: str) -> WordPart:
    """The part that a character has in a word of a spaced script, a letter or a digit; `None` for all else."""
    if char.isalpha() or unicodedata.category(char) in _MARKS:
        return None if _UNSPACED.match(char) else "letter"
    return "digit" if char.isdecimal() else None


def cuts_word(text: str, at: int) -> bool:
    """True if letters, or digits, stand on both sides of a position; `x3` is no word that could be cut."""
    if not 0 < at < len(text):
        return False
    part = word_part(text[at])
    return part is not None and part == word_part(text[at - 1])


def weight(value: str, enough: int) -> int:
    """The weight of a value, counted up to `enough`: letters and digits 1, characters of unspaced scripts 2."""
    found = 0
    for char in value:
        if char.isalnum():
            found += 1 if word_part(char) else 2
        if found >= enough:
            break
    return found
