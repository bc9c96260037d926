"""A calibration report: confidences held against what turned out right. Knows what was measured; measures nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from extractft.evaluation.console_tables import floored, interval, number, plain, plural, ratio_table, records, summary
from extractft.evaluation.frozen_model import FrozenModel

__all__ = ["CalibrationReport", "CoveragePoint", "ReliabilityBin", "about_confidence"]

BELIEVABLE = 0.05
"""A calibration error that does no harm: a confidence of 0.9 is then right in 85 to 95 of 100 cases."""
FEWEST = round(3 / BELIEVABLE)
"""Records that it takes to say so: of fewer, all may be right although more than one in twenty is wrong (the rule of
three, Hanley & Lippman-Hand, 1983), which no drawing from these records can show."""
FEWEST_FOR_DOUBT = 10
"""Records that it takes to say that confidences are off; intervals drawn from fewer records mean nothing."""


class ReliabilityBin(FrozenModel):
    """Answers of about the same confidence."""

    confidence: float
    """Their mean confidence."""
    accuracy: float
    """Share of them that is right."""
    count: int
    """The number of answers."""
    interval: tuple[float, float]
    """95 % interval of the accuracy, for this bin alone (Wilson score, each answer counted for itself)."""


class CoveragePoint(FrozenModel):
    """The accuracy of the most confident answers, kept alone."""

    coverage: float
    """Share of the answers that is kept."""
    accuracy: float
    """Share of the kept answers that is right."""
    threshold: float
    """The lowest confidence that is kept."""


class CalibrationReport(FrozenModel):
    """Confidences against what turned out right."""

    count: int
    """Answers: values or records."""
    groups: int
    """Records that they come from."""
    accuracy: float
    """Share of the answers that is right."""
    confidence: float
    """Mean confidence; above `accuracy` for a model that is too sure of itself."""
    ece: float
    """Expected calibration error: mean distance of confidence and accuracy, over bins of equally many answers."""
    ece_interval: tuple[float, float]
    """95 % interval of the expected calibration error, from a bootstrap over records."""
    ece_by_chance: float
    """The expected calibration error that perfect calibration would show on as many answers, by chance alone."""
    brier: float
    """Brier score: mean squared distance of the confidence from 1 (right) or 0 (wrong). 0 is best."""
    auroc: float | None
    """Probability that a right answer has a higher confidence than a wrong one; `None` if all are right or wrong."""
    aurc: float
    """Area under the risk-coverage curve: the mean share of wrong answers over all coverages. 0 is best."""
    bins: tuple[ReliabilityBin, ...]
    """The reliability table, lowest confidence first."""
    curve: tuple[CoveragePoint, ...]
    """The risk-coverage curve, smallest coverage first; the last point keeps everything."""

    def accuracy_at(self, coverage: float) -> float:
        """Share of right answers among the most confident ones, of which `coverage` is kept.

        Among equal confidences, no answer is preferred.

        Raises:
            ValueError: `coverage` is not above 0 and at most 1.
        """
        _check_coverage(coverage)
        kept = [0.0, *(point.coverage for point in self.curve)]
        right = [0.0, *(point.coverage * point.accuracy for point in self.curve)]
        return min(1.0, float(np.interp(coverage, kept, right)) / coverage)

    def threshold_at(self, coverage: float) -> float:
        """The confidence from which answers have to be kept for at least `coverage` of them to be kept.

        Raises:
            ValueError: `coverage` is not above 0 and at most 1.
        """
        _check_coverage(coverage)
        return next(point.threshold for point in self.curve if point.coverage >= coverage - 1e-9)

    def share_from(self, threshold: float) -> float:
        """Share of the answers of at least this confidence, to the nearest point of the curve."""
        return max((point.coverage for point in self.curve if point.threshold >= threshold), default=0.0)

    def __rich__(self) -> Group:
        """Tables for a rich console: the summary, then the reliability table."""
        return Group(summary(self._lines()), "", self._table())

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("answers", f"{self.count} of {records(self.groups)}" if self.groups < self.count else str(self.count)),
            ("accuracy", f"{number(self.accuracy)}  (mean confidence {number(self.confidence)})"),
            (
                "  at 90 % coverage",
                f"{number(self.accuracy_at(0.9))}  (confidence of {floored(self.threshold_at(0.9))} on)",
            ),
            ("calibration error", f"{number(self.ece)}  ({interval(self.ece_interval, self.groups)})"),
            ("  by chance alone", number(self.ece_by_chance)),
            ("Brier score", number(self.brier)),
            ("AUROC", number(self.auroc)),
        ]

    def _table(self) -> Table:
        return ratio_table(
            ["confidence", "accuracy", "95 % interval", "answers"],
            [
                (number(b.confidence), number(b.accuracy), f"{b.interval[0]:.3f} to {b.interval[1]:.3f}", str(b.count))
                for b in self.bins
            ],
        )

    def __repr__(self) -> str:
        scores = ", ".join(f"{name}={number(getattr(self, name))}" for name in ("accuracy", "confidence", "ece"))
        return f"CalibrationReport(count={self.count}, groups={self.groups}, {scores})"

    def __str__(self) -> str:
        return plain(self.__rich__())


def _check_coverage(coverage: Any) -> None:
    if not 0 < coverage <= 1:
        raise ValueError(f"expected a coverage above 0 and at most 1, found {coverage}")


def about_confidence(report: CalibrationReport, what: str = "values") -> str:
    """Say in a sentence or two if confidences can be believed.

    Args:
        report: What was measured.
        what: What the confidences are of, in the plural.
    """
    low, high = report.ece_interval
    if not all(map(math.isfinite, (report.ece, low, high))):
        return f"It is not known how far confidences of {what} can be believed."
    off = f"off by {_points(report.ece)} on average"
    if low < high:
        off += f" (95 % interval {100 * low:.1f} to {100 * high:.1f})"
    if report.groups >= FEWEST and high <= BELIEVABLE:
        return f"Confidences of {what} can be believed: they are {off}."
    if report.groups >= FEWEST_FOR_DOUBT and low > 0:
        return f"Confidences of {what} are {off}, {_direction(report)}."
    records = f"{plural(report.groups, 'record')} {'is' if report.groups == 1 else 'are'}"
    chance = f"chance alone would show about {_points(report.ece_by_chance)}"
    return f"{records} too few to tell if confidences of {what} can be believed: here they are {off}, and {chance}."


def _points(ratio: float) -> str:
    points = f"{100 * ratio:.1f}"
    return f"{points} point" if points == "1.0" else f"{points} points"


def _direction(report: CalibrationReport) -> str:
    """Too high or too low, if most of the error is on one side."""
    excess = report.confidence - report.accuracy
    if abs(excess) <= report.ece / 2:
        return "some too high and some too low"
    return f"too {'high' if excess > 0 else 'low'} as a rule"
