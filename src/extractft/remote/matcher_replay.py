"""Answers of servers, token by token through the grammar's own matcher: is each allowed, and how probable was it?

Servers that report log-probabilities before the grammar was applied say more than is needed of tokens that were never
allowed. Here they are left out, and the rest renormalised. Knows token ids and masks; knows no server.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from extractft.completion import Grammar, TokenStep
from extractft.errors import GrammarError, InvalidAnswerError
from extractft.remote.token_steps import require_probabilities

__all__ = ["first_refused", "renormalized_steps", "require_allowed"]


def first_refused(grammar: Grammar, ids: Sequence[int]) -> int | None:
    """Place of the first token that the grammar does not allow, `len(ids)` if a record is cut short after the last.

    Args:
        grammar: The grammar of the request.
        ids: The tokens of a record; the end token is not needed.
    """
    matcher = grammar.matcher()
    for place, token_id in enumerate(ids):
        if matcher.is_finished():
            return place
        try:
            matcher.consume(token_id)
        except GrammarError:
            return place
    return None if matcher.is_complete() else len(ids)


def require_allowed(grammar: Grammar, ids: Sequence[int]) -> None:
    """Check that a server kept to the grammar.

    Raises:
        InvalidAnswerError: It wrote a token that is not allowed, or ended the record early.
    """
    refused = first_refused(grammar, ids)
    if refused is not None:
        found = "another token" if refused < len(ids) else "the end"
        raise InvalidAnswerError(
            f"Expected a record of the grammar, found {found} after {refused} tokens: the server does not keep to it."
        )


def renormalized_steps(
    grammar: Grammar,
    ids: Sequence[int],
    reported: Sequence[Mapping[int, float] | None],
    *,
    num_alternatives: int,
) -> Iterator[TokenStep]:
    """Yield steps with log-probabilities among the allowed tokens, from unconstrained ones of the most probable.

    Args:
        grammar: The grammar of the request.
        ids: The tokens.
        reported: For each, log-probabilities by id, its own among them; `None` where nothing was reported.
        num_alternatives: Most probable allowed tokens to keep at each decision.

    Raises:
        InvalidAnswerError: A token is not allowed.
        ValueError: What was reported are no probabilities.
    """
    matcher, mask = grammar.matcher(), bytearray(grammar.mask_bytes)
    for place, (token_id, top) in enumerate(zip(ids, reported, strict=True)):
        matcher.fill_mask(mask)
        if not _allows(mask, token_id):
            raise InvalidAnswerError(
                f"Expected a record of the grammar, found another token after {place} tokens: the server does not "
                "keep to it."
            )
        if int.from_bytes(mask, "little").bit_count() == 1:
            yield TokenStep(token_id, None, 0.0, forced=True)
        elif top is None:
            yield TokenStep(token_id, None, 0.0, alternatives=((token_id, 0.0),), unseen=1.0)
        else:
            require_probabilities(top.values())
            allowed = {i: p for i, p in top.items() if _allows(mask, i) and math.isfinite(p)}
            rest = max(0.0, 1.0 - math.exp(_log_sum(top)))
            yield _renormalized(token_id, allowed, rest, num_alternatives=num_alternatives)
        matcher.consume(token_id)


def _renormalized(token_id: int, allowed: Mapping[int, float], rest: float, *, num_alternatives: int) -> TokenStep:
    """A step from the reported tokens that are allowed.

    Args:
        token_id: The token that was chosen.
        allowed: Log-probabilities of the reported tokens that are allowed.
        rest: Probability of all tokens that were not reported.
        num_alternatives: Number of them to keep.
    """
    scale = _log_sum(allowed)
    ranked = sorted(allowed.items(), key=lambda item: (-item[1], item[0]))[:num_alternatives]
    return TokenStep(
        token_id,
        None,
        allowed[token_id] - scale,
        alternatives=tuple((i, p - scale) for i, p in ranked),
        unseen=rest / (rest + math.exp(scale)) if rest else 0.0,
    )


def _log_sum(logprobs: Mapping[int, float]) -> float:
    """Log of the sum of probabilities; they may be too small to be added as they are."""
    highest = max(logprobs.values())
    return highest + math.log(math.fsum(math.exp(value - highest) for value in logprobs.values()))


def _allows(mask: bytearray, token_id: int) -> bool:
    return token_id >> 3 < len(mask) and bool(mask[token_id >> 3] >> (token_id & 7) & 1)
