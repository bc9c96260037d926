"""The result of one text: a record with what is known of it, or an error. Knows outcomes; knows no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from extractft.errors import ExtractionError
from extractft.grounding import ground
from extractft.schema import Schema

__all__ = ["RowResult", "result_of", "spans_of"]

PLACES = 4
"""Decimals of a confidence: the order of additions, which differs with the batch, does not show in them."""


class RowResult(NamedTuple):
    """The result of a text, made of JSON values.

    Attributes:
        record: The record with every field present; `None` if there is none.
        confidence: That the whole record is right, `None` if it was not computed.
        fields: The same by path.
        calibrated: True if the numbers were held against rows that the model was not trained on.
        spans: By path, the places of each value in the text.
        tokens: Tokens that the record took.
        truncated: True if it was closed early.
        error: The kind of error, empty if there is a record.
        message: The error in words; quotes no text.
        retryable: True if a server gave no answer, and may later.
    """

    record: Any = None
    confidence: float | None = None
    fields: Mapping[str, float] | None = None
    calibrated: bool = False
    spans: Mapping[str, Any] | None = None
    tokens: int = 0
    truncated: bool = False
    error: str = ""
    message: str = ""
    retryable: bool = False

    def to_bytes(self) -> bytes:
        """The result as JSON."""
        return to_json(tuple(self))

    @classmethod
    def from_bytes(cls, content: bytes) -> RowResult:
        """The result that `to_bytes` wrote."""
        return cls(*from_json(content))

    def is_below(self, least: float | None) -> bool:
        """True if a person should look the record over."""
        return least is not None and not self.error and (self.confidence is None or self.confidence < least)


def result_of(outcome: Any, schema: Schema[Any], parts: tuple[str, ...]) -> RowResult:
    """The result that an extractor's outcome comes to.

    Args:
        outcome: An `Extraction` or an `ExtractionError`.
        schema: The schema of the record.
        parts: Explanations that were asked for.
    """
    if isinstance(outcome, ExtractionError):
        retryable = bool(getattr(outcome, "retryable", False))
        return RowResult(error=type(outcome).__name__, message=str(outcome), retryable=retryable)
    try:
        record = schema.full_value(outcome.output)
    except Exception as error:  # the schema's own validators and serialisers may make anything of a record
        message = f"The record cannot be written ({type(error).__name__}): let validators return what fields may hold."
        return RowResult(error="OutputInvalidError", message=message)
    known = outcome.confidence
    return RowResult(
        record,
        None if known is None else round(known.record, PLACES),
        None if known is None else {path: round(number, PLACES) for path, number in known.fields.items()},
        known is not None and known.calibrated,
        _places(outcome.spans) if "spans" in parts else None,
        len(outcome.completion.steps),
        outcome.truncated,
    )


def spans_of(result: RowResult, schema: Schema[Any], text: str) -> Mapping[str, Any]:
    """The places of a record's values in its text, looked up now if they were not before."""
    if result.spans is not None:
        return result.spans
    try:
        return _places(ground(schema, result.record, text))
    except Exception:  # as above; places explain a record and are no part of it
        return {}


def _places(spans: Mapping[str, Any]) -> dict[str, Any]:
    return {
        path: [{"start": span.start, "end": span.end, "method": span.method} for span in found]
        for path, found in spans.items()
    }
