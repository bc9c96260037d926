"""Choices taken for one another: how often which came out where which is right. Knows counts and JSON scalars."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from pydantic import Field

from extractft.evaluation.alignment import Pair
from extractft.evaluation.frozen import Frozen
from extractft.evaluation.matching import Match
from extractft.evaluation.tree import Leaf

__all__ = ["MOST_PAIRS", "Choice", "Confusion", "ConfusionCount", "Confusions", "choice_text"]

MOST_PAIRS = 200
"""Pairs of choices that are kept of one field."""
LONGEST_CHOICE = 60

Choice = bool | int | float | str | None
"""A value of a `Literal`, an `Enum` or a truth value; `None` if there is no value."""


class Confusion(Frozen):
    """A right choice, the choice that came out, and how often."""

    gold: Choice
    """The choice that is right, `None` where the gold record has none."""
    prediction: Choice
    """The choice that came out, `None` where nothing did; all of a record that failed is such a case."""
    count: int = Field(ge=1)
    """How often."""


class Confusions(Frozen):
    """The confusion table of one field, as far as it is not empty. Choices are words of the schema, not of the texts.

    Where neither side has a value, nothing is counted.
    """

    wrong: tuple[Confusion, ...]
    """Choices that differ, most frequent first."""
    right: tuple[Confusion, ...]
    """Choices that agree, most frequent first. Of either, the 200 most frequent are kept."""
    left_out: int = Field(default=0, ge=0)
    """Wrong, missed and invented values that are in none of the pairs that are kept."""

    @property
    def errors(self) -> int:
        """How many values are wrong, missed or invented."""
        return sum(pair.count for pair in self.wrong) + self.left_out

    def choices(self) -> list[Choice]:
        """The choices that occur, those of most values first, without `None`."""
        values: dict[str, Choice] = {}
        counts: Counter[str] = Counter()
        for pair in (*self.right, *self.wrong):
            for value in (pair.gold, pair.prediction):
                if value is not None:
                    values.setdefault(_key(value), value)
                    counts[_key(value)] += pair.count
        return [values[key] for key in sorted(counts, key=lambda key: (-counts[key], key))]

    def matrix(self) -> tuple[list[Choice], list[list[int]]]:
        """The choices that occur, then `None`; and for each of them as the right one, how often each came out."""
        labels = [*self.choices(), None]
        counts = {(_key(pair.gold), _key(pair.prediction)): pair.count for pair in (*self.right, *self.wrong)}
        keys = [_key(label) for label in labels]
        return labels, [[counts.get((gold, prediction), 0) for prediction in keys] for gold in keys]

    def usual(self) -> Confusion | None:
        """The two choices that are confused most often, if that is more than once and more often than any others."""
        both = [pair for pair in self.wrong if pair.gold is not None and pair.prediction is not None]
        if not both or both[0].count < 2 or (len(both) > 1 and both[1].count == both[0].count):
            return None
        return both[0]


class ConfusionCount:
    """Counts the pairs of one field."""

    def __init__(self) -> None:
        self._wrong: Counter[tuple[str, str]] = Counter()
        self._right: Counter[tuple[str, str]] = Counter()

    def add(self, pair: Pair) -> None:
        """Count a pair."""
        if pair.match is Match.EXACT:
            self._right[_leaf_key(pair.gold), _leaf_key(pair.gold)] += 1
        else:
            self._wrong[_leaf_key(pair.gold), _leaf_key(pair.prediction)] += 1

    def table(self) -> Confusions | None:
        """What was counted; `None` if that is nothing."""
        if not self._wrong and not self._right:
            return None
        wrong, right = _ordered(self._wrong.items()), _ordered(self._right.items())
        return Confusions(
            wrong=tuple(wrong[:MOST_PAIRS]),
            right=tuple(right[:MOST_PAIRS]),
            left_out=sum(pair.count for pair in wrong[MOST_PAIRS:]),
        )


def choice_text(choice: Choice) -> str:
    """A choice as it is shown: words as they are, unless they could be taken for something else."""
    if choice is None:
        return "(absent)"
    text = choice if isinstance(choice, str) else json.dumps(choice)
    if isinstance(choice, str) and (_misleading(choice) or not choice.isprintable()):
        text = json.dumps(choice, ensure_ascii=not choice.isprintable())
    return text if len(text) <= LONGEST_CHOICE else f"{text[: LONGEST_CHOICE - 1]}…"


def _misleading(text: str) -> bool:
    """Tell if a word looks like none at all, or like a number or a truth value."""
    if not text or text != text.strip() or text == "(absent)":
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _ordered(counts: Iterable[tuple[tuple[str, str], int]]) -> list[Confusion]:
    return [
        Confusion(gold=json.loads(gold), prediction=json.loads(prediction), count=count)
        for (gold, prediction), count in sorted(counts, key=lambda entry: (-entry[1], entry[0]))
    ]


def _key(choice: Choice) -> str:
    return json.dumps(choice, ensure_ascii=False)


def _leaf_key(leaf: Leaf | None) -> str:
    return "null" if leaf is None else leaf.key
