"""Counts of value pairs, and the scores and confusion tables that follow from them. Knows no records and no schema.

The convention is that of slot filling: a wrong value is at once one false positive (it should not be there) and one
false negative (the right one is missing). Where neither side has a value, nothing is counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field

from extractft.evaluation.frozen_model import FrozenModel
from extractft.evaluation.value_pairing import ValuePair
from extractft.evaluation.value_trees import MatchLevel, ScalarNode

__all__ = [
    "MOST_PAIRS",
    "Choice",
    "Confusion",
    "ConfusionCounts",
    "Confusions",
    "FieldScores",
    "MatchCounts",
    "choice_text",
    "macro_f1",
    "precision_recall_f1",
]

MOST_PAIRS = 200
"""Pairs of choices that are kept of one field."""
LONGEST_CHOICE = 60

Choice = bool | int | float | str | None
"""A value of a `Literal`, an `Enum` or a truth value; `None` if there is no value."""


@dataclass(slots=True)
class MatchCounts:
    """Counts of one field or one record.

    Attributes:
        support: Values in the gold records.
        predicted: Values in the predictions.
        tp: Predicted values that are exactly right.
        tp_normalized: Predicted values that are right after normalisation (the exact ones among them).
        ungrounded: Predicted strings that stand nowhere in their text.
        filled: Places where both sides have a value, right or wrong.
    """

    support: int = 0
    predicted: int = 0
    tp: int = 0
    tp_normalized: int = 0
    ungrounded: int = 0
    filled: int = 0

    def add(self, pair: ValuePair) -> None:
        """Count one pair."""
        self.support += pair.gold is not None
        self.predicted += pair.prediction is not None
        self.filled += pair.gold is not None and pair.prediction is not None
        self.tp += pair.match is MatchLevel.EXACT
        self.tp_normalized += pair.match is not MatchLevel.DIFFERENT

    def update(self, other: MatchCounts) -> None:
        """Add other counts."""
        self.support += other.support
        self.predicted += other.predicted
        self.tp += other.tp
        self.tp_normalized += other.tp_normalized
        self.ungrounded += other.ungrounded
        self.filled += other.filled


class FieldScores(FrozenModel):
    """The scores of one field over all records.

    Ratios are `None` for a field that no record has on either side. A field with gold values of which none was
    predicted has precision 0, and one with predictions where no gold value is has recall 0.
    """

    support: int
    """Values in the gold records."""
    predicted: int
    """Values in the predictions."""
    tp: int
    """True positives: predicted values that are exactly right."""
    fp: int
    """False positives: predicted values that are wrong or invented."""
    fn: int
    """False negatives: gold values that were missed or got wrong."""
    precision: float | None
    """Share of the predicted values that is right."""
    recall: float | None
    """Share of the gold values that was found."""
    f1: float | None
    """Harmonic mean of precision and recall."""
    tp_normalized: int
    """Predicted values that are right after normalisation."""
    precision_normalized: float | None
    """Precision after normalisation."""
    recall_normalized: float | None
    """Recall after normalisation."""
    f1_normalized: float | None
    """F1 after normalisation."""
    invented: int
    """Predicted values where the gold record has none."""
    missed: int
    """Gold values where the prediction has none."""
    wrong: int
    """Places where both have a value and the two differ."""
    ungrounded: int | None
    """Predicted free-text values that stand nowhere in their text; `None` if no texts were given."""

    @classmethod
    def of(cls, counts: MatchCounts, *, grounded: bool) -> FieldScores:
        """The scores of some counts; `grounded` is true if values were looked up in their texts."""
        values: dict[str, float | None] = {}
        for suffix, tp in (("", counts.tp), ("_normalized", counts.tp_normalized)):
            ratios = precision_recall_f1(tp, counts.support, counts.predicted)
            names = ("precision" + suffix, "recall" + suffix, "f1" + suffix)
            values.update(zip(names, ratios if counts.support + counts.predicted else (None, None, None), strict=True))
        return cls.model_validate(
            {
                "support": counts.support,
                "predicted": counts.predicted,
                "tp": counts.tp,
                "fp": counts.predicted - counts.tp,
                "fn": counts.support - counts.tp,
                "tp_normalized": counts.tp_normalized,
                "invented": counts.predicted - counts.filled,
                "missed": counts.support - counts.filled,
                "wrong": counts.filled - counts.tp,
                "ungrounded": counts.ungrounded if grounded else None,
                **values,
            }
        )


def precision_recall_f1(tp: int, support: int, predicted: int) -> tuple[float, float, float]:
    """Ratios from counts: all 1 where there is nothing to find and nothing was found, 0 for other empty shares."""
    if support + predicted == 0:
        return 1.0, 1.0, 1.0
    precision = tp / predicted if predicted else 0.0
    recall = tp / support if support else 0.0
    return precision, recall, 2 * tp / (support + predicted)


def macro_f1(scores: Iterable[FieldScores], *, otherwise: float) -> float:
    """Mean F1 over the fields that the gold records have, each counting the same; `otherwise` if there are none."""
    values = [score.f1 for score in scores if score.support and score.f1 is not None]
    return sum(values) / len(values) if values else otherwise


class Confusion(FrozenModel):
    """A right choice, the choice that came out, and how often."""

    gold: Choice
    """The choice that is right, `None` where the gold record has none."""
    prediction: Choice
    """The choice that came out, `None` where nothing did; all of a record that failed is such a case."""
    count: int = Field(ge=1)
    """The number of times."""


class Confusions(FrozenModel):
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
        """The number of values that are wrong, missed or invented."""
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


class ConfusionCounts:
    """Counts the pairs of one field."""

    def __init__(self) -> None:
        self._wrong: Counter[tuple[str, str]] = Counter()
        self._right: Counter[tuple[str, str]] = Counter()

    def add(self, pair: ValuePair) -> None:
        """Count a pair."""
        if pair.match is MatchLevel.EXACT:
            self._right[_leaf_key(pair.gold), _leaf_key(pair.gold)] += 1
        else:
            self._wrong[_leaf_key(pair.gold), _leaf_key(pair.prediction)] += 1

    def table(self) -> Confusions | None:
        """The table of what was counted; `None` if that is nothing."""
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
    """True if a word looks like none at all, or like a number or a truth value."""
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


def _leaf_key(leaf: ScalarNode | None) -> str:
    return "null" if leaf is None else leaf.key
