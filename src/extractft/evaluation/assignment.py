"""Which rows go with which columns so that the weights add up to the most. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["EXACT_LIMIT", "assign"]

EXACT_LIMIT = 4_000_000
"""Work (rows² x columns, rows being the fewer) up to which the assignment is optimal: about 160 x 160, one second."""

Weights = Sequence[Sequence[int]]


def assign(weights: Weights, *, exact_limit: int = EXACT_LIMIT) -> list[int]:
    """The column of each row so that the sum of the weights is largest. Each column is used once.

    Optimal up to `exact_limit`. Above it greedy, largest weight first, which reaches at least half of the optimum.

    Args:
        weights: Non-negative weights, no more rows than columns.
        exact_limit: Bound on rows² x columns for the optimal assignment.
    """
    if not weights:
        return []
    rows, columns = len(weights), len(weights[0])
    if rows * rows * columns <= exact_limit:
        return _hungarian(weights)
    return _greedy(weights)


def _hungarian(weights: Weights) -> list[int]:
    """The Hungarian method with shortest augmenting paths and potentials, O(rows² x columns).

    Column 0 stands for "the row that is being placed"; rows and columns count from 1.
    """
    rows, columns = len(weights), len(weights[0])
    row_potential = [0] * (rows + 1)
    column_potential = [0] * (columns + 1)
    owner = [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0] = row
        column, came_from = _shortest_path(weights, row_potential, column_potential, owner)
        while column:
            owner[column] = owner[came_from[column]]
            column = came_from[column]
    result = [0] * rows
    for column in range(1, columns + 1):
        if owner[column]:
            result[owner[column] - 1] = column - 1
    return result


def _shortest_path(
    weights: Weights, row_potential: list[int], column_potential: list[int], owner: list[int]
) -> tuple[int, list[int]]:
    """Grow a tree of tight edges from column 0 to a free column (Dijkstra on reduced costs); updates potentials."""
    columns = len(weights[0])
    came_from = [0] * (columns + 1)
    slack: list[int | None] = [None] * (columns + 1)
    reached = [0]
    open_columns = list(range(1, columns + 1))
    column = 0
    while True:
        row = owner[column]
        cost_row, base = weights[row - 1], row_potential[row]
        best: int | None = None
        best_column = 0
        for other in open_columns:
            reduced = -cost_row[other - 1] - base - column_potential[other]
            known = slack[other]
            if known is None or reduced < known:
                slack[other] = known = reduced
                came_from[other] = column
            if best is None or known < best:
                best, best_column = known, other
        assert best is not None
        for other in reached:
            row_potential[owner[other]] += best
            column_potential[other] -= best
        for other in open_columns:
            slack[other] -= best  # type: ignore[operator]
        open_columns.remove(best_column)
        reached.append(best_column)
        column = best_column
        if not owner[column]:
            return column, came_from


def _greedy(weights: Weights) -> list[int]:
    """Largest weight first; ties go to the earlier row, then the earlier column."""
    pairs = [(-weight, row, column) for row, line in enumerate(weights) for column, weight in enumerate(line)]
    pairs.sort()
    result = [-1] * len(weights)
    taken: set[int] = set()
    for _, row, column in pairs:
        if result[row] < 0 and column not in taken:
            result[row] = column
            taken.add(column)
    return result
