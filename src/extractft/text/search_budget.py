"""`SearchBudget`: how much work the places of a record may cost; and a search that pays from it.

Work is counted in steps and not in seconds, so that the same record and text give the same places on every machine. A
step is some hundreds of nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["SearchBudget", "starts_of"]

MAX_TRIES = 10_000
"""Places of one value that are looked at, from the beginning of the text."""

MIN_STEPS, STEPS_PER_CHARACTER = 400_000, 20
"""Steps for any text, and for each of its characters from where that is more (20,000 characters)."""
STEPS_PER_PASS, CHARACTERS_PER_STEP = 20, 500
"""Steps to look through a text once for something that is not there, and its characters that cost one more."""
STEPS_PER_TRY, VALUE_PER_STEP = 10, 64
"""Steps to look at one place, and characters of the value that cost one more."""
COMPARED_PER_STEP, EVEN = 80, 128
"""Characters of the text times those of the value that cost a step when they are compared; longer values cost more than
in proportion."""


class SearchBudget:
    """The work that is left to spend.

    Args:
        length: Characters of the text.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._left = max(MIN_STEPS, STEPS_PER_CHARACTER * length)

    def allows_pass(self) -> bool:
        """Pay for looking through the text once; `False` if there is not enough left."""
        return self._spend(STEPS_PER_PASS + self._length // CHARACTERS_PER_STEP)

    def allows_try(self, size: int) -> bool:
        """Pay for looking at one place of a value of `size` characters."""
        return self._spend(STEPS_PER_TRY + size // VALUE_PER_STEP)

    def allows_comparison(self, size: int) -> bool:
        """Pay for comparing a value of `size` characters with every piece of the text."""
        return self._spend(self._length * size * max(size, EVEN) // EVEN // COMPARED_PER_STEP)

    def _spend(self, steps: int) -> bool:
        if steps > self._left:
            return False
        self._left -= steps
        return True


def starts_of(piece: str, text: str, budget: SearchBudget) -> Iterator[int]:
    """The starts of a piece in a text, from left to right; the places may overlap."""
    if not piece or not budget.allows_pass():
        return
    start = text.find(piece)
    for _ in range(MAX_TRIES):
        if start < 0 or not budget.allows_try(len(piece)):
            return
        yield start
        start = text.find(piece, start + 1)
