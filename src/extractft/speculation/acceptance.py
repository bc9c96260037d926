"""Acceptance of proposals, learned while they are tried: an online logistic regression over hashed features.

Each proposal comes with a first estimate and with features, such as a word behind it in the text. A feature that has
not been seen yet changes nothing; the others add their weights to the logit of the estimate. Features are hashed into
a fixed number of buckets, so that memory is the same after a million texts (Weinberger et al., "Feature hashing",
2009): after some hundred records of many words most buckets are shared, which costs little, since what often matters
moves furthest. Steps are those of AdaGrad (Duchi, Hazan and Singer, 2011), so that a rare feature moves as far as a
frequent one. Knows numbers; knows no tokens and no text.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence

__all__ = ["NUM_BUCKETS", "AcceptanceModel", "Feature"]

Feature = int
"""Hash of a feature's name and value."""
NUM_BUCKETS = 1 << 18
"""Buckets that features are hashed into."""
_RATE = 6.0
"""Shared out among the features of a proposal: however many they are, it moves by as much."""
_REMEMBERED = 16.0
"""Squared errors that make steps smaller, at most: what changes after a million records is still learned in a dozen."""
_TOO_SMALL = 0.03
"""Smaller errors are not learned from: a fourth less time for drafts, and no pass more."""
_SUREST = 8.0
"""Logits are kept within this, to both sides."""


class AcceptanceModel:
    """Weights of features, updated by each proposal that was checked."""

    def __init__(self) -> None:
        self._weights = array("d", bytes(8 * NUM_BUCKETS))
        self._errors = array("d", bytes(8 * NUM_BUCKETS))

    def probability(self, estimate: float, features: Iterable[Feature]) -> float:
        """Probability that a proposal is right: the estimate, moved by its features' weights."""
        logit = math.log(estimate / (1 - estimate)) if 0 < estimate < 1 else math.copysign(_SUREST, estimate - 0.5)
        weights = self._weights
        for feature in features:
            logit += weights[feature % NUM_BUCKETS]
        return 1 / (1 + math.exp(-max(-_SUREST, min(_SUREST, logit))))

    def observe(self, probability: float, features: Sequence[Feature], right: bool) -> None:
        """Learn from a proposal that was given a probability, and was right or not."""
        error, rate = right - probability, _RATE / max(1, len(features))
        if abs(error) < _TOO_SMALL:
            return
        weights, errors = self._weights, self._errors
        for feature in features:
            bucket = feature % NUM_BUCKETS
            errors[bucket] = min(_REMEMBERED, errors[bucket] + error * error)
            weights[bucket] += rate * error / math.sqrt(1 + errors[bucket])
