"""Questions and answers about one text as JSON. Knows extractions; knows no engine and no HTTP."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from extractft.bulk.row_result import result_of
from extractft.extractor import Extraction
from extractft.schema import Schema
from extractft.serving.problem_details import Problem

__all__ = ["ExtractRequest", "answer_of"]


class ExtractRequest(BaseModel):
    """A text to extract a record from."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, strict=True)

    text: str
    """The text."""
    spans: bool = False
    """Add the places of each value in the text."""
    confidence: bool = False
    """Add the confidence in the record and in each of its values."""
    timeout: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Seconds in which the record is needed, if fewer than the server's own."""

    @property
    def explain(self) -> tuple[str, ...]:
        """The parts of the explanation that are asked for."""
        asked = {"confidence": self.confidence, "spans": self.spans}
        return tuple(name for name, wanted in asked.items() if wanted)


def answer_of(extraction: Extraction[Any], schema: Schema[Any], explain: tuple[str, ...]) -> dict[str, Any]:
    """The answer for a text, of JSON values.

    Args:
        extraction: The record with what is known of it.
        schema: Its schema.
        explain: The parts of the explanation that were asked for.

    Raises:
        Problem: A validator or serialiser of the schema's own made a record that cannot be written.
    """
    result = result_of(extraction, schema, explain)
    if result.error:
        raise Problem(422, "no-valid-record", result.message)
    answer: dict[str, Any] = {"record": result.record}
    if "spans" in explain:
        answer["spans"] = result.spans
    if "confidence" in explain:
        known = {"record": result.confidence, "fields": result.fields, "calibrated": result.calibrated}
        answer["confidence"] = None if result.confidence is None else known
    if "confidence" in explain and extraction.forced:
        answer["forced"] = list(extraction.forced)
    if result.truncated:
        answer["truncated"] = True
    if extraction.explanation_error is not None:
        answer["explanation_error"] = extraction.explanation_error
    return answer
