"""Where the values of a record stand in its text. Wires the parts of this room together."""

from __future__ import annotations

from typing import Any

from extractft.grounding.leaves import Leaf, leaves_of
from extractft.grounding.lookup import Candidate, find_places
from extractft.grounding.places import choose_places
from extractft.grounding.source import Source
from extractft.grounding.spans import Span
from extractft.schema import Schema

__all__ = ["ground"]


def ground(schema: Schema[Any], value: Any, text: str) -> dict[str, tuple[Span, ...]]:
    """The places of every leaf of a record in its text.

    A leaf is a scalar that is present; its path is that of the evaluation, `"lines.0.total"`.

    Args:
        schema: The schema of the record.
        value: The record in canonical form (`Schema.canonical_value`); the full form does as well.
        text: The text that it was extracted from.

    Returns:
        Spans by path, in the order of the record. Of several places the most likely comes first; a value that stands
        nowhere has none: it is ungrounded.

    Raises:
        PromptError: The text holds a lone surrogate, which no extractor reads.
    """
    source = Source(text)
    leaves = list(leaves_of(schema, value))
    ranked = choose_places(leaves, _places(leaves, source), length=len(source.text))
    return {
        leaf.path: tuple(_span(candidate, source) for candidate in candidates)
        for leaf, candidates in zip(leaves, ranked, strict=True)
    }


def _places(leaves: list[Leaf], source: Source) -> list[list[Candidate]]:
    """The places of every leaf; equal values of the same kind are looked up once."""
    known: dict[tuple[int, type, Any], list[Candidate]] = {}
    for leaf in leaves:
        key = id(leaf.node), type(leaf.value), leaf.value
        if key not in known:
            known[key] = find_places(leaf, source)
    return [known[id(leaf.node), type(leaf.value), leaf.value] for leaf in leaves]


def _span(candidate: Candidate, source: Source) -> Span:
    start, end = source.to_original(candidate.start, candidate.end)
    method = candidate.method
    if method == "exact" and source.original[start:end] != source.text[candidate.start : candidate.end]:
        method = "normalized"  # the text spells it with decomposed characters
    return Span(start, end, method, candidate.score)
