"""The seam's old place: `extractft.completion` holds it now."""

from extractft.completion import Completion, Engine, FinishReason, GenerationRequest, Grammar, Matcher, TokenStep

__all__ = ["Completion", "Engine", "FinishReason", "GenerationRequest", "Grammar", "Matcher", "TokenStep"]
