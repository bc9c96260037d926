"""Would more examples help? Knows the scores of a few training runs; knows no training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field, field_validator

from extractft.errors import DatasetError
from extractft.evaluation.console_tables import number
from extractft.evaluation.frozen_model import FrozenModel

__all__ = ["LearningPoint", "advice"]

NEARLY_PERFECT = 0.995
WORTHWHILE = 0.005
"""A gain in F1 that is worth labelling twice the rows for."""
SHORTEST_STEP = 0.5
"""Doublings of the rows from which the next one can be guessed at."""
VAGUE = 0.05
"""If chance gives more than this, a score that stays where it is says nothing."""


class LearningPoint(FrozenModel):
    """The score after training on some of the rows. All points are scored on the same held-out rows."""

    fraction: float = Field(gt=0, le=1)
    """Share of the training rows that was used."""
    rows: int = Field(ge=1)
    """The number of these rows."""
    field_f1: float = Field(ge=0, le=1)
    """F1 over all values of the held-out rows."""
    interval: tuple[float, float]
    """95 % interval of it."""

    @field_validator("interval")
    @classmethod
    def _ordered(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        low, high = bounds
        if not low <= high or math.isinf(low) or math.isinf(high):
            raise ValueError("expected two numbers, the lower one first")
        return bounds


def advice(points: Sequence[LearningPoint]) -> str:
    """Say in a sentence or two whether more examples would help, from what the last doubling of the rows did.

    The gain is compared with what chance gives: half the width of both intervals, added up as for independent scores.
    Since both are scored on the same rows, this errs on the side of "perhaps". The outlook for the next doubling
    assumes that it divides the errors as the last one did, as learning curves that follow a power law do.

    Raises:
        DatasetError: There are no points.
    """
    if not points:
        raise DatasetError("expected at least one point of a learning curve, found none")
    curve = sorted(points, key=lambda point: point.rows)
    last = curve[-1]
    smaller = [point for point in curve if point.rows < last.rows]
    if not smaller:
        return "One size of training set cannot say whether more examples would help: train on a part of the rows too."
    before = min(smaller, key=lambda point: abs(math.log(2 * point.rows / last.rows)))
    gain = last.field_f1 - before.field_f1
    noise = math.hypot(_half(before), _half(last))
    step, chance = _step(before, last), f"what chance gives (±{noise:.3f})"
    if last.field_f1 >= NEARLY_PERFECT:
        return f"No: there is hardly anything left to gain on these held-out rows ({step})."
    if gain > max(noise, WORTHWHILE):
        return f"Yes: {step}, more than {chance}.{_outlook(before, last)}"
    if gain > WORTHWHILE:
        return f"Perhaps: {step}, which is within {chance}. More held-out rows would tell."
    if gain < -max(noise, WORTHWHILE):
        return f"Probably not: {step}, more than {chance}. Look at the rows that were added: their labels may be wrong."
    if noise > VAGUE:
        return f"That cannot be told: {step}, which is within {chance}. More held-out rows would tell."
    return (
        f"Probably not: {step}. Rather look at the worst field and its wrong records: labels that contradict "
        "each other or a description that is missing often cost more than a lack of rows."
    )


def _step(before: LearningPoint, last: LearningPoint) -> str:
    old, new = number(before.field_f1), number(last.field_f1)
    verb = "rose" if last.field_f1 > before.field_f1 else "fell"
    went = f"stayed at {new}" if old == new else f"{verb} from {old} to {new}"
    return f"from {before.rows} to {last.rows} rows, field F1 {went}"


def _half(point: LearningPoint) -> float:
    low, high = point.interval
    return (high - low) / 2


def _outlook(before: LearningPoint, last: LearningPoint) -> str:
    """The score that twice the rows may give if errors go on shrinking; nothing if the step says little of that."""
    doublings = math.log2(last.rows / before.rows)
    if doublings < SHORTEST_STEP:
        return ""
    shrunk = ((1 - last.field_f1) / (1 - before.field_f1)) ** (1 / doublings)
    expected = 1 - (1 - last.field_f1) * shrunk
    return f" If errors go on shrinking like this, {2 * last.rows} rows would give about {number(expected)}."
