"""Counts of a shard and of a run: outcomes, tokens, and how often and how surely each field is there.

Knows results; knows no files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from extractft.bulk.row_result import RowResult
from extractft.schema.field_presence import FieldPlace, is_empty_at

__all__ = ["FieldCounts", "RunCounts"]


@dataclass
class FieldCounts:
    """Counts of one field.

    Attributes:
        nulls: Records in which it is null, an empty list or an empty text.
        confidence: Sum of its confidences.
        measured: Records that have a confidence of it.
    """

    nulls: int = 0
    confidence: float = 0.0
    measured: int = 0


@dataclass
class RunCounts:
    """Counts of rows and records.

    Attributes:
        rows: Rows.
        records: Rows with a record that is in the output.
        review: Rows with a record that went to be looked over.
        failed: Rows without a record.
        reused: Rows whose text had been decoded before.
        truncated: Records that were closed early.
        tokens: Tokens that were decoded.
        errors: Rows without a record, by the kind of error.
        confidence: Sum of the confidences of whole records.
        measured: Records that have one.
        fields: Counts of the fields, by path.
    """

    rows: int = 0
    records: int = 0
    review: int = 0
    failed: int = 0
    reused: int = 0
    truncated: int = 0
    tokens: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    confidence: float = 0.0
    measured: int = 0
    fields: dict[str, FieldCounts] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Iterable[RowResult], places: Sequence[FieldPlace], least: float | None) -> RunCounts:
        """The counts of results."""
        counts = cls(fields={place.path: FieldCounts() for place in places})
        for result in results:
            counts._add(result, places, least)
        return counts

    def _add(self, result: RowResult, places: Sequence[FieldPlace], least: float | None) -> None:
        self.rows += 1
        if result.error:
            self.failed += 1
            self.errors[result.error] += 1
            return
        below = result.is_below(least)
        self.review += below
        self.records += not below
        self.truncated += result.truncated
        if result.confidence is not None:
            self.confidence += result.confidence
            self.measured += 1
        sure = result.fields or {}
        for place in places:
            counts = self.fields[place.path]
            counts.nulls += is_empty_at(result.record, place.keys)
            if place.path in sure:
                counts.confidence += sure[place.path]
                counts.measured += 1

    def without_failures(self) -> RunCounts:
        """The same, as if no row had failed."""
        return replace(self, rows=self.rows - self.failed, failed=0, errors=Counter())

    def __iadd__(self, other: RunCounts) -> RunCounts:
        for name in ("rows", "records", "review", "failed", "reused", "truncated", "tokens", "confidence", "measured"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.errors += other.errors
        for path, found in other.fields.items():
            own = self.fields.setdefault(path, FieldCounts())
            own.nulls += found.nulls
            own.confidence += found.confidence
            own.measured += found.measured
        return self

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON values."""
        fields = {
            path: [found.nulls, round(found.confidence, 4), found.measured] for path, found in self.fields.items()
        }
        plain = ("rows", "records", "review", "failed", "reused", "truncated", "tokens", "measured")
        return {
            **{name: getattr(self, name) for name in plain},
            "confidence": round(self.confidence, 4),
            "errors": dict(sorted(self.errors.items())),
            "fields": fields,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunCounts:
        """The counts that `to_dict` gave."""
        rest = {name: value for name, value in values.items() if name not in ("errors", "fields")}
        fields = {path: FieldCounts(*found) for path, found in values["fields"].items()}
        return cls(**rest, errors=Counter(values["errors"]), fields=fields)
