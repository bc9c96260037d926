"""Which values of one prediction are right, each under its own path. Knows records; knows no scores."""

from __future__ import annotations

from typing import TypeVar

from extractft.evaluation.alignment import align
from extractft.evaluation.matching import Match
from extractft.evaluation.shape import shape_of
from extractft.evaluation.tree import grow
from extractft.schema import Schema

__all__ = ["judge_record"]

T = TypeVar("T")


def judge_record(schema: Schema[T], gold: T, prediction: T) -> tuple[dict[str, bool], bool]:
    """Whether each present value of a prediction is exactly right, by its path in it, and whether the whole record is.

    List items are paired as the scores pair them, so that an item may be right at another position than in the gold
    record. Values that are missing from the prediction do not appear; the record is wrong for lack of them.
    """
    shape = shape_of(schema)
    pairs = list(align(grow(schema.full_value(gold), shape), grow(schema.full_value(prediction), shape)))
    values = {".".join(pair.found.path): pair.match is Match.EXACT for pair in pairs if pair.prediction is not None}
    return values, all(pair.match is Match.EXACT for pair in pairs)
