"""How likely guesses are, learned while they are tried: a logistic regression over clues.

Each guess comes with a first estimate and with clues, such as a word behind it in the text. A clue that has not been
seen says nothing; the others add to the estimate what they were worth before. Clues are told apart by a part of their
hash, so that memory is the same after a million texts (Weinberger et al., "Feature hashing", 2009): after some hundred
records of many words most places are shared, which costs little, since what often matters moves furthest. Steps are
those of AdaGrad (Duchi, Hazan and Singer, 2011), so that a clue that turns up rarely still moves as far as a frequent
one. Knows numbers; knows no tokens and no text.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

__all__ = ["PLACES", "Chances", "Clue"]

Clue = int
"""The hash of whatever tells it from others."""
PLACES = 1 << 18
"""How many clues can be told apart."""
_RATE = 6.0
"""Shared out among the clues of a guess: however many they are, it moves by as much."""
_REMEMBERED = 16.0
"""Squared errors that make steps smaller, at most: what changes after a million records is still learned in a dozen."""
_TOO_SMALL = 0.03
"""What was foreseen this closely teaches nothing: a fourth less time for drafts, and no pass more."""
_SUREST = 8.0
"""Logits are kept within this, to both sides."""


class Chances:
    """What clues are worth."""

    def __init__(self) -> None:
        self._worths = array("d", bytes(8 * PLACES))
        self._errors = array("d", bytes(8 * PLACES))

    def chance(self, estimate: float, clues: Iterable[Clue]) -> float:
        """The chance of a guess: what was thought of it before, and what its clues add."""
        logit = math.log(estimate / (1 - estimate)) if 0 < estimate < 1 else math.copysign(_SUREST, estimate - 0.5)
        worths = self._worths
        for clue in clues:
            logit += worths[clue % PLACES]
        return 1 / (1 + math.exp(-max(-_SUREST, min(_SUREST, logit))))

    def observe(self, chance: float, clues: Sequence[Clue], right: bool) -> None:
        """Learn from a guess that was given a chance, and was right or not."""
        error, rate = right - chance, _RATE / max(1, len(clues))
        if abs(error) < _TOO_SMALL:
            return
        worths, errors = self._worths, self._errors
        for clue in clues:
            place = clue % PLACES
            errors[place] = min(_REMEMBERED, errors[place] + error * error)
            worths[place] += rate * error / math.sqrt(1 + errors[place])
