"""Fits calibrators to held-out answers. Knows numbers only; loads scikit-learn.

Rows that a calibrator is fitted on look better calibrated than others. Whatever is reported therefore comes from
`cross_fitted`: every row's value is made by a calibrator that saw neither the row nor its record.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy
from sklearn.isotonic import IsotonicRegression

from extractft.errors import DatasetError
from extractft.evaluation.bootstrap import Floats
from extractft.evaluation.calibration_curves import EPSILON, Calibrator, Method, logit, sigmoid
from extractft.evaluation.calibration_metrics import Indices, check_answers, group_numbers

__all__ = ["cross_fitted", "fit_calibrator"]

FOLDS = 10
TOLERANCE = 1e-8
"""Length of the gradient at which the coefficients are found."""
PRIOR_SLOPE = 1.0
"""Platt's slope is drawn to 1, raw confidences as they are, with the weight of one unit of information."""
EDGE = 0.01
"""Beyond its outermost corners the isotonic curve rises by this share of what is left, so that no order is lost."""
LIMIT = logit(1 - EPSILON)
PRIOR_ANSWERS = 2.0
"""Each step of the isotonic curve is drawn to Platt's as if it held so many more answers of it."""

Features = Sequence[Sequence[float]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _CalibrationData:
    """Answers to fit on: raw confidences, further features of shape (rows, features), 0 or 1, record numbers."""

    raw: Floats
    features: Floats
    right: Floats
    groups: Indices

    def part(self, chosen: Mask) -> _CalibrationData:
        return _CalibrationData(self.raw[chosen], self.features[chosen], self.right[chosen], self.groups[chosen])


def fit_calibrator(
    raw: Sequence[float],
    correct: Sequence[bool],
    groups: Sequence[Hashable] | None = None,
    *,
    features: Features | None = None,
    method: Method | Literal["auto"] = "auto",
) -> Calibrator:
    """Fit a calibrator to held-out answers.

    `auto` takes the method with the lowest log-loss on rows that it was not fitted on (cross-fitted by record).
    Log-loss rather than the Brier score: both are lowest for true probabilities, but it punishes the error that costs
    most, the wrong answer that is nearly certain and that no threshold sends to a person. The isotonic curve, which
    has as many parameters as it likes, has to be better by one standard error.

    Few rows are smoothed, not trusted: one right answer does not make 100 % (Platt, 1999).

    Args:
        raw: Raw confidences, probabilities.
        correct: True for each answer that is right.
        groups: The record of each answer; `None` if every answer is a record of its own.
        features: Further numbers of each answer that its confidence may depend on.
        method: `platt`, `isotonic`, `identity`, or `auto`.

    Raises:
        DatasetError: There are no answers, the sequences differ in length, or a confidence is not a probability.
    """
    return _fit(_rows(raw, correct, groups, features), method)


def cross_fitted(
    raw: Sequence[float],
    correct: Sequence[bool],
    groups: Sequence[Hashable] | None = None,
    *,
    features: Features | None = None,
    method: Method | Literal["auto"] = "auto",
) -> list[float]:
    """Calibrated confidences, each from a calibrator fitted on other records. Arguments as `fit_calibrator`.

    With `auto`, the method is chosen anew each time, so that no row has a say in its own.

    Raises:
        DatasetError: As `fit_calibrator`, or all answers are of one record.
    """
    rows = _rows(raw, correct, groups, features)
    if rows.groups.max() == 0:
        raise DatasetError("expected answers of at least two records to cross-fit, found one record")
    values = np.empty(len(rows.raw))
    for held_out in _folds(rows):
        calibrator = _fit(rows.part(~held_out), method)
        values[held_out] = _applied(calibrator, rows.part(held_out))
    return values.tolist()


def _rows(
    raw: Sequence[float],
    correct: Sequence[bool],
    groups: Sequence[Hashable] | None,
    features: Features | None,
) -> _CalibrationData:
    values, right = check_answers(raw, correct)
    further = np.asarray(features if features is not None else np.empty((len(values), 0)), dtype=np.float64)
    if further.ndim != 2 or len(further) != len(values) or not np.isfinite(further).all():
        raise DatasetError(f"expected finite features of shape ({len(values)}, any), found {further.shape}")
    return _CalibrationData(values, further, right, group_numbers(groups, len(values)))


def _fit(rows: _CalibrationData, method: Method | Literal["auto"]) -> Calibrator:
    if method == "auto":
        return _best(rows)
    return {"identity": _identity, "platt": _platt, "isotonic": _isotonic}[method](rows)


def _identity(rows: _CalibrationData) -> Calibrator:
    return Calibrator(method="identity", weights=(0.0,) * rows.features.shape[1], rows=len(rows.raw))


def _best(rows: _CalibrationData) -> Calibrator:
    """The method with the lowest cross-fitted log-loss."""
    if len(np.unique(rows.groups)) < 2:
        return _platt(rows)
    losses = {method: _losses(rows, method) for method in ("identity", "platt", "isotonic")}
    simple: Method = "identity" if losses["identity"].mean() < losses["platt"].mean() else "platt"
    gain = losses[simple] - losses["isotonic"]
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    method: Method = "isotonic" if gain.mean() > error else simple
    return _fit(rows, method).model_copy(update={"log_loss": float(losses[method].mean())})


def _losses(rows: _CalibrationData, method: Method) -> Floats:
    """Cross-fitted log-loss of each record: the mean over its answers."""
    losses = np.empty(len(rows.raw))
    for held_out in _folds(rows):
        part = rows.part(held_out)
        probability: Floats = np.asarray(_applied(_fit(rows.part(~held_out), method), part), dtype=np.float64)
        losses[held_out] = -np.where(part.right == 1, np.log(probability), np.log1p(-probability))
    _, members = np.unique(rows.groups, return_inverse=True)
    return np.asarray(np.bincount(members, weights=losses) / np.bincount(members))


def _applied(calibrator: Calibrator, rows: _CalibrationData) -> list[float]:
    return calibrator.apply_all(rows.raw.tolist(), rows.features.tolist())


def _folds(rows: _CalibrationData) -> list[Mask]:
    """Masks of held-out rows: whole records, each in one fold, wrong answers spread evenly; the same every time."""
    _, members = np.unique(rows.groups, return_inverse=True)
    wrong = np.bincount(members, weights=1 - rows.right)
    shuffled = np.random.default_rng(0).permutation(len(wrong))
    order = shuffled[np.argsort(-wrong[shuffled], kind="stable")]
    fold = np.empty(len(wrong), dtype=np.intp)
    fold[order] = np.arange(len(wrong)) % FOLDS
    return [fold[members] == index for index in range(min(FOLDS, len(wrong)))]


def _logits(raw: Floats) -> Floats:
    return np.asarray(scipy.special.logit(np.clip(raw, EPSILON, 1 - EPSILON)))


def _targets(right: Floats) -> Floats:
    """Platt's targets: as if one more right and one more wrong answer had been seen, never 0 or 1."""
    hits = right.sum()
    return np.asarray(np.where(right == 1, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2)))


def _platt(rows: _CalibrationData) -> Calibrator:
    """Logistic regression on the logit (Platt, 1999).

    Two things keep it sensible on few rows: smoothed targets, and a prior on the coefficients, the slope around 1 and
    those of further features (in units of their spread) around 0, all with unit variance. Without the prior, rows
    that are all right would make every answer equally sure and lose their order.
    """
    spread = rows.features.std(axis=0)
    spread[spread == 0] = 1.0
    centre = rows.features.mean(axis=0)
    scores = _logits(rows.raw)
    design = np.column_stack([scores, np.ones(len(scores)), (rows.features - centre) / spread])
    targets = _targets(rows.right)
    found = _penalised_logistic(design, targets)
    if found[0] < 0:  # raw confidences point the wrong way: say nothing rather than turn them round
        found = np.concatenate([[0.0], _penalised_logistic(design[:, 1:], targets, slope=False)])
    weights = found[2:] / spread
    return Calibrator(
        method="platt",
        slope=float(found[0]),
        intercept=float(found[1] - weights @ centre),
        weights=tuple(weights.tolist()),
        rows=len(scores),
    )


def _penalised_logistic(design: Floats, targets: Floats, *, slope: bool = True) -> Floats:
    """Coefficients with the highest posterior: columns are (slope), intercept (no prior), features."""
    precision = np.ones(design.shape[1])
    precision[1 if slope else 0] = 0.0
    centre = np.zeros(design.shape[1])
    if slope:
        centre[0] = PRIOR_SLOPE

    def cost(at: Floats) -> float:
        scores = design @ at
        likelihood = np.logaddexp(0, scores) - targets * scores
        return float(likelihood.sum() + (precision * (at - centre) ** 2).sum() / 2)

    def gradient(at: Floats) -> Floats:
        return np.asarray(design.T @ (scipy.special.expit(design @ at) - targets) + precision * (at - centre))

    def hessian(at: Floats) -> Floats:
        probability = scipy.special.expit(design @ at)
        return np.asarray((design.T * (probability * (1 - probability))) @ design + np.diag(precision))

    return np.asarray(
        scipy.optimize.minimize(
            cost, centre, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": TOLERANCE}
        ).x
    )


def _isotonic(rows: _CalibrationData) -> Calibrator:
    """Isotonic regression on Platt's score, smoothed, with corners at the middle of its steps.

    Plain steps make everything on one step equally sure, and a step of two wrong answers impossible. Corners at the
    mean score of each step, joined by straight lines, keep the order and are nearer to the truth (centred isotonic
    regression, Oron & Flournoy, 2017). Each step is drawn to Platt's curve as if it held two more answers of it.
    """
    platt = _platt(rows)
    if not platt.slope and not any(platt.weights):  # nothing to order the answers by
        return platt
    scores = platt.slope * _logits(rows.raw) + rows.features @ np.asarray(platt.weights) + platt.intercept
    heights, middles, counts = _steps(scores, _targets(rows.right), np.ones(len(scores)))
    curve = np.asarray([sigmoid(middle) for middle in middles])
    smooth = (counts * heights + PRIOR_ANSWERS * curve) / (counts + PRIOR_ANSWERS)
    heights, middles, _ = _steps(middles, smooth, counts)
    reach = float(np.abs(scores).max()) + platt.slope * LIMIT
    return Calibrator(**{**dict(platt), "method": "isotonic", "knots": _knots(middles, heights, reach=reach)})


def _steps(scores: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Heights of the best rising steps, and for each the mean score and the weight of what is on it."""
    fitted = IsotonicRegression().fit_transform(scores, targets, sample_weight=weights)
    heights, which = np.unique(fitted, return_inverse=True)
    counts: Floats = np.bincount(which, weights=weights).astype(np.float64)
    return heights.astype(np.float64), np.bincount(which, weights=weights * scores) / counts, counts


def _knots(middles: Floats, heights: Floats, *, reach: float) -> tuple[tuple[float, float], ...]:
    """The corners, and one beyond each end so that the curve rises there too."""
    knots = [*zip(middles.tolist(), heights.tolist(), strict=True)]
    (first, low), (last, high) = knots[0], knots[-1]
    if -reach < first:
        knots.insert(0, (-reach, low * (1 - EDGE)))
    if last < reach:
        knots.append((reach, high + (1 - high) * EDGE))
    return tuple(knots)
