"""Which values of one prediction are right, each under its own path. Knows records; knows no scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from extractft.evaluation.alignment import pair_items
from extractft.evaluation.matching import Match
from extractft.evaluation.shape import shape_of
from extractft.evaluation.tree import Bag, Branch, Leaf, Place, Tree, grow, leaves
from extractft.schema import Schema

__all__ = ["judge_values"]

T = TypeVar("T")


def judge_values(schema: Schema[T], gold: T, prediction: T) -> dict[str, bool]:
    """Whether each present value of a prediction is exactly right, by its path in the prediction.

    List items are paired as the scores pair them, so that an item may be right at another position than in the gold
    record. Values that are missing from the prediction do not appear.
    """
    shape = shape_of(schema)
    answer = grow(schema.full_value(prediction), shape)
    return dict(_judge(grow(schema.full_value(gold), shape), answer, Place()))


def _judge(gold: Tree | None, answer: Tree | None, place: Place) -> Iterator[tuple[str, bool]]:
    if isinstance(gold, Branch) and isinstance(answer, Branch):
        for key, (part, member) in answer.members.items():
            right = gold.members.get(key)
            yield from _judge(right[1] if right else None, member, place.member(part, key))
    elif isinstance(gold, Bag) and isinstance(answer, Bag):
        for left, right in pair_items(list(gold.items), list(answer.items)):
            if right is not None:
                yield from _judge(left[1] if left else None, right[1], place.item(right[0]))
    elif answer is not None:
        for where, leaf in leaves(answer, place):
            same = isinstance(gold, Leaf) and isinstance(answer, Leaf) and gold.match(leaf) is Match.EXACT
            yield ".".join(where.path), same
