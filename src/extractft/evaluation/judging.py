"""Which values of one prediction are right, each under its own path. Knows records; knows no scores."""

from __future__ import annotations

from typing import TypeVar

from extractft.evaluation.alignment import align
from extractft.evaluation.matching import Match
from extractft.evaluation.shape import shape_of
from extractft.evaluation.tree import grow
from extractft.schema import Schema

__all__ = ["judge_values"]

T = TypeVar("T")


def judge_values(schema: Schema[T], gold: T, prediction: T) -> dict[str, bool]:
    """Whether each present value of a prediction is exactly right, by its path in the prediction.

    List items are paired as the scores pair them, so that an item may be right at another position than in the gold
    record. Values that are missing from the prediction do not appear.
    """
    shape = shape_of(schema)
    pairs = align(grow(schema.full_value(gold), shape), grow(schema.full_value(prediction), shape))
    return {".".join(pair.found.path): pair.match is Match.EXACT for pair in pairs if pair.prediction is not None}
