"""From prompt tokens to record tokens: grammar, budget, engine.

Knows token ids and grammars; knows texts only as what verbatim strings are copied from, and no Python classes of the
user's.
"""

from __future__ import annotations

from extractft.decoding.budget import RecordSize, token_budget
from extractft.decoding.engine import TransformersEngine
from extractft.decoding.grammar import CompiledGrammar, GrammarCompiler, GuidanceMatcher, accepts
from extractft.decoding.protocol import (
    Completion,
    Engine,
    FinishReason,
    GenerationRequest,
    Grammar,
    Matcher,
    TokenStep,
)
from extractft.decoding.reference import ReferenceEngine

__all__ = [
    "CompiledGrammar",
    "Completion",
    "Engine",
    "FinishReason",
    "GenerationRequest",
    "Grammar",
    "GrammarCompiler",
    "GuidanceMatcher",
    "Matcher",
    "RecordSize",
    "ReferenceEngine",
    "TokenStep",
    "TransformersEngine",
    "accepts",
    "token_budget",
]
