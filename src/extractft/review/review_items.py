"""Records that a person looks over, and what was decided about them. Knows JSON values; knows no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Decision", "DecisionKind", "FieldChange", "NewItem", "ReviewItem"]

DecisionKind = Literal["accept", "correct", "skip"]
"""`accept`: the record is right as proposed; `correct`: it is right as written down; `skip`: left to somebody else."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """A record to be looked over.

    Attributes:
        text: The text that it was extracted from. Private data.
        proposed: The record as JSON value, every field present; `None` if there is none yet.
        id: Its name in the user's data; made from the text if empty.
        extractor: Name of the extractor, under which it is served.
        confidence: That the whole record is right; `None` if nobody knows, which is looked at first.
        fields: The same by path.
        calibrated: True if these numbers were held against rows that the model was not trained on.
        spans: By path, the places of each value in the text.
        forced: Paths of values that the schema left no choice about.
        truncated: True if the record was closed early.
        reason: The reason for which it is here, such as `low confidence`.
        source: The place that it came from, such as a file.
        reviewers: Number of people who are to look at it.
    """

    text: str
    proposed: Any = None
    id: str = ""
    extractor: str = ""
    confidence: float | None = None
    fields: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = False
    spans: Mapping[str, Any] = field(default_factory=dict)
    forced: Sequence[str] = ()
    truncated: bool = False
    reason: str = ""
    source: str = ""
    reviewers: int = 1

    @property
    def explanation(self) -> dict[str, Any]:
        """All that is known about how the record came about, but for its confidence as a whole."""
        return {
            "fields": dict(self.fields),
            "calibrated": self.calibrated,
            "spans": dict(self.spans),
            "forced": list(self.forced),
            "truncated": self.truncated,
        }


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A value in which a decision differs from what was proposed.

    Attributes:
        path: Its path: of the new value, or of the proposed one where there is no new one.
        field: The field, the same for all records: `lines.*.total`.
        kind: `wrong`, another value; `missed`, a value where none was proposed; `invented`, none where one was.
        before: The proposed value.
        after: The value that was decided on.
    """

    path: str
    field: str
    kind: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of a reviewer about a record.

    Attributes:
        number: Its number in the database; later decisions have higher ones.
        reviewer: The reviewer.
        at: Seconds since 1970.
        kind: The kind of decision.
        record: The record that was decided on; `None` for one that was skipped.
        changes: The values that differ from those proposed.
    """

    number: int
    reviewer: str
    at: float
    kind: DecisionKind
    record: Any = None
    changes: Sequence[FieldChange] = ()


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A record in the database.

    Attributes:
        number: Its number there.
        item: The record and what is known of it.
        version: Number of decisions so far; who decides says which version was looked at.
        added: Seconds since 1970.
        claimed_by: Who looks at it at the moment.
        decisions: The decisions, the latest last.
    """

    number: int
    item: NewItem
    version: int
    added: float
    claimed_by: str | None = None
    decisions: Sequence[Decision] = ()

    @property
    def final(self) -> Decision | None:
        """The decision that counts: the latest that is none to skip."""
        return next((found for found in reversed(self.decisions) if found.kind != "skip"), None)
