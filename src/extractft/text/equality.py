"""`Rung`, the ladder of ways in which a value and a piece of text are the same, and `Occurrence`, a place of the value.

Knows strings; knows no search.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from extractft.text.folding import fold_value, squeeze
from extractft.text.nfc import normal_form

__all__ = ["Occurrence", "Rung", "lowest_rung"]


class Rung(IntEnum):
    """The ways in which a value and a piece of text are the same, from the strictest to the loosest."""

    EXACT = 0
    """Character for character, in the text as it was handed in."""
    NFC = 1
    """Once both are composed (Unicode NFC)."""
    BLANKS = 2
    """But for white space: where lines break, and how wide blanks are."""
    FOLDED = 3
    """But for width, case, and the kind of quotes, dashes and commas."""
    LOOSE = 4
    """But for accents, and for sentence marks at both ends."""
    FORM = 5
    """In another notation: the same date, number, telephone number or link."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A place where a value stands; `start` and `end` count characters of the text in NFC.

    Attributes:
        start: First character.
        end: Character after the last one.
        rung: The way in which the two are the same.
        cost: 0 for a place that stands for itself, more for a less plausible one.
    """

    start: int
    end: int
    rung: Rung
    cost: float = 0.0


def lowest_rung(value: str, piece: str) -> Rung | None:
    """The lowest rung on which two strings are the same; `None` if there is none. Other notations are not tried."""
    if value == piece:
        return Rung.EXACT
    value, piece = normal_form("NFC", value), normal_form("NFC", piece)
    if value == piece:
        return Rung.NFC
    if squeeze(value) == squeeze(piece):
        return Rung.BLANKS
    if fold_value(value) == fold_value(piece):
        return Rung.FOLDED
    return Rung.LOOSE if fold_value(value, loose=True) == fold_value(piece, loose=True) else None
