"""How far a score would move with other records of the same kind. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from extractft.evaluation.scores import Tally

__all__ = ["CONFIDENCE", "bootstrap_intervals"]

CONFIDENCE = 0.95
Interval = tuple[float, float]
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
    counts = np.asarray(columns, dtype=np.float64)
    rng = np.random.default_rng(seed)
    rows = len(counts)
    step = max(1, _CHUNK // rows)
    sums = np.concatenate(
        [
            counts[rng.integers(0, rows, size=(min(step, resamples - start), rows))].sum(axis=1)
            for start in range(0, resamples, step)
        ]
    )
    empty = sums[:, 1] == 0
    f1 = np.where(empty, 1.0, 2 * sums[:, 0] / np.where(empty, 1.0, sums[:, 1]))
    return _interval(f1), _interval(sums[:, 2] / rows)


def _interval(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
