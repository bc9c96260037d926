"""Bit masks of the allowed tokens of a batch, in one piece of memory. Knows bits; loads no torch."""

from __future__ import annotations

from extractft.completion import Matcher

__all__ = ["TokenMasks"]


class TokenMasks:
    """Bit masks of allowed tokens, one a row.

    Args:
        rows: Most rows of a batch.
        vocab_size: Width of the logits.

    Attributes:
        rows: Most rows of a batch.
        vocab_size: Width of the logits.
        row_bytes: Length of one mask: whole 32-bit words.
        memory: All masks, one behind the other; bit `i % 8` of byte `i // 8` of a row stands for id `i`.
    """

    def __init__(self, rows: int, vocab_size: int) -> None:
        self.rows = rows
        self.vocab_size = vocab_size
        self.row_bytes = 4 * -(-vocab_size // 32)
        self.memory = bytearray(rows * self.row_bytes)

    def fill(self, row: int, matcher: Matcher) -> None:
        """Let the matcher write its allowed tokens into a row.

        Raises:
            GrammarError: The matcher cannot go on.
        """
        start = row * self.row_bytes
        with memoryview(self.memory)[start : start + self.row_bytes] as mask:
            matcher.fill_mask(mask)

    def allows(self, row: int, token_id: int) -> bool:
        """True if a row's mask allows a token."""
        return bool(self.memory[row * self.row_bytes + (token_id >> 3)] >> (token_id & 7) & 1)
