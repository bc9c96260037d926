"""Capabilities of an engine beyond the protocol, for users to read and for the extractor to act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Features of a connected server.

    Attributes:
        kind: The kind of server: `"vllm"`, `"sglang"`, `"llama.cpp"` or `"openai"`.
        model: The name under which it serves the model.
        version: Its own version, as it reports it.
        max_window: Longest prompt and answer together in tokens, as far as it tells.
        grammar: The constraint it enforces while decoding: `"llguidance"` is the grammar of the engine here, verbatim
            fields included; `"gbnf"` is one that does not know the text; `"json_schema"` is the shape alone. What a
            weaker constraint lets pass is checked when the answer arrives.
        logprobs: Log-probabilities that it sends: `"constrained"` are those among the tokens that the grammar allows;
            `"renormalized"` are computed here from those of the most probable tokens; `"none"` means that records
            come without a confidence.
        token_ids: True if prompts and answers travel as token ids, so that nobody tokenizes twice.
        notes: Each missing feature, and the setting of the server that brings it.
    """

    kind: str
    model: str
    version: str | None = None
    max_window: int | None = None
    grammar: Literal["llguidance", "gbnf", "json_schema", "none"] = "llguidance"
    logprobs: Literal["constrained", "renormalized", "none"] = "constrained"
    token_ids: bool = True
    notes: tuple[str, ...] = ()
