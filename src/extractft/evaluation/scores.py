"""Counting pairs of values, and the scores that follow from the counts. Knows numbers; knows no values.

The convention is that of slot filling: a wrong value is at once one false positive (it should not be there) and one
false negative (the right one is missing). Where neither side has a value, nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from extractft.evaluation.alignment import Pair
from extractft.evaluation.matching import Match

__all__ = ["FieldScores", "Tally", "mean_score", "precision_recall_f1"]


@dataclass(slots=True)
class Tally:
    """Counts of one field or one record.

    Attributes:
        support: Values in the gold records.
        predicted: Values in the predictions.
        tp: Predicted values that are exactly right.
        tp_normalized: Predicted values that are right after normalisation (the exact ones among them).
        ungrounded: Predicted strings that stand nowhere in their text.
        both: Places where both sides have a value, right or wrong.
    """

    support: int = 0
    predicted: int = 0
    tp: int = 0
    tp_normalized: int = 0
    ungrounded: int = 0
    both: int = 0

    def add(self, pair: Pair) -> None:
        """Count one pair."""
        self.support += pair.gold is not None
        self.predicted += pair.prediction is not None
        self.both += pair.gold is not None and pair.prediction is not None
        self.tp += pair.match is Match.EXACT
        self.tp_normalized += pair.match is not Match.DIFFERENT

    def update(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.support += other.support
        self.predicted += other.predicted
        self.tp += other.tp
        self.tp_normalized += other.tp_normalized
        self.ungrounded += other.ungrounded
        self.both += other.both


class FieldScores(BaseModel):
    """The scores of one field over all records.

    Ratios are `None` for a field that no record has on either side. A field with gold values of which none was
    predicted has precision 0, and one with predictions where no gold value is has recall 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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
    def of(cls, tally: Tally, *, grounded: bool) -> FieldScores:
        """The scores of a tally. `grounded` says whether values were looked up in their texts."""
        values: dict[str, float | None] = {}
        for suffix, tp in (("", tally.tp), ("_normalized", tally.tp_normalized)):
            ratios = precision_recall_f1(tp, tally.support, tally.predicted)
            names = ("precision" + suffix, "recall" + suffix, "f1" + suffix)
            values.update(zip(names, ratios if tally.support + tally.predicted else (None, None, None), strict=True))
        return cls.model_validate(
            {
                "support": tally.support,
                "predicted": tally.predicted,
                "tp": tally.tp,
                "fp": tally.predicted - tally.tp,
                "fn": tally.support - tally.tp,
                "tp_normalized": tally.tp_normalized,
                "invented": tally.predicted - tally.both,
                "missed": tally.support - tally.both,
                "wrong": tally.both - tally.tp,
                "ungrounded": tally.ungrounded if grounded else None,
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


def mean_score(scores: Iterable[FieldScores], *, otherwise: float) -> float:
    """Mean F1 over the fields that the gold records have, each counting the same; `otherwise` if there are none."""
    values = [score.f1 for score in scores if score.support and score.f1 is not None]
    return sum(values) / len(values) if values else otherwise
