"""Speculative decoding without a second model: proposals from grammar, text and earlier records. Loads no torch.

Knows token ids and how they are spelled; knows no model and no tensor.
"""

from __future__ import annotations

from extractft.completion import Choices, Proposal, Proposer, RecordProposer
from extractft.speculation.draft_acceptance import MAX_DRAFT, Draft, min_acceptance
from extractft.speculation.drafter import Drafter
from extractft.speculation.registry import PROPOSERS, make_proposer

__all__ = [
    "MAX_DRAFT",
    "PROPOSERS",
    "Choices",
    "Draft",
    "Drafter",
    "Proposal",
    "Proposer",
    "RecordProposer",
    "make_proposer",
    "min_acceptance",
]
