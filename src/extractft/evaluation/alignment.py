"""Which value of the prediction answers which value of the gold record.

Objects and maps are compared key by key, tuples position by position. List items are paired so that the most values
agree, whatever their order. Knows trees of values; knows nothing of scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from extractft.evaluation.assignment import assign
from extractft.evaluation.matching import Match
from extractft.evaluation.tree import Bag, Branch, Leaf, Place, Tree, leaves

__all__ = ["Pair", "align", "pair_items", "similarity"]

WEIGHTS = {Match.EXACT: 1 << 48 | 1 << 24 | 1, Match.NORMALIZED: 1 << 24 | 1, Match.DIFFERENT: 1}
"""Pairings are compared by exact matches, then by normalised ones, then by places that both sides fill."""

Items = list[tuple[int, Tree]]
ItemPair = tuple[tuple[int, Tree] | None, tuple[int, Tree] | None]


@dataclass(slots=True)
class Pair:
    """A value of the gold record and the prediction's answer to it; one of them may be absent.

    Attributes:
        place: Where it stands: in the gold record if it is there, else in the prediction.
        found: Where it stands in the prediction; another position of a list than in the gold record, perhaps.
        gold: The value that should be there.
        prediction: The value that is there.
        match: How much they agree.
    """

    place: Place
    found: Place
    gold: Leaf | None
    prediction: Leaf | None
    match: Match = Match.DIFFERENT


def align(
    gold: Tree | None, prediction: Tree | None, place: Place | None = None, found: Place | None = None
) -> Iterator[Pair]:
    """Pair the values of two records. Where nothing is on either side, there is no pair."""
    place = place or Place()
    found = found or place
    if isinstance(gold, Leaf) and isinstance(prediction, Leaf):
        yield Pair(place, found, gold, prediction, gold.match(prediction))
    elif isinstance(gold, Branch) and isinstance(prediction, Branch):
        yield from _align_members(gold, prediction, place, found)
    elif isinstance(gold, Bag) and isinstance(prediction, Bag):
        yield from _align_items(gold, prediction, place, found)
    else:
        yield from _one_sided(gold, prediction, place, found)


def _one_sided(gold: Tree | None, prediction: Tree | None, place: Place, found: Place) -> Iterator[Pair]:
    if gold is not None:
        yield from (Pair(where, found, leaf, None) for where, leaf in leaves(gold, place))
    if prediction is not None:
        for (where, leaf), (there, _) in zip(leaves(prediction, place), leaves(prediction, found), strict=True):
            yield Pair(where, there, None, leaf)


def _align_members(gold: Branch, prediction: Branch, place: Place, found: Place) -> Iterator[Pair]:
    for key, (part, member) in gold.members.items():
        answer = prediction.members.get(key)
        yield from align(member, answer[1] if answer else None, place.member(part, key), found.member(part, key))
    for key, (part, member) in prediction.members.items():
        if key not in gold.members:
            yield from align(None, member, place.member(part, key), found.member(part, key))


def _align_items(gold: Bag, prediction: Bag, place: Place, found: Place) -> Iterator[Pair]:
    for left, right in pair_items(gold.items, prediction.items):
        index, _ = left or right or (0, None)
        there = found.item(right[0] if right else index)
        yield from align(left[1] if left else None, right[1] if right else None, place.item(index), there)


def pair_items(gold: Items, prediction: Items) -> list[ItemPair]:
    """Pair list items so that `similarity` adds up to the most; items that are left over stay alone.

    The result depends on what is in the lists, not on their order, and swapping the lists swaps the pairs.
    """
    pairs, gold, prediction = _pair_identical(gold, prediction)
    gold.sort(key=lambda item: (item[1].key, item[0]))
    prediction.sort(key=lambda item: (item[1].key, item[0]))
    swapped = _rank(gold) > _rank(prediction)
    fewer, more = (prediction, gold) if swapped else (gold, prediction)
    columns = assign(_weights(fewer, more)) if fewer else []
    rest = {*range(len(more))} - {*columns}
    found: list[ItemPair] = [(item, more[column]) for item, column in zip(fewer, columns, strict=True)]
    found += [(None, more[column]) for column in sorted(rest)]
    pairs += [(right, left) for left, right in found] if swapped else found
    return sorted(pairs, key=_position)


def _position(pair: ItemPair) -> tuple[bool, int]:
    """The gold list's order, then what stands in the prediction alone."""
    item = pair[0] or pair[1]
    return pair[0] is None, item[0] if item else 0


def _rank(items: Items) -> tuple[int, list[str]]:
    return len(items), [tree.key for _, tree in items]


def _pair_identical(gold: Items, prediction: Items) -> tuple[list[ItemPair], Items, Items]:
    """Pair what is the same on both sides, and return what is left.

    Nothing is lost by this: if g = p were paired with p' and g' instead, each value that g shares with p' and p
    with g' is shared by g' and p' too, so that exchanging partners is never worse.
    """
    waiting: dict[str, Items] = {}
    for item in reversed(prediction):
        waiting.setdefault(item[1].key, []).append(item)
    pairs: list[ItemPair] = []
    rest: Items = []
    for item in gold:
        same = waiting.get(item[1].key)
        if same:
            pairs.append((item, same.pop()))
        else:
            rest.append(item)
    return pairs, rest, [item for items in waiting.values() for item in items]


def _weights(rows: Items, columns: Items) -> list[list[int]]:
    """Similarity of each pair; repeated items, as a model in a loop writes them, are compared once."""
    known: dict[tuple[str, str], int] = {}
    result = []
    for _, row in rows:
        line = []
        for _, column in columns:
            key = (row.key, column.key)
            if key not in known:
                known[key] = similarity(row, column)
            line.append(known[key])
        result.append(line)
    return result


def similarity(gold: Tree, prediction: Tree) -> int:
    """How much two trees have in common: the sum of `WEIGHTS` over their pairs of values, lists paired at best."""
    if isinstance(gold, Leaf) and isinstance(prediction, Leaf):
        return WEIGHTS[gold.match(prediction)]
    if isinstance(gold, Branch) and isinstance(prediction, Branch):
        others = prediction.members
        return sum(similarity(m, others[key][1]) for key, (_, m) in gold.members.items() if key in others)
    if isinstance(gold, Bag) and isinstance(prediction, Bag):
        pairs = pair_items(gold.items, prediction.items)
        return sum(similarity(left[1], right[1]) for left, right in pairs if left and right)
    return 0
