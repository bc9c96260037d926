"""`ground`: the spans of a record's values in its text. Wires the parts of this room together."""

from __future__ import annotations

from typing import Any

from extractft.grounding.span_assignment import choose_places
from extractft.grounding.spans import Span
from extractft.grounding.value_search import SpanCandidate, find_places, find_similar_place
from extractft.schema import Schema
from extractft.schema.records import Visit, scalars
from extractft.text import IndexedText, SearchBudget
from extractft.text.nfc import refuse_surrogates

__all__ = ["ground"]


def ground(schema: Schema[Any], value: Any, text: str | IndexedText) -> dict[str, tuple[Span, ...]]:
    """The places of every leaf of a record in its text.

    A leaf is a scalar that is present; its path is that of the evaluation, `"lines.0.total"`. The work is bounded: it
    grows with the length of the text and the number of leaves alone. What a record would need beyond that (`docs`:
    "Where a value stands") is left without places: first similar ones, then all places of its last values.

    Args:
        schema: The schema of the record.
        value: The record in canonical form (`Schema.canonical_value`); the full form does as well.
        text: The text that it was extracted from.

    Returns:
        Spans by path, in the order of the record. Of several places the most likely comes first; a value that stands
        nowhere has none, or one that is merely similar (`fuzzy`): it is ungrounded.

    Raises:
        PromptError: The text holds a lone surrogate, which no extractor reads.
    """
    source = text if isinstance(text, IndexedText) else IndexedText(text)
    refuse_surrogates(source.original)
    leaves = list(scalars(value, schema))
    ranked = choose_places(leaves, _places(leaves, source), length=len(source.text))
    return {
        leaf.path: tuple(_span(candidate, source) for candidate in candidates)
        for leaf, candidates in zip(leaves, ranked, strict=True)
    }


def _places(leaves: list[Visit], source: IndexedText) -> list[list[SpanCandidate]]:
    """The places of every leaf; equal values of the same kind are looked up once.

    What is similar is looked for last: it takes longest, and is worth least.
    """
    budget = SearchBudget(len(source.text))
    keys = [(id(leaf.node), type(leaf.value), leaf.value) for leaf in leaves]
    distinct = dict(zip(keys, leaves, strict=True))
    found = {key: find_places(leaf, source, budget) for key, leaf in distinct.items()}
    for key, places in found.items():
        if not places:
            found[key] = find_similar_place(distinct[key], source, budget)
    return [found[key] for key in keys]


def _span(candidate: SpanCandidate, source: IndexedText) -> Span:
    start, end = source.to_original(candidate.start, candidate.end)
    return Span(start, end, candidate.method, candidate.score)
