"""Decides one token a row: logits and allowed tokens in, the most probable allowed token with its probabilities out.

Knows tensors of one step. Knows no model, no cache and no grammar.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from extractft.completion import TokenStep
from extractft.constraints import TokenMasks

__all__ = ["Sampler", "UnpackedMasks", "decide"]


class UnpackedMasks:
    """Bit masks of a batch as booleans on the device of the logits.

    Args:
        masks: The masks, which are read anew each time.
        device: Device of the logits.
    """

    def __init__(self, masks: TokenMasks, device: torch.device) -> None:
        self.masks = masks
        bits = torch.frombuffer(masks.memory, dtype=torch.uint8)
        self._bits = bits.view(masks.rows, masks.row_bytes)  # (rows, bytes), the masks' own memory
        byte, bit = torch.arange(256, device=device)[:, None], torch.arange(8, device=device)
        self._unpacked = (byte >> bit & 1).bool()  # (256, 8): the bits of each byte

    def allowed(self, rows: int) -> Tensor:
        """The first `rows` rows as booleans, shape `[rows, vocab_size]`, on the device of the logits."""
        packed = self._bits[:rows].to(self._unpacked.device)
        bits = self._unpacked.index_select(0, packed.flatten().int())  # (rows * bytes, 8)
        return bits.view(rows, 8 * self.masks.row_bytes)[:, : self.masks.vocab_size]


def decide(logits: Tensor, allowed: Tensor, *, num_alternatives: int) -> list[TokenStep | None]:
    """The most probable allowed token of each row; the lowest id among equals.

    Args:
        logits: Shape `[rows, vocab_size]`.
        allowed: Booleans of the same shape; at least one true in each row.
        num_alternatives: How many of the most probable allowed tokens to report where there was a choice.

    Returns:
        One step a row; `None` where the logits hold no numbers.
    """
    return Sampler(logits, allowed).steps(range(len(logits)), num_alternatives=num_alternatives)


class Sampler:
    """The most probable allowed token of each row, with its probabilities for those who ask.

    Args:
        logits: Shape `[rows, vocab_size]`.
        allowed: Booleans of the same shape; at least one true in each row.

    Attributes:
        best: The tokens; the lowest id among equals, any where the logits hold no numbers.
    """

    def __init__(self, logits: Tensor, allowed: Tensor) -> None:
        self._logits = logits.float()
        self._allowed = allowed
        self._masked = self._logits.masked_fill(~allowed, float("-inf"))
        self._best = self._masked.argmax(dim=-1)
        self.best: list[int] = self._best.tolist()

    def steps(self, rows: Sequence[int], *, num_alternatives: int) -> list[TokenStep | None]:
        """The decisions of some rows; `None` where the logits hold no numbers."""
        logits, masked, best, allowed = self._logits, self._masked, self._best, self._allowed
        if len(rows) < len(logits):
            index = torch.tensor(rows, device=logits.device)
            logits, masked, best, allowed = logits[index], masked[index], best[index], allowed[index]
        total, masked_total = torch.logsumexp(logits, dim=-1), torch.logsumexp(masked, dim=-1)
        score = masked.gather(-1, best[:, None])[:, 0]
        choices = allowed.sum(dim=-1)
        table = torch.stack([score - total, score - masked_total], dim=-1).tolist()
        alternatives = _alternatives(masked, masked_total, choices, num_alternatives)
        steps: list[TokenStep | None] = []
        for token_id, count, (logprob, constrained), others in zip(
            best.tolist(), choices.tolist(), table, alternatives, strict=True
        ):
            if logprob != logprob or constrained != constrained:
                steps.append(None)
            elif count == 1:
                steps.append(TokenStep(token_id, logprob, 0.0, forced=True))
            else:
                steps.append(TokenStep(token_id, logprob, constrained, alternatives=others))
        return steps


def _alternatives(masked: Tensor, total: Tensor, choices: Tensor, k: int) -> list[tuple[tuple[int, float], ...]]:
    """The `k` most probable allowed tokens of each row that has a choice, the best first, the lower id among equals."""
    found: list[tuple[tuple[int, float], ...]] = [()] * masked.shape[0]
    rows = (choices > 1).nonzero()[:, 0]
    if k == 0 or rows.numel() == 0:
        return found
    top = masked[rows].topk(min(k, masked.shape[-1]), dim=-1)
    logprobs = (top.values - total[rows, None]).tolist()
    for row, ids, values in zip(rows.tolist(), top.indices.tolist(), logprobs, strict=True):
        ranked = sorted(zip(ids, values, strict=True), key=lambda pair: (-pair[1], pair[0]))
        found[row] = tuple(pair for pair in ranked if pair[1] > float("-inf"))
    return found
