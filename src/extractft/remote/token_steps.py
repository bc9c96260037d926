"""Token steps from the log-probabilities that servers send, which are those among the tokens that a grammar allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from extractft.completion import TokenStep

__all__ = ["drop_end_token", "to_token_step"]

DISALLOWED = -1000.0
"""Servers write a large negative number for a token that the grammar does not allow (vLLM: -9999)."""


def to_token_step(token_id: int, logprob: float, top: Mapping[int, float], *, num_alternatives: int) -> TokenStep:
    """A decided token with the allowed ones beside it.

    Args:
        token_id: The token.
        logprob: Its log-probability among the allowed tokens.
        top: Log-probabilities of the most probable tokens, two at least, by id; those far below any real one are not
            allowed.
        num_alternatives: Number of them to keep.
    """
    allowed = {i: p for i, p in {**top, token_id: logprob}.items() if p > DISALLOWED and math.isfinite(p)}
    if len(allowed) == 1:
        return TokenStep(token_id, None, 0.0, forced=True)
    ranked = sorted(allowed.items(), key=lambda item: (-item[1], item[0]))[:num_alternatives]
    return TokenStep(token_id, None, logprob, alternatives=tuple(ranked))


def drop_end_token(steps: Iterable[TokenStep], end_token_id: int) -> tuple[TokenStep, ...]:
    """Drop the last step if it ends the record."""
    found = tuple(steps)
    return found[:-1] if found and found[-1].token_id == end_token_id else found
