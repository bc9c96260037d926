"""An extractor before and after more rows, on the same held-out rows. Knows reports; knows no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from extractft.evaluation import EvaluationReport

__all__ = ["FitComparison"]

MOST_FIELDS = 60


@dataclass(frozen=True, slots=True)
class FitComparison:
    """Scores before and after.

    Attributes:
        before: The extractor that training began with, or that had the prompt and the settings.
        after: The one that came of it.
        same_rows: True if these are the rows that the one before was scored on when it was trained; otherwise rows
            were added to them or are missing, or it was trained on them.
    """

    before: EvaluationReport
    after: EvaluationReport
    same_rows: bool

    def lines(self) -> Iterator[str]:
        """Both scores, and those of the fields in which they differ."""
        old, new = self.before, self.after
        low, high = new.field_f1_interval
        yield (
            f"On {new.rows} held-out rows: field F1 {old.field_f1:.3f} before, {new.field_f1:.3f} after "
            f"(95 % interval {low:.3f} to {high:.3f}); exact records {old.exact_rate:.1%}, {new.exact_rate:.1%}"
        )
        if not self.same_rows:
            yield "  These are not exactly the rows that the extractor before was scored on when it was trained."
        for path, scores in [*new.fields.items()][:MOST_FIELDS]:
            first = old.fields[path].f1 if path in old.fields else None
            if first != scores.f1:
                yield f"  {path}: {_number(first)} before, {_number(scores.f1)} after"

    def __repr__(self) -> str:
        return f"FitComparison(field_f1 {self.before.field_f1:.3f} -> {self.after.field_f1:.3f})"


def _number(score: float | None) -> str:
    return "no value" if score is None else f"{score:.3f}"
