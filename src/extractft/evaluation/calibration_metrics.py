"""The measures of calibration: ECE, Brier score, AUROC, reliability, coverage. Knows numbers only; loads scikit-learn.

Values of one record are right or wrong together. Where `groups` says which record each confidence belongs to,
intervals are made from whole records.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from extractft.errors import DatasetError
from extractft.evaluation.bootstrap import CONFIDENCE, Floats, Interval, percentiles, resampled_sums, wilson_interval
from extractft.evaluation.calibration_report import CalibrationReport, CoveragePoint, ReliabilityBin

__all__ = ["Indices", "check_answers", "expected_calibration_error", "group_numbers", "measure_calibration"]

BINS = 15
CURVE_POINTS = 200
CHANCE_DRAWS = 200
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers to measure, lowest confidence first.

    Attributes:
        confidences: Their confidences.
        correct: 1 for each that is right, else 0.
        groups: The numbers of their records.
        starts: Positions at which the bins of the reliability table start.
    """

    confidences: Floats
    correct: Floats
    groups: Indices
    starts: Indices

    @classmethod
    def of(
        cls,
        confidences: Sequence[float],
        correct: Sequence[bool],
        groups: Sequence[Hashable] | None,
        bins: int,
    ) -> _Answers:
        values, right = check_answers(confidences, correct)
        order = np.argsort(values, kind="stable")
        members = group_numbers(groups, len(values))[order]
        return cls(values[order], right[order], members, _bin_starts(values[order], bins))

    def __len__(self) -> int:
        return len(self.confidences)

    def binned_error(self, gaps: Floats) -> float:
        """Mean over bins of the absolute sum of the answers' gaps between correctness and confidence."""
        return float(np.abs(np.add.reduceat(gaps, self.starts)).sum() / len(self))

    @property
    def ece(self) -> float:
        """The expected calibration error."""
        return self.binned_error(self.correct - self.confidences)


def expected_calibration_error(confidences: Sequence[float], correct: Sequence[bool], *, bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy over bins, each weighed by its answers (Naeini et al., 2015).

    Bins hold equally many answers rather than equal stretches of confidence: a trained extractor is nearly always
    sure, so that most of the equal stretches would hold next to nothing, and the error of equally filled bins is
    nearer to the true one (Nixon et al., 2019; Roelofs et al., 2022). Equal confidences share a bin.

    Args:
        confidences: Between 0 and 1.
        correct: True for each answer that is right.
        bins: The number of bins at most.

    Raises:
        DatasetError: There are no answers, the sequences differ in length, or a confidence is not a probability.
    """
    return _Answers.of(confidences, correct, None, bins).ece


def measure_calibration(
    confidences: Sequence[float],
    correct: Sequence[bool],
    *,
    groups: Sequence[Hashable] | None = None,
    bins: int = BINS,
    resamples: int = 1000,
    seed: int = 0,
) -> CalibrationReport:
    """Compare confidences with the correctness of the answers.

    Args:
        confidences: Between 0 and 1.
        correct: True for each answer that is right.
        groups: The record of each answer; `None` if every answer is a record of its own.
        bins: Bins of the reliability table at most, see `expected_calibration_error`.
        resamples: Draws of the bootstrap.
        seed: Seed of these draws.

    Raises:
        DatasetError: There are no answers, the sequences differ in length, or a confidence is not a probability.
    """
    answers = _Answers.of(confidences, correct, groups, bins)
    resampled = resampled_sums(_gaps(answers), resamples=resamples, seed=seed)
    return _report(answers, _errors_by_chance(answers, seed=seed), resampled)


def _report(answers: _Answers, chance: Floats, resampled: Floats) -> CalibrationReport:
    """The report of answers, given their `_errors_by_chance` and resampled sums of their `_gaps`."""
    curve = _coverage(answers)
    return CalibrationReport(
        count=len(answers),
        groups=int(answers.groups.max()) + 1,
        accuracy=float(answers.correct.mean()),
        confidence=float(answers.confidences.mean()),
        ece=answers.ece,
        ece_interval=_ece_interval(answers, chance, resampled),
        ece_by_chance=float(chance.mean()),
        brier=float(np.square(answers.confidences - answers.correct).mean()),
        auroc=_auroc(answers),
        aurc=float(1 - curve.mean()),
        bins=_reliability(answers),
        curve=_thinned(curve, answers.confidences),
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


def _bin_starts(values: Floats, bins: int) -> Indices:
    """Positions at which bins of sorted values start: equally many values in each, equal values together."""
    if bins < 1:
        raise DatasetError(f"expected at least one bin, found {bins}")
    last = np.unique([round(index * len(values) / bins) for index in range(1, bins)]).astype(np.intp) - 1
    ends = np.searchsorted(values, values[last[last >= 0]], side="right")
    return np.concatenate([[0], np.unique(ends[ends < len(values)])]).astype(np.intp)


def _reliability(answers: _Answers) -> tuple[ReliabilityBin, ...]:
    counts = np.diff([*answers.starts, len(answers)])
    confidences = np.add.reduceat(answers.confidences, answers.starts)
    hits = np.add.reduceat(answers.correct, answers.starts)
    return tuple(
        ReliabilityBin(
            confidence=float(confidence / count),
            accuracy=float(right / count),
            count=count,
            interval=wilson_interval(int(right), count),
        )
        for confidence, right, count in zip(confidences, hits, counts.tolist(), strict=True)
    )


def _errors_by_chance(answers: _Answers, *, seed: int) -> Floats:
    """Calibration errors of as many answers that are right exactly as often as their confidences say."""
    rng = np.random.default_rng(seed)
    values = answers.confidences
    draws = ((rng.random(len(values)) < values) - values for _ in range(CHANCE_DRAWS))
    return np.asarray([answers.binned_error(draw) for draw in draws])


def _gaps(answers: _Answers) -> Floats:
    """For each record the sums of its answers' gaps by bin, then the number of its answers: (records, bins + 1)."""
    bins = len(answers.starts)
    bin_of = np.repeat(np.arange(bins), np.diff([*answers.starts, len(answers)]))
    table = np.zeros((int(answers.groups.max()) + 1, bins + 1))
    np.add.at(table, (answers.groups, bin_of), answers.correct - answers.confidences)
    np.add.at(table[:, bins], answers.groups, 1.0)
    return table


def _ece_interval(answers: _Answers, chance: Floats, sums: Floats) -> Interval:
    """Interval of the calibration error from a bootstrap over records, bins held fixed.

    Chance moves bins both ways, and each way adds to the error: the estimate lies above the truth, and a resampled
    one above the estimate by as much again. The interval is therefore the basic one (Davison & Hinkley, 1997, 5.2),
    which mirrors the resampled errors at the estimate. It starts at 0 unless the error exceeds what perfect
    calibration shows by chance, on as many independent answers as well as on answers that hang together by record.

    Args:
        answers: The answers.
        chance: Calibration errors by chance.
        sums: Resampled sums of `_gaps`, of shape (resamples, bins + 1).
    """
    ece = answers.ece
    gaps, counts = sums[:, :-1], sums[:, -1]
    low, high = percentiles(np.abs(gaps).sum(axis=1) / counts)
    centred = gaps - np.outer(counts / len(answers), _gaps(answers)[:, :-1].sum(axis=0))
    noise = np.quantile(np.abs(centred).sum(axis=1) / counts, CONFIDENCE)
    explained = ece <= max(float(noise), float(np.quantile(chance, CONFIDENCE)))
    return 0.0 if explained else max(0.0, 2 * ece - high), min(1.0, max(ece, 2 * ece - low))


def _auroc(answers: _Answers) -> float | None:
    """Area under the ROC curve; `None` if all answers are right or all are wrong."""
    if answers.correct.min() == answers.correct.max():
        return None
    return float(roc_auc_score(answers.correct, answers.confidences))


def _coverage(answers: _Answers) -> Floats:
    """Accuracy of the 1, 2, 3... most confident answers; equal confidences count with their mean."""
    _, which, counts = np.unique(answers.confidences, return_inverse=True, return_counts=True)
    shared = (np.bincount(which, weights=answers.correct) / counts)[which][::-1]
    return np.minimum(1.0, np.cumsum(shared) / np.arange(1, len(answers) + 1))


def _thinned(curve: Floats, values: Floats) -> tuple[CoveragePoint, ...]:
    """Enough points of the curve to draw it and to read it off."""
    count = len(curve)
    kept = sorted({max(1, round(step * count / CURVE_POINTS)) for step in range(1, CURVE_POINTS + 1)})
    return tuple(
        CoveragePoint(coverage=k / count, accuracy=float(curve[k - 1]), threshold=float(values[count - k]))
        for k in kept
    )
