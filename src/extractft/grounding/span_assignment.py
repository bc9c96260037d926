"""The choice among several places of a value, made for all leaves of a record together.

Leaves are placed one after another, those with the fewest places first, each where it costs least beside what is placed
already; then every leaf with a choice looks once more, now that all others stand. Costs are, from the most to the
least: a place that cuts a word, a place that another leaf holds, the same field of a list's items out of the order of
the text, a place nearer to another item of the list, and the distance to the nearest other leaf of the same object, or
else of what encloses it. Ties go to the first place. After each round, equal values of a list's items swap places if
they stand in the wrong order.

The work is near-linear in the number of leaves: of a value with very many places, only those around its relatives are
compared. Knows places, not texts.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

from extractft.grounding.value_search import SpanCandidate
from extractft.schema.record_paths import Route
from extractft.schema.records import Visit

__all__ = ["choose_places"]

OVERLAP_COST, DISORDER_COST, OTHER_ITEM_COST = 3.0, 2.0, 0.5
HALF_COST_DISTANCE = 50
"""Characters at which distance costs half of what it costs at most, which is 1: order and overlaps come first."""
MAX_COMPARED, MIN_COMPARED, MAX_COMPARISONS = 256, 16, 8192
"""Places of one leaf that are compared; with many leaves, fewer of each."""
NUM_SWEEPS = 2
INCREMENT, DECREMENT = bytes([*range(1, 256), 255]), bytes([0, *range(254), 255])
"""Translations of bytes that count up and down."""


def choose_places(
    leaves: Sequence[Visit], places: Sequence[Sequence[SpanCandidate]], *, length: int
) -> list[list[SpanCandidate]]:
    """For every leaf its places again, the most likely first.

    Args:
        leaves: The leaves of a record.
        places: The places of each leaf, from left to right; leaves may share a sequence.
        length: Characters of the text.
    """
    placed_spans = _PlacedSpans([leaf.route for leaf in leaves], length)
    compared = min(MAX_COMPARED, max(MIN_COMPARED, MAX_COMPARISONS // max(1, len(leaves))))
    distinct = {id(found): found for found in places if found}
    best = {key: _best(found) for key, found in distinct.items()}
    order = sorted(
        (leaf for leaf in range(len(leaves)) if places[leaf]),
        key=lambda leaf: (len(best[id(places[leaf])]), -(places[leaf][0].end - places[leaf][0].start), leaf),
    )
    ranked: list[list[SpanCandidate]] = [[] for _ in places]
    for sweep in range(NUM_SWEEPS):
        for leaf in order:
            if sweep and len(places[leaf]) == 1:
                continue
            placed_spans.remove(leaf)
            options = places[leaf]
            if len(options) > compared:
                options = _nearest_places(best[id(places[leaf])], placed_spans.relative(leaf), compared)
            costs = [(placed_spans.cost(leaf, place), place.start, place.end, place) for place in options]
            ranked[leaf] = [cost[-1] for cost in sorted(costs, key=lambda cost: cost[:-1])]
            placed_spans.place(leaf, ranked[leaf][0])
        for leaf, place in _swaps_of_equal_values(leaves, ranked):
            placed_spans.remove(leaf)
            ranked[leaf].remove(place)
            ranked[leaf].insert(0, place)
            placed_spans.place(leaf, place)
    return ranked


def _best(places: Sequence[SpanCandidate]) -> list[SpanCandidate]:
    """The most plausible places."""
    least = min(place.cost for place in places)
    return [place for place in places if place.cost <= least]


def _nearest_places(places: Sequence[SpanCandidate], center: int | None, count: int) -> Sequence[SpanCandidate]:
    """At most `count` places, those around a position."""
    middle = bisect_left(places, center or 0, key=lambda place: place.start)
    first = max(0, min(middle - count // 2, len(places) - count))
    return places[first : first + count]


def _swaps_of_equal_values(
    leaves: Sequence[Visit], ranked: Sequence[Sequence[SpanCandidate]]
) -> list[tuple[int, SpanCandidate]]:
    """Equal values of a list's items that stand in the wrong order: where each of them belongs.

    One by one they cannot move, since each holds the place that the other should have.
    """
    groups: dict[tuple[Route, Route, type, Any], list[int]] = {}
    for index, leaf in enumerate(leaves):
        at = next((at for at, step in enumerate(leaf.route) if isinstance(step, int)), None)
        if at is not None and len(ranked[index]) > 1:
            column = leaf.route[:at], leaf.route[at + 1 :]
            groups.setdefault((*column, type(leaf.value), leaf.value), []).append(index)
    moves: list[tuple[int, SpanCandidate]] = []
    for group in groups.values():
        chosen = [ranked[leaf][0] for leaf in group]
        ordered = sorted(chosen, key=lambda place: (place.start, place.end))
        if all(place in ranked[leaf] for leaf, place in zip(group, ordered, strict=True)):
            moves += [(leaf, place) for leaf, old, place in zip(group, chosen, ordered, strict=True) if old != place]
    return moves


class _PlacedSpans:
    """The leaves that have a place, and the characters that they hold."""

    def __init__(self, routes: Sequence[Route], length: int) -> None:
        self._parts = [[route[:depth] for depth in range(len(route) - 1, -1, -1)] for route in routes]
        """The parts of the record around each leaf, the innermost first."""
        self._lists = [
            [((route[:at], route[at + 1 :]), step) for at, step in enumerate(route) if isinstance(step, int)]
            for route in routes
        ]
        """For every list around each leaf: the same field of all its items, and the position of this item."""
        self._held = bytearray(length)
        """The number of leaves that hold each character, up to 255."""
        self._placed: dict[int, SpanCandidate] = {}
        self._inside: dict[Route, list[tuple[int, int]]] = {}
        self._columns: dict[tuple[Route, Route], list[tuple[int, int]]] = {}

    def place(self, leaf: int, place: SpanCandidate) -> None:
        """Put a leaf somewhere."""
        self._placed[leaf] = place
        self._hold(place, INCREMENT)
        for part in self._parts[leaf]:
            insort(self._inside.setdefault(part, []), (place.start, place.end))
        for column, index in self._lists[leaf]:
            insort(self._columns.setdefault(column, []), (index, place.start))

    def remove(self, leaf: int) -> None:
        """Take a leaf away, if it is placed."""
        place = self._placed.pop(leaf, None)
        if place is None:
            return
        self._hold(place, DECREMENT)
        for part in self._parts[leaf]:
            _remove(self._inside[part], (place.start, place.end))
        for column, index in self._lists[leaf]:
            _remove(self._columns[column], (index, place.start))

    def cost(self, leaf: int, place: SpanCandidate) -> float:
        """The cost of putting a leaf somewhere."""
        cost = place.cost + OVERLAP_COST * (not self._free(place))
        for column, index in self._lists[leaf]:
            placed = self._columns.get(column, ())
            at = bisect_left(placed, (index, 0))
            cost += DISORDER_COST * (at > 0 and place.start < placed[at - 1][1])
            cost += DISORDER_COST * (at < len(placed) and place.start > placed[at][1])
        return cost + self._distance_cost(leaf, place)

    def _free(self, place: SpanCandidate) -> bool:
        """True if no leaf holds any character of a place."""
        return self._held.count(0, place.start, place.end) == place.end - place.start

    def relative(self, leaf: int) -> int | None:
        """A rough position of the leaf's relatives."""
        for column, index in self._lists[leaf]:
            placed = self._columns.get(column)
            if placed:
                return placed[max(0, bisect_left(placed, (index, 0)) - 1)][1]
        for part in self._parts[leaf]:
            inside = self._inside.get(part)
            if inside:
                return inside[len(inside) // 2][0]
        return None

    def _distance_cost(self, leaf: int, place: SpanCandidate) -> float:
        """The cost of being far from the leaves of the innermost part of the record in which any are placed.

        Within a list's item, it costs more where a leaf of another item is nearer.
        """
        parts = self._parts[leaf]
        own = next((part for part in parts if self._inside.get(part)), None)
        if own is None:
            return 0.0
        distance = self._distance(own, place)
        cost = distance / (distance + HALF_COST_DISTANCE)
        if self._lists[leaf]:
            items = self._lists[leaf][-1][0][0]
            if len(own) > len(items) and self._distance(items, place) < distance:
                cost += OTHER_ITEM_COST
        return cost

    def _distance(self, part: Route, place: SpanCandidate) -> int:
        """Characters to the nearest leaf that is placed in a part of the record."""
        inside = self._inside[part]
        at = bisect_left(inside, (place.start, place.end))
        return min(max(0, start - place.end, place.start - end) for start, end in inside[max(0, at - 1) : at + 1])

    def _hold(self, place: SpanCandidate, change: bytes) -> None:
        self._held[place.start : place.end] = self._held[place.start : place.end].translate(change)


def _remove(ordered: list[tuple[int, int]], item: tuple[int, int]) -> None:
    del ordered[bisect_left(ordered, item)]
