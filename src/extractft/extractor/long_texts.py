"""Long texts piece by piece: what was asked of a text, and one record made of the records of its pieces.

Knows records and their places; knows no engine and no tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from extractft.completion import Completion
from extractft.confidence.token_confidence import Confidence
from extractft.errors import ExtractionError, MergeConflictError, OutputInvalidError
from extractft.extractor.extraction import Extraction, Outcome, TextJob, WindowExtraction
from extractft.grounding import Span, ValueSource, Window, ground, merge, merge_spans
from extractft.schema import Schema
from extractft.schema.scalar_writers import dumps

__all__ = ["combine_spans", "longest_window", "merge_confidence", "merge_windows"]

T = TypeVar("T")


def longest_window(room: int, budget: Callable[[int], int]) -> int:
    """Most tokens of text that fit into a window together with their record; 1 if nothing does.

    Args:
        room: What is left of the model's window beside the prompt around the text.
        budget: New tokens that a text of so many tokens may need.
    """
    low, high = 1, max(1, room)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle + budget(middle) <= room else (low, middle - 1)
    return low


def merge_windows(schema: Schema[T], asked: TextJob[T]) -> Outcome[T]:
    """One outcome for the text: a record merged from those of all windows, or the first error if there is one.

    The merged record's completion is that of the windows, one behind the other.
    """
    extractions: list[Extraction[T]] = []
    for outcome in asked.outcomes:
        if isinstance(outcome, ExtractionError):
            outcome.text = asked.text
            return outcome
        extractions.append(outcome)
    values: list[Any] = []
    try:
        values = [schema.canonical_value(extraction.output) for extraction in extractions]
        spans = [ground(schema, value, e.text) for value, e in zip(values, extractions, strict=True)]
        merged = merge(schema, values, spans=spans, text=asked.text)
        record = schema.parse_value(merged.value)
    except MergeConflictError as error:
        return error.with_traceback(None)  # a value from here on, which is not to keep this frame
    except Exception:  # validators and serialisers of the user's may raise anything, and spoil only this text
        return OutputInvalidError(
            f"The schema refused the record that was merged from {len(extractions)} pieces of a long text.",
            text=asked.text,
            raw_output=dumps(values),
        ).hint("See .raw_output for the records of the pieces, and `Merge` for how fields are put together.")
    steps = tuple(step for e in extractions for step in e.completion.steps)
    parts = zip(asked.windows, extractions, _by_window(merged.sources, len(extractions)), strict=True)
    return Extraction(
        record,
        asked.text,
        dumps(merged.value),
        Completion(steps, extractions[-1].completion.finish_reason),
        truncated=any(e.truncated for e in extractions),
        windows=tuple(WindowExtraction(window.start, e, sources) for window, e, sources in parts),
    )


def _by_window(sources: Mapping[str, Sequence[ValueSource]], count: int) -> list[dict[str, str]]:
    """For each window the values of the merged record that it has; of several windows, the first named comes first."""
    found: list[dict[str, str]] = [{} for _ in range(count)]
    for path, places in sources.items():
        for source in places:
            found[source.window].setdefault(path, source.path)
    return found


def combine_spans(schema: Schema[Any], extraction: Extraction[Any]) -> dict[str, tuple[Span, ...]]:
    """The places of a merged record's values in the whole text."""
    pieces = [
        (w, ground(schema, schema.canonical_value(w.extraction.output), w.extraction.text)) for w in extraction.windows
    ]
    windows = [Window(w.start, w.start + len(w.extraction.text)) for w in extraction.windows]
    sources: dict[str, list[ValueSource]] = {}
    for number, window in enumerate(extraction.windows):
        for path, inner in window.sources.items():
            sources.setdefault(path, []).append(ValueSource(number, inner))
    return merge_spans(sources, windows, [spans for _, spans in pieces])


def merge_confidence(windows: Sequence[WindowExtraction[Any]], pieces: Sequence[Confidence]) -> Confidence:
    """Confidence of a merged record: of a value, the best of the windows that have it; of absence, in all windows.

    The record is as probable as all of its pieces together.
    """
    fields: dict[str, float] = {}
    absent: dict[str, float] = {}
    for window, piece in zip(windows, pieces, strict=True):
        for path, inner in window.sources.items():
            fields[path] = max(fields.get(path, 0.0), piece.fields.get(inner, 0.0))
        for path, chance in piece.fields.items():
            absent[path] = absent.get(path, 1.0) * chance
    # items are numbered anew in the merged record, so that what a piece says of its own does not carry over
    known = {path: chance for path, chance in absent.items() if not any(map(str.isdecimal, path.split(".")))}
    return Confidence(record=math.prod(piece.record for piece in pieces), fields={**known, **fields})
