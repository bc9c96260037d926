"""How far a score would move with other records of the same kind. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from extractft.evaluation.scores import Tally

__all__ = ["CONFIDENCE", "Floats", "Interval", "bootstrap_intervals", "percentiles", "resampled_sums"]

CONFIDENCE = 0.95
Interval = tuple[float, float]
Floats = npt.NDArray[np.float64]
_CHUNK = 1 << 20


def bootstrap_intervals(
    tallies: Sequence[Tally], exact: Sequence[bool], *, resamples: int, seed: int
) -> tuple[Interval, Interval]:
    """Percentile bootstrap intervals of field F1 and exact rate, records drawn with replacement (Efron, 1979).

    Records are drawn, not values: values of one record are right or wrong together.

    Args:
        tallies: Counts of each record.
        exact: Whether each record is exactly right.
        resamples: How many sets of records are drawn.
        seed: Seed of the draws.
    """
    columns = [(tally.tp, tally.support + tally.predicted, hit) for tally, hit in zip(tallies, exact, strict=True)]
    sums = resampled_sums(np.asarray(columns, dtype=np.float64), resamples=resamples, seed=seed)
    empty = sums[:, 1] == 0
    f1 = np.where(empty, 1.0, 2 * sums[:, 0] / np.where(empty, 1.0, sums[:, 1]))
    return percentiles(f1), percentiles(sums[:, 2] / len(columns))


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
    """What holds the middle `CONFIDENCE` of the values."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
