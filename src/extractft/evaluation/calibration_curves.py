"""From raw confidences to calibrated ones. Knows stored numbers and `math`; `curve_fitting` fits them.

Two steps, so that every method can take further features into account. The score of an answer is
`slope * logit(raw) + intercept + weights · features`. A logistic curve or a piecewise linear one makes a probability
of it. Neither step ever turns round the order of two raw confidences, other features being equal.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from extractft.evaluation.frozen_model import FrozenModel

__all__ = ["Calibrator", "Method", "logit", "sigmoid"]

Method = Literal["identity", "platt", "isotonic"]

EPSILON = 1e-6
"""Confidences nearer than this to 0 or 1 are not told apart: summed float32 log-probabilities carry no more."""


class Calibrator(FrozenModel):
    """Maps a raw confidence to one that can be believed. Plain numbers, to be stored with the model.

    What comes out is never exactly 0 or 1.
    """

    method: Method
    """`identity` leaves confidences as they are; `platt` is logistic; `isotonic` is piecewise linear."""
    slope: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Factor of the raw confidence's logit. 0 where raw confidences say nothing."""
    intercept: float = Field(default=0.0, allow_inf_nan=False)
    """Added to the score."""
    weights: tuple[float, ...] = ()
    """Factors of further features, in their order."""
    knots: tuple[tuple[float, float], ...] = ()
    """Score and probability at the corners of the piecewise linear curve, scores rising."""
    rows: int = Field(default=0, ge=0)
    """Answers that it was fitted on."""
    log_loss: float | None = None
    """Mean log-loss of the method on rows that it was not fitted on; `None` if it was not measured."""

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if (self.method == "isotonic") is not bool(self.knots):
            raise ValueError("expected knots for the isotonic method, and for no other")
        for (left, low), (right, high) in pairwise(self.knots):
            if not left < right or low > high:
                raise ValueError("expected knots with rising scores and probabilities that do not fall")
        if not all(0 < probability < 1 for _, probability in self.knots):
            raise ValueError("expected knots with probabilities between 0 and 1")
        if not all(math.isfinite(number) for number in (*self.weights, *(score for score, _ in self.knots))):
            raise ValueError("expected finite numbers")
        return self

    def apply(self, raw: float, features: Sequence[float] = ()) -> float:
        """The calibrated confidence of a raw one.

        Args:
            raw: A probability.
            features: As many numbers as the calibrator was fitted with.

        Raises:
            ValueError: `raw` is no probability, or there is another number of features.
        """
        if not 0 <= raw <= 1:
            raise ValueError(f"expected a raw confidence between 0 and 1, found {raw}")
        if len(features) != len(self.weights):
            raise ValueError(f"expected {len(self.weights)} features, found {len(features)}")
        if self.method == "identity":
            return _clip(raw)
        score = self.score(raw, features)
        return self._interpolated(score) if self.method == "isotonic" else _clip(sigmoid(score))

    def score(self, raw: float, features: Sequence[float] = ()) -> float:
        """The score at which the curve is looked up, without checks."""
        further = math.fsum(weight * feature for weight, feature in zip(self.weights, features, strict=True))
        return self.slope * logit(raw) + self.intercept + further

    def apply_all(self, raw: Sequence[float], features: Sequence[Sequence[float]] | None = None) -> list[float]:
        """The calibrated confidences of several raw ones.

        Raises:
            ValueError: As `apply`, or there are not as many rows of features.
        """
        rows = features if features is not None else [()] * len(raw)
        return [self.apply(float(value), row) for value, row in zip(raw, rows, strict=True)]

    def _interpolated(self, score: float) -> float:
        index = bisect_right(self.knots, score, key=lambda knot: knot[0])
        if index in (0, len(self.knots)):
            return self.knots[min(index, len(self.knots) - 1)][1]
        (left, low), (right, high) = self.knots[index - 1 : index + 1]
        return min(high, low + (high - low) * ((score - left) / (right - left)))


def logit(probability: float) -> float:
    """Log-odds, with probabilities kept `EPSILON` away from 0 and 1."""
    clipped = _clip(probability)
    return math.log(clipped / (1 - clipped))


def sigmoid(score: float) -> float:
    """The probability of log-odds, without overflow."""
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    return math.exp(score) / (1 + math.exp(score))


def _clip(probability: float) -> float:
    return min(1 - EPSILON, max(EPSILON, probability))
