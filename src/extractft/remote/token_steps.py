"""Token steps from the log-probabilities that servers send, which are those among the tokens that a grammar allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from extractft.completion import Completion, TokenStep
from extractft.remote.bounded_answer import shown_word

__all__ = ["drop_end_token", "ended_otherwise", "require_probabilities", "to_token_step"]

DISALLOWED = -1000.0
"""Servers write a large negative number for a token that the grammar does not allow (vLLM: -9999)."""
ROUNDING = 0.02
"""Logarithm by which probabilities, or the sum of several, may be more than one in a server's half precision."""


def to_token_step(token_id: int, logprob: float, top: Mapping[int, float], *, num_alternatives: int) -> TokenStep:
    """A decided token with the allowed ones beside it.

    Args:
        token_id: The token.
        logprob: Its log-probability among the allowed tokens.
        top: Log-probabilities of the most probable tokens, two at least, by id; those far below any real one are not
            allowed.
        num_alternatives: Number of them to keep.

    Raises:
        ValueError: These are no probabilities of a token that was decided.
    """
    allowed = {i: p for i, p in {**top, token_id: logprob}.items() if p != -math.inf and not p <= DISALLOWED}
    if token_id not in allowed:
        raise ValueError("a token was decided that is not allowed")
    require_probabilities(allowed.values())
    if len(allowed) == 1:
        return TokenStep(token_id, None, 0.0, forced=True)
    ranked = sorted(allowed.items(), key=lambda item: (-item[1], item[0]))[:num_alternatives]
    return TokenStep(token_id, None, logprob, alternatives=tuple(ranked))


def require_probabilities(logprobs: Iterable[float]) -> None:
    """Check that log-probabilities of different tokens are some: nothing above one, not even their sum.

    Raises:
        ValueError: They are not, or one is no number.
    """
    found = list(logprobs)
    if not all(p <= ROUNDING for p in found) or math.fsum(map(math.exp, found)) > math.exp(ROUNDING):
        raise ValueError("log-probabilities that are none")


def ended_otherwise(steps: Sequence[TokenStep], reason: object) -> Completion:
    """The completion of a record that ended neither complete nor at its limit."""
    return Completion(tuple(steps), "error", f"The server ended the record for another reason: {shown_word(reason)}.")


def drop_end_token(steps: Iterable[TokenStep], end_token_id: int) -> tuple[TokenStep, ...]:
    """Drop the last step if it ends the record."""
    found = tuple(steps)
    return found[:-1] if found and found[-1].token_id == end_token_id else found
