"""Speculative decoding without a second model: proposals from grammar, text and earlier records. Loads no torch.

Knows token ids and how they are spelled; knows no model and no tensor.
"""

from __future__ import annotations

from extractft.speculation.drafter import MAX_DRAFT, Draft, Drafter, min_acceptance
from extractft.speculation.proposal_statistics import ProposalStatistics

__all__ = ["MAX_DRAFT", "Draft", "Drafter", "ProposalStatistics", "min_acceptance"]
