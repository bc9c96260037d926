"""The pairing of rows and columns against trying every pairing."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from extractft.evaluation.value_pairing import assign


@st.composite
def weight_tables(draw: st.DrawFn) -> list[list[int]]:
    rows = draw(st.integers(1, 5))
    columns = draw(st.integers(rows, 6))
    # few distinct weights make many ties; huge ones must not lose precision
    weight = st.one_of(st.integers(0, 3), st.sampled_from([0, 2**50, 2**50 + 1]))
    return draw(st.lists(st.lists(weight, min_size=columns, max_size=columns), min_size=rows, max_size=rows))


def total(weights: list[list[int]], columns: tuple[int, ...] | list[int]) -> int:
    return sum(line[column] for line, column in zip(weights, columns, strict=True))


def best(weights: list[list[int]]) -> int:
    return max(total(weights, columns) for columns in permutations(range(len(weights[0])), len(weights)))


@given(weight_tables())
@settings(max_examples=300, deadline=None)
def test_assignment_is_as_good_as_the_best_of_all(weights: list[list[int]]) -> None:
    columns = assign(weights)
    assert len(set(columns)) == len(weights)
    assert total(weights, columns) == best(weights)


@given(weight_tables())
@settings(max_examples=200, deadline=None)
def test_greedy_assignment_keeps_its_bound(weights: list[list[int]]) -> None:
    columns = assign(weights, exact_limit=0)
    assert len(set(columns)) == len(weights)
    assert all(0 <= column < len(weights[0]) for column in columns)
    assert 2 * total(weights, columns) >= best(weights)


def test_greedy_is_worse_where_it_can_be() -> None:
    weights = [[3, 2], [2, 0]]
    assert total(weights, assign(weights)) == 4
    assert total(weights, assign(weights, exact_limit=0)) == 3


def test_nothing_to_assign() -> None:
    assert assign([]) == []


def test_large_tables_stay_exact_up_to_the_limit() -> None:
    size = 60
    shifted = [
        [100 if column == (row * 7) % size else (row * column) % 90 for column in range(size)] for row in range(size)
    ]
    assert assign(shifted) == [(row * 7) % size for row in range(size)]
