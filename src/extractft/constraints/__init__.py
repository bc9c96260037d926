"""Constraints on decoding: grammars, verbatim strings, token budgets and the forced end of a record. Loads no torch.

Knows the field tree, grammars and token ids; knows texts only as the source of verbatim strings, and no model.
"""

from __future__ import annotations

from extractft.constraints.grammar import (
    CompiledGrammar,
    FastTokenizer,
    GrammarCompiler,
    GuidanceMatcher,
    TokenMasks,
    accepts,
)
from extractft.constraints.token_budget import RecordSize, token_budget

__all__ = [
    "CompiledGrammar",
    "FastTokenizer",
    "GrammarCompiler",
    "GuidanceMatcher",
    "RecordSize",
    "TokenMasks",
    "accepts",
    "token_budget",
]
