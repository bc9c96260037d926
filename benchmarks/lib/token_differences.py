"""Causes of different tokens for one prompt: which of two answers is right at the first place where they differ.

`generate` knows no grammar, so it may write what the engine must not; and where the two best tokens lie within 1e-4,
rounding decides, which depends on how tokens were put together in passes. Whatever is neither is a fault. The logits
come from one plain forward pass over the prompt and what both answers begin with, the allowed tokens from the grammar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from extractft.completion import GenerationRequest, Grammar

Reason = Literal["refused", "tie", "budget", "fault"]
NEAR = 1e-4
REASONS: dict[Reason, str] = {
    "refused": "the grammar refuses the other's token, and ours is the best that it allows",
    "tie": f"both are allowed, and their logits lie within {NEAR} of the best",
    "budget": "one of them was out of tokens there, or was being closed because it ran out of them",
    "fault": "none of these",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """Token ids without the end token, and whether the model ended it (else its budget did)."""

    token_ids: tuple[int, ...]
    ended: bool

    def token(self, place: int, end_token_id: int) -> int | None:
        """The token at a place, `None` if the budget ended it there."""
        if place < len(self.token_ids):
            return self.token_ids[place]
        return end_token_id if self.ended else None


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two answers differ.

    Attributes:
        text: Index of the text.
        place: Index of the first token that differs.
        gap: By how much the worse of the two tokens' logits lies below the best allowed one's; `None` if there is
            nothing to compare.
    """

    text: int
    place: int
    reason: Reason
    gap: float | None


def find_difference(
    text: int,
    request: GenerationRequest,
    other: Answer,
    ours: Answer,
    *,
    next_logits: Callable[[Sequence[int]], Tensor],
    end_token_id: int,
) -> Difference:
    """Find the cause of the first difference of `ours`, under the grammar, from `other`, which may be under none."""
    place = _common(other.token_ids, ours.token_ids)
    theirs, own = other.token(place, end_token_id), ours.token(place, end_token_id)
    if theirs is None or own is None:
        return Difference(text, place, "budget", None)
    shared = ours.token_ids[:place]
    allowed = allowed_tokens(request.grammar, shared)
    logits = next_logits([*request.prompt_ids, *shared]).tolist()
    best = max(logits[token_id] for token_id in allowed)
    if own not in allowed:
        return Difference(text, place, "fault", None)
    if best - logits[own] > NEAR:
        return Difference(text, place, "fault" if ours.ended else "budget", best - logits[own])
    if theirs not in allowed:
        return Difference(text, place, "refused", None)
    gap = best - min(logits[own], logits[theirs])
    return Difference(text, place, "tie" if gap <= NEAR else "fault", gap)


def allowed_tokens(grammar: Grammar, token_ids: Sequence[int]) -> frozenset[int]:
    """Tokens that the grammar allows next."""
    matcher = grammar.matcher()
    for token_id in token_ids:
        matcher.consume(token_id)
    mask = bytearray(grammar.mask_bytes)
    matcher.fill_mask(mask)
    return frozenset(i for i in range(8 * len(mask)) if mask[i >> 3] >> (i & 7) & 1)


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(left), len(right)))


def compare(
    requests: Sequence[GenerationRequest],
    others: Mapping[int, Answer],
    ours: Mapping[int, Answer],
    **options: Any,
) -> list[Difference]:
    """The differences between two ways, of the texts that both have answered; options are `find_difference`'s."""
    return [
        find_difference(text, requests[text], others[text], ours[text], **options)
        for text in sorted(others.keys() & ours.keys())
        if others[text] != ours[text]
    ]


def summary(differences: Sequence[Difference]) -> dict[str, Any]:
    """Counts by reason, and each difference, as stored."""
    counts = Counter(difference.reason for difference in differences)
    return {
        "counts": {reason: counts[reason] for reason in REASONS},
        "differences": [asdict(difference) for difference in differences],
    }


def describe(title: str, differences: Sequence[Difference]) -> str:
    """The counts as lines for people."""
    counts = Counter(difference.reason for difference in differences)
    lines = [f"{title}: {len(differences)} differ"]
    lines += [f"  {counts[reason]} {reason}: {meaning}" for reason, meaning in REASONS.items() if counts[reason]]
    return "\n".join(lines)
