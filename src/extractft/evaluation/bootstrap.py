"""Confidence intervals: of scores from a bootstrap over records, of shares by Wilson's score. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

__all__ = ["CONFIDENCE", "Floats", "Interval", "f1_interval", "percentiles", "resampled_sums", "wilson_interval"]

CONFIDENCE = 0.95
Interval = tuple[float, float]
Floats = npt.NDArray[np.float64]
_CHUNK = 1 << 20


def f1_interval(tp: Sequence[int], values: Sequence[int], *, resamples: int, seed: int) -> Interval:
    """Percentile bootstrap interval of field F1, records drawn with replacement (Efron, 1979).

    Records are drawn, not values: values of one record are right or wrong together.

    Args:
        tp: Of each record, the predicted values that are exactly right.
        values: Of each record, the values on both sides: support and predicted ones together.
        resamples: Number of sets of records that are drawn.
        seed: Seed of the draws.
    """
    sums = resampled_sums(np.column_stack([tp, values]).astype(np.float64), resamples=resamples, seed=seed)
    empty = sums[:, 1] == 0
    return percentiles(np.where(empty, 1.0, 2 * sums[:, 0] / np.where(empty, 1.0, sums[:, 1])))


def wilson_interval(hits: int, count: int) -> Interval:
    """Wilson's score interval of a share (Wilson, 1927): sensible for few answers, and for none or all right.

    A bootstrap would draw from answers that are all right nothing but right ones, and call the share certain.
    """
    bounds = scipy.stats.binomtest(hits, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def resampled_sums(table: Floats, *, resamples: int, seed: int) -> Floats:
    """Column sums of a table of shape (records, columns), over records drawn with replacement.

    Returns:
        Shape (resamples, columns).
    """
    rng = np.random.default_rng(seed)
    rows = len(table)
    step = max(1, _CHUNK // rows)
    parts = []
    for start in range(0, resamples, step):
        draws = rng.integers(0, rows, size=(min(step, resamples - start), rows))
        times = np.stack([np.bincount(draw, minlength=rows) for draw in draws])  # how often each record was drawn
        parts.append(times @ table)
    return np.concatenate(parts)


def percentiles(values: Floats) -> Interval:
    """The bounds of the middle `CONFIDENCE` of the values."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
