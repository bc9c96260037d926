"""The summary of a bulk run: counts, rates of its fields, and how far they are from those of the training data.

Knows counts; knows no files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from extractft.bulk.field_counts import FieldCounts, RunCounts

__all__ = ["FieldSummaryLine", "RunSummary", "summarize"]

PLACES = 4
MOVED_BY = 0.1
"""Least difference of a null rate, or of a mean confidence, that is called a drift; smaller ones harm nobody."""
SIGMAS = 3.0
"""Standard errors that a difference must have as well, so that few records do not call out."""


@dataclass(frozen=True, slots=True)
class FieldSummaryLine:
    """Rates of one field.

    Attributes:
        null_rate: Share of the records in which it is empty.
        confidence: Mean confidence, `None` if none was computed.
        trained_null_rate: The share in the training data, `None` if it is not known.
        trained_confidence: The mean confidence on held-out rows, `None` if it is not known.
        drifted: True if one of the two has moved.
    """

    null_rate: float
    confidence: float | None
    trained_null_rate: float | None = None
    trained_confidence: float | None = None
    drifted: bool = False


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Counts of a bulk run, and rates of its fields.

    Attributes:
        output: The directory of the run.
        rows: Rows of the input.
        records: Rows with a record that is in the output.
        review: Rows with a record that went to `review/`.
        failed: Rows that went to `failed/`.
        reused: Rows whose text had been decoded before.
        truncated: Records that were closed early.
        tokens: Tokens that were decoded.
        errors: Failed rows by the kind of error.
        confidence: Mean confidence of the records, `None` if none was computed.
        fields: Rates of the fields, by path.
        drift: Words on how the fields compare with the training data.
    """

    output: Path
    rows: int
    records: int
    review: int
    failed: int
    reused: int
    truncated: int
    tokens: int
    errors: Mapping[str, int]
    confidence: float | None
    fields: Mapping[str, FieldSummaryLine]
    drift: str

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON values, without the directory."""
        values = asdict(self)
        del values["output"]
        return values

    @property
    def drifted(self) -> list[str]:
        """The fields that have moved."""
        return [path for path, line in self.fields.items() if line.drifted]


def summarize(output: Path, counts: RunCounts, trained: Mapping[str, Any] | None) -> RunSummary:
    """The summary of a run.

    Args:
        output: The directory of the run.
        counts: All counts.
        trained: Rates of the training data, as an extractor's manifest has them; `None` if it has none.
    """
    decoded = counts.records + counts.review
    fields = {path: _line(found, decoded, (trained or {}).get(path)) for path, found in counts.fields.items()}
    moved = [path for path, line in fields.items() if line.drifted]
    if trained is None:
        drift = "not known: the extractor was saved without the rates of its training data; fit it again to have them"
    else:
        drift = f"moved: {', '.join(moved)}" if moved else "none: rates are those of the training data"
    return RunSummary(
        output=output,
        rows=counts.rows,
        records=counts.records,
        review=counts.review,
        failed=counts.failed,
        reused=counts.reused,
        truncated=counts.truncated,
        tokens=counts.tokens,
        errors=dict(sorted(counts.errors.items())),
        confidence=_mean(counts.confidence, counts.measured),
        fields=fields,
        drift=drift,
    )


def _line(found: FieldCounts, records: int, trained: Mapping[str, Any] | None) -> FieldSummaryLine:
    null_rate = _mean(found.nulls, records) or 0.0
    confidence = _mean(found.confidence, found.measured)
    if trained is None or not records:
        return FieldSummaryLine(null_rate, confidence)
    expected, sure = trained["null_rate"], trained.get("confidence")
    drifted = _has_moved(null_rate, records, expected, trained["rows"])
    drifted |= confidence is not None and sure is not None and abs(confidence - sure) >= MOVED_BY
    return FieldSummaryLine(null_rate, confidence, expected, sure, drifted)


def _has_moved(rate: float, records: int, expected: float, rows: int) -> bool:
    """True if two rates differ by more than chance and by enough to matter."""
    pooled = (rate * records + expected * rows) / (records + rows)
    error = math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / records + 1 / rows))
    return abs(rate - expected) >= max(MOVED_BY, SIGMAS * error)


def _mean(total: float, number: int) -> float | None:
    return round(total / number, PLACES) if number else None
