"""The two simplest proposers: nothing at all, and what the grammar forces.

Knows token ids; knows no model, no tensor and no text.
"""

from __future__ import annotations

from collections.abc import Sequence

from extractft.completion import Choices, GenerationRequest, Proposal, RecordProposer

__all__ = ["FORCED_PROBABILITY", "ForcedProposer", "NoProposer"]

FORCED_PROBABILITY = 0.97
"""Probability that the model splits what it has to write into tokens as the tokenizer does."""


class NoProposer:
    """Proposes nothing: one token a pass."""

    def start(self, request: GenerationRequest) -> RecordProposer:
        """Begin a record."""
        return _NoProposals()


class _NoProposals:
    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        return []

    def observe(self, record: tuple[int, ...], decided: Sequence[int]) -> None:
        pass

    def finish(self, record: tuple[int, ...]) -> None:
        pass


class ForcedProposer:
    """Proposes what the grammar leaves no choice about, such as the rest of a key."""

    def start(self, request: GenerationRequest) -> RecordProposer:
        """Begin a record."""
        return _ForcedProposals()


class _ForcedProposals(_NoProposals):
    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        return [] if choices.forced is None else [Proposal(choices.forced, FORCED_PROBABILITY)]
