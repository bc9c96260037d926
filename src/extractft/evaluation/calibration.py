"""How far confidences can be believed: each held against what turned out right. Knows numbers only.

Values of one record are right or wrong together. Where `groups` says which record each confidence belongs to,
intervals are made from whole records.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table

from extractft.errors import DatasetError
from extractft.evaluation.bootstrap import CONFIDENCE, Floats, Interval, percentiles, resampled_sums
from extractft.evaluation.frozen import Frozen
from extractft.evaluation.tables import floored, interval, number, plain, ratio_table, records, summary

__all__ = [
    "CalibrationReport",
    "CoveragePoint",
    "ReliabilityBin",
    "expected_calibration_error",
    "measure_calibration",
]

BINS = 15
CURVE_POINTS = 200
CHANCE_DRAWS = 200
NORMAL_QUANTILE = 1.959964
Indices = npt.NDArray[np.intp]


class ReliabilityBin(Frozen):
    """Answers of about the same confidence."""

    confidence: float
    """Their mean confidence."""
    accuracy: float
    """Share of them that is right."""
    count: int
    """How many there are."""
    interval: tuple[float, float]
    """95 % interval of the accuracy, for this bin alone (Wilson score, each answer counted for itself)."""


class CoveragePoint(Frozen):
    """What is gained by keeping the most confident answers alone."""

    coverage: float
    """Share of the answers that is kept."""
    accuracy: float
    """Share of the kept answers that is right."""
    threshold: float
    """The lowest confidence that is kept."""


class CalibrationReport(Frozen):
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
    """Expected calibration error: how far confidence and accuracy are apart, over bins of equally many answers."""
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

    def __str__(self) -> str:
        return plain(self.__rich__())


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], *, bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy over bins, each weighed by its answers (Naeini et al., 2015).

    Bins hold equally many answers rather than equal stretches of confidence: a trained extractor is nearly always
    sure, so that most of the equal stretches would hold next to nothing, and the error of equally filled bins is
    nearer to the true one (Nixon et al., 2019; Roelofs et al., 2022). Equal confidences share a bin.

    Args:
        confidences: Between 0 and 1.
        correct: Whether each answer is right.
        bins: How many bins there are at most.

    Raises:
        DatasetError: There are no answers, the sequences differ in length, or a confidence is not a probability.
    """
    values, right = _checked(confidences, correct)
    starts = _bin_starts(values, bins)
    return float(np.abs(np.add.reduceat(right - values, starts)).sum() / len(values))


def measure_calibration(
    confidences: Sequence[float],
    correct: Sequence[bool],
    *,
    groups: Sequence[Hashable] | None = None,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
) -> CalibrationReport:
    """Hold confidences against what turned out right.

    Args:
        confidences: Between 0 and 1.
        correct: Whether each answer is right.
        groups: The record of each answer; `None` if every answer is a record of its own.
        bins: Bins of the reliability table at most, see `expected_calibration_error`.
        resamples: Draws of the bootstrap.
        seed: Seed of these draws.

    Raises:
        DatasetError: There are no answers, the sequences differ in length, or a confidence is not a probability.
    """
    values, right = _checked(confidences, correct)
    members = group_numbers(groups, len(values))[np.argsort(np.asarray(confidences), kind="stable")]
    starts = _bin_starts(values, bins)
    ece = float(np.abs(np.add.reduceat(right - values, starts)).sum() / len(values))
    chance = _chance(values, starts, seed=seed)
    curve = _coverage(values, right)
    return CalibrationReport(
        count=len(values),
        groups=int(members.max()) + 1,
        accuracy=float(right.mean()),
        confidence=float(values.mean()),
        ece=ece,
        ece_interval=_interval(ece, values, right, members, starts, chance, resamples=resamples, seed=seed),
        ece_by_chance=float(chance.mean()),
        brier=float(np.square(values - right).mean()),
        auroc=_auroc(values, right),
        aurc=float(1 - curve.mean()),
        bins=_bins(values, right, starts),
        curve=_thinned(curve, values),
    )


def group_numbers(groups: Sequence[Hashable] | None, count: int) -> Indices:
    """Number the groups from 0, in the order in which they first appear.

    Raises:
        DatasetError: There is not one group for each answer.
    """
    if groups is None:
        return np.arange(count)
    if len(groups) != count:
        raise DatasetError(f"expected as many groups as confidences ({count}), found {len(groups)}")
    known: dict[Hashable, int] = {}
    return np.asarray([known.setdefault(group, len(known)) for group in groups], dtype=np.intp)


def check_answers(confidences: Sequence[float], correct: Sequence[bool]) -> tuple[Floats, Floats]:
    """Confidences and, as 0 or 1, correctness, in the order given.

    Raises:
        DatasetError: There are no answers, the sequences differ in length, or a confidence is not a probability.
    """
    if len(confidences) != len(correct):
        raise DatasetError(f"expected as many confidences as answers ({len(correct)}), found {len(confidences)}")
    if not len(confidences):
        raise DatasetError("expected at least one confidence, found none")
    values = np.asarray(confidences, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise DatasetError("expected confidences between 0 and 1, found another number")
    return values, np.asarray(correct, dtype=np.bool_).astype(np.float64)


def _checked(confidences: Sequence[float], correct: Sequence[bool]) -> tuple[Floats, Floats]:
    """The same, lowest confidence first."""
    values, right = check_answers(confidences, correct)
    order = np.argsort(values, kind="stable")
    return values[order], right[order]


def _bin_starts(values: Floats, bins: int) -> Indices:
    """Where bins of sorted values start: equally many values in each, equal values together."""
    if bins < 1:
        raise DatasetError(f"expected at least one bin, found {bins}")
    last = np.unique([round(index * len(values) / bins) for index in range(1, bins)]).astype(np.intp) - 1
    ends = np.searchsorted(values, values[last[last >= 0]], side="right")
    return np.concatenate([[0], np.unique(ends[ends < len(values)])]).astype(np.intp)


def _bins(values: Floats, right: Floats, starts: Indices) -> tuple[ReliabilityBin, ...]:
    counts = np.diff([*starts, len(values)])
    sums = zip(np.add.reduceat(values, starts), np.add.reduceat(right, starts), counts.tolist(), strict=True)
    return tuple(
        ReliabilityBin(
            confidence=float(total / count), accuracy=float(hits / count), count=count, interval=_wilson(hits, count)
        )
        for total, hits, count in sums
    )


def _wilson(hits: float, count: int) -> Interval:
    """Wilson's score interval of a share (Wilson, 1927): sensible for few answers, and for none or all right."""
    share, square = hits / count, NORMAL_QUANTILE**2 / count
    centre = (share + square / 2) / (1 + square)
    half = NORMAL_QUANTILE * ((share * (1 - share) + square / 4) / count) ** 0.5 / (1 + square)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _chance(values: Floats, starts: Indices, *, seed: int) -> Floats:
    """Calibration errors of as many answers that are right exactly as often as their confidences say."""
    rng = np.random.default_rng(seed)
    draws = ((rng.random(len(values)) < values) - values for _ in range(CHANCE_DRAWS))
    return np.asarray([np.abs(np.add.reduceat(draw, starts)).sum() / len(values) for draw in draws])


def _interval(
    ece: float,
    values: Floats,
    right: Floats,
    members: Indices,
    starts: Indices,
    chance: Floats,
    *,
    resamples: int,
    seed: int,
) -> Interval:
    """Interval of the calibration error from a bootstrap over records, bins held fixed.

    Chance moves bins both ways, and each way adds to the error: the estimate lies above the truth, and a resampled
    one above the estimate by as much again. The interval is therefore the basic one (Davison & Hinkley, 1997, 5.2),
    which mirrors the resampled errors at the estimate. It starts at 0 unless the error exceeds what perfect
    calibration shows by chance, on as many independent answers as well as on answers that hang together by record.
    """
    bins = len(starts)
    which = np.repeat(np.arange(bins), np.diff([*starts, len(values)]))
    table = np.zeros((int(members.max()) + 1, bins + 1))
    np.add.at(table, (members, which), right - values)
    np.add.at(table[:, bins], members, 1.0)
    sums = resampled_sums(table, resamples=resamples, seed=seed)
    gaps, counts = sums[:, :bins], sums[:, bins]
    low, high = percentiles(np.abs(gaps).sum(axis=1) / counts)
    centred = gaps - np.outer(counts / len(values), table[:, :bins].sum(axis=0))
    noise = np.quantile(np.abs(centred).sum(axis=1) / counts, CONFIDENCE)
    explained = ece <= max(float(noise), float(np.quantile(chance, CONFIDENCE)))
    return 0.0 if explained else max(0.0, 2 * ece - high), min(1.0, max(ece, 2 * ece - low))


def _auroc(values: Floats, right: Floats) -> float | None:
    """Area under the ROC curve as the Mann-Whitney statistic; equal confidences count half."""
    positives = float(right.sum())
    negatives = len(right) - positives
    if not positives or not negatives:
        return None
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return float(((ranks[which] * right).sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _coverage(values: Floats, right: Floats) -> Floats:
    """Accuracy of the 1, 2, 3... most confident answers; equal confidences count with their mean."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    shared = (np.bincount(which, weights=right) / counts)[which][::-1]
    return np.minimum(1.0, np.cumsum(shared) / np.arange(1, len(values) + 1))


def _thinned(curve: Floats, values: Floats) -> tuple[CoveragePoint, ...]:
    """Enough points of the curve to draw it and to read it off."""
    count = len(curve)
    kept = sorted({max(1, round(step * count / CURVE_POINTS)) for step in range(1, CURVE_POINTS + 1)})
    return tuple(
        CoveragePoint(coverage=k / count, accuracy=float(curve[k - 1]), threshold=float(values[count - k]))
        for k in kept
    )


def _check_coverage(coverage: Any) -> None:
    if not 0 < coverage <= 1:
        raise ValueError(f"expected a coverage above 0 and at most 1, found {coverage}")
