"""The pairing of a gold record's values with the values of the prediction that answer them.

Objects and maps are compared key by key, tuples position by position. List items are paired so that the most values
agree, whatever their order. Knows trees of values; knows nothing of scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import scipy

from extractft.evaluation.value_trees import (
    ListItem,
    ListNode,
    MappingNode,
    MatchLevel,
    ScalarNode,
    ValuePath,
    ValueTree,
    iter_scalars,
)

__all__ = ["ItemPair", "ValuePair", "align", "assign", "pair_items", "similarity"]

SHIFT = 24
WEIGHTS = {
    MatchLevel.EXACT: 1 << 2 * SHIFT | 1 << SHIFT | 1,
    MatchLevel.NORMALIZED: 1 << SHIFT | 1,
    MatchLevel.DIFFERENT: 1,
}
"""Three counts in one number. Pairings are compared by exact matches, then by normalised ones, then by places that
both sides fill."""
EXACT_LIMIT = 1_000_000_000
"""Work (rows² x columns, rows being the fewer) up to which the assignment is optimal: 1000 x 1000."""
EXACT_FLOATS = 1 << 53
"""Whole numbers below this are exact in float64, in which the assignment is computed."""

Weights = Sequence[Sequence[int]]


@dataclass(slots=True)
class ValuePair:
    """A value of the gold record and the prediction's answer to it; one of them may be absent.

    Attributes:
        path: Its place in the gold record if it is there, else in the prediction.
        prediction_path: Its place in the prediction: another position of a list than in the gold record, perhaps.
        gold: The value that should be there.
        prediction: The value that is there.
        match: The level at which they agree.
    """

    path: ValuePath
    prediction_path: ValuePath
    gold: ScalarNode | None
    prediction: ScalarNode | None
    match: MatchLevel = MatchLevel.DIFFERENT


@dataclass(slots=True)
class ItemPair:
    """A list item of the gold record and one of the prediction; one of them may be absent."""

    gold: ListItem | None
    prediction: ListItem | None

    def order(self) -> tuple[bool, int]:
        """The gold list's order, then the items that stand in the prediction alone."""
        item = self.gold or self.prediction
        return self.gold is None, item.index if item else 0


def align(
    gold: ValueTree | None,
    prediction: ValueTree | None,
    path: ValuePath | None = None,
    prediction_path: ValuePath | None = None,
) -> Iterator[ValuePair]:
    """ValuePair the values of two records. Where neither side has a value, there is no pair."""
    path = path or ValuePath()
    prediction_path = prediction_path or path
    if isinstance(gold, ScalarNode) and isinstance(prediction, ScalarNode):
        yield ValuePair(path, prediction_path, gold, prediction, gold.match(prediction))
    elif isinstance(gold, MappingNode) and isinstance(prediction, MappingNode):
        yield from _align_members(gold, prediction, path, prediction_path)
    elif isinstance(gold, ListNode) and isinstance(prediction, ListNode):
        yield from _align_items(gold, prediction, path, prediction_path)
    else:
        yield from _one_sided(gold, prediction, path, prediction_path)


def _one_sided(
    gold: ValueTree | None, prediction: ValueTree | None, path: ValuePath, prediction_path: ValuePath
) -> Iterator[ValuePair]:
    if gold is not None:
        for place, scalar in iter_scalars(gold, path):
            yield ValuePair(place, prediction_path, scalar, None)
    if prediction is not None:
        places = (place for place, _ in iter_scalars(prediction, path))
        for place, (found, scalar) in zip(places, iter_scalars(prediction, prediction_path), strict=True):
            yield ValuePair(place, found, None, scalar)


def _align_members(
    gold: MappingNode, prediction: MappingNode, path: ValuePath, prediction_path: ValuePath
) -> Iterator[ValuePair]:
    for key, member in gold.members.items():
        answer = prediction.members.get(key)
        places = path.member(member.part, key), prediction_path.member(member.part, key)
        yield from align(member.node, answer.node if answer else None, *places)
    for key, member in prediction.members.items():
        if key not in gold.members:
            places = path.member(member.part, key), prediction_path.member(member.part, key)
            yield from align(None, member.node, *places)


def _align_items(
    gold: ListNode, prediction: ListNode, path: ValuePath, prediction_path: ValuePath
) -> Iterator[ValuePair]:
    for pair in pair_items(gold.items, prediction.items):
        left, right = pair.gold, pair.prediction
        first = left or right
        assert first is not None
        places = path.item(first.index), prediction_path.item((right or first).index)
        yield from align(left.node if left else None, right.node if right else None, *places)


def pair_items(gold: Sequence[ListItem], prediction: Sequence[ListItem]) -> list[ItemPair]:
    """ValuePair list items so that `similarity` adds up to the most; items that are left over stay alone.

    The result depends on what is in the lists, not on their order, and swapping the lists swaps the pairs.
    """
    pairs, gold, prediction = _pair_identical(gold, prediction)
    gold.sort(key=_content)
    prediction.sort(key=_content)
    swapped = _rank(gold) > _rank(prediction)
    fewer, more = (prediction, gold) if swapped else (gold, prediction)
    columns = assign(_weights(fewer, more))
    found: list[tuple[ListItem | None, ListItem]] = []
    found += [(item, more[column]) for item, column in zip(fewer, columns, strict=True)]
    found += [(None, more[column]) for column in sorted({*range(len(more))} - {*columns})]
    pairs += [ItemPair(right, left) if swapped else ItemPair(left, right) for left, right in found]
    return sorted(pairs, key=ItemPair.order)


def _content(item: ListItem) -> tuple[str, int]:
    return item.node.key, item.index


def _rank(items: Sequence[ListItem]) -> tuple[int, list[str]]:
    return len(items), [item.node.key for item in items]


def _pair_identical(
    gold: Sequence[ListItem], prediction: Sequence[ListItem]
) -> tuple[list[ItemPair], list[ListItem], list[ListItem]]:
    """ValuePair the items that are the same on both sides, and return the others.

    Nothing is lost by this: if g = p were paired with p' and g' instead, each value that g shares with p' and p
    with g' is shared by g' and p' too, so that exchanging partners is never worse.
    """
    waiting: dict[str, list[ListItem]] = {}
    for item in reversed(prediction):
        waiting.setdefault(item.node.key, []).append(item)
    pairs: list[ItemPair] = []
    rest: list[ListItem] = []
    for item in gold:
        same = waiting.get(item.node.key)
        if same:
            pairs.append(ItemPair(item, same.pop()))
        else:
            rest.append(item)
    return pairs, rest, [item for items in waiting.values() for item in items]


def _weights(rows: Sequence[ListItem], columns: Sequence[ListItem]) -> list[list[int]]:
    """Similarity of each pair; repeated items, as a model in a loop writes them, are compared once."""
    known: dict[tuple[str, str], int] = {}
    table = []
    for row in rows:
        line = []
        for column in columns:
            key = (row.node.key, column.node.key)
            if key not in known:
                known[key] = similarity(row.node, column.node)
            line.append(known[key])
        table.append(line)
    return _packed(table)


def _packed(table: list[list[int]]) -> list[list[int]]:
    """The same order of all pairings in smaller numbers, whose sums float64 can hold. One row needs no sums.

    No pairing has more places that both sides fill than the rows have at most. One more than this is base enough.
    """
    if len(table) < 2:
        return table
    mask = (1 << SHIFT) - 1
    base = 1 + sum(max((weight & mask for weight in line), default=0) for line in table)

    def pack(weight: int) -> int:
        return ((weight >> 2 * SHIFT) * base + (weight >> SHIFT & mask)) * base + (weight & mask)

    return [[pack(weight) for weight in line] for line in table]


def similarity(gold: ValueTree, prediction: ValueTree) -> int:
    """The sum of `WEIGHTS` over the pairs of values of two trees, lists paired at best."""
    if isinstance(gold, ScalarNode) and isinstance(prediction, ScalarNode):
        return WEIGHTS[gold.match(prediction)]
    if isinstance(gold, MappingNode) and isinstance(prediction, MappingNode):
        others = prediction.members
        return sum(similarity(m.node, others[key].node) for key, m in gold.members.items() if key in others)
    if isinstance(gold, ListNode) and isinstance(prediction, ListNode):
        total = 0
        for pair in pair_items(gold.items, prediction.items):
            if pair.gold and pair.prediction:
                total += similarity(pair.gold.node, pair.prediction.node)
        return total
    return 0


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
    if rows == 1:
        return [max(range(columns), key=weights[0].__getitem__)]
    if rows * rows * columns > exact_limit or sum(map(max, weights)) >= EXACT_FLOATS:
        return _greedy(weights)
    _, chosen = scipy.optimize.linear_sum_assignment(weights, maximize=True)  # loads `scipy.optimize` at first use
    return [int(column) for column in chosen]


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
