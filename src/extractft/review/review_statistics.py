"""Progress of a review, agreement of its reviewers, and what corrections say about each field. Knows stores.

Values are compared as JSON and counted by field; none is in the result.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

from extractft.review.review_items import Decision, ReviewItem
from extractft.review.review_store import ReviewStore
from extractft.schema import Schema
from extractft.schema.record_paths import join_path

__all__ = ["FieldTally", "ReviewStatistics", "review_statistics"]

SURE = 0.9
"""Confidence of a value that nobody would look at."""


@dataclass(slots=True)
class FieldTally:
    """Decisions about the values of a field, counted.

    Attributes:
        proposed: Values that were proposed in records that are decided on.
        wrong: Of these, those that got another value.
        invented: Of these, those that were taken out: they are not in the text.
        missed: Values that were not proposed and put in.
        compared: Pairs of reviewers' values for one place.
        agreed: Pairs that are equal.
        sure_and_wrong: Proposed values with a confidence of at least 0.9 that were changed or taken out.
    """

    proposed: int = 0
    wrong: int = 0
    invented: int = 0
    missed: int = 0
    compared: int = 0
    agreed: int = 0
    sure_and_wrong: int = 0

    @property
    def changed(self) -> int:
        """Values that a person changed, took out or put in."""
        return self.wrong + self.invented + self.missed

    def to_dict(self) -> dict[str, Any]:
        """The counts by name."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        return {**shown, "agreement": self.agreed / self.compared if self.compared else None}


@dataclass(slots=True)
class ReviewStatistics:
    """The state of a review.

    Attributes:
        extractors: By name of the extractor: `items`, `done`, `waiting`, `claimed`.
        reviewers: By name: records `accepted`, `corrected` and `skipped`.
        accepted: Records whose last decision left them as they were proposed.
        corrected: Records whose last decision changed them.
        disputed: Records on which the last words of two reviewers differ.
        compared: Records that several reviewers decided on.
        fields: By field, in the order of the number of changes.
    """

    extractors: dict[str, dict[str, int]] = field(default_factory=dict)
    reviewers: dict[str, dict[str, int]] = field(default_factory=dict)
    accepted: int = 0
    corrected: int = 0
    disputed: int = 0
    compared: int = 0
    fields: dict[str, FieldTally] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Records that all who were to look at them have decided on."""
        return sum(counts["done"] for counts in self.extractors.values())

    @property
    def items(self) -> int:
        """Records in the review."""
        return sum(counts["items"] for counts in self.extractors.values())

    @property
    def agreement(self) -> float | None:
        """Share of the records with several reviewers on which they agree; `None` if there are none."""
        return None if not self.compared else 1 - self.disputed / self.compared

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        return {
            "items": self.items,
            "done": self.done,
            "accepted": self.accepted,
            "corrected": self.corrected,
            "compared": self.compared,
            "disputed": self.disputed,
            "agreement": self.agreement,
            "extractors": self.extractors,
            "reviewers": self.reviewers,
            "fields": {name: tally.to_dict() for name, tally in self.fields.items()},
        }


def review_statistics(store: ReviewStore, schemas: Mapping[str, Schema[Any]] | None = None) -> ReviewStatistics:
    """Count what a review holds.

    Args:
        store: The review.
        schemas: By name of the extractor, the schema of its records; without it, fields with an alias go by that.
    """
    found = ReviewStatistics()
    for row in store.counts():
        found.extractors[row["extractor"]] = {name: row[name] for name in ("items", "done", "waiting", "claimed")}
    fields: dict[str, FieldTally] = defaultdict(FieldTally)
    people: dict[str, Counter[str]] = defaultdict(Counter)
    for item in store.items():
        if item.decisions:
            schema = (schemas or {}).get(item.item.extractor)
            names = {} if schema is None else schema.field_names
            _count(item, _Tallies(names, fields), found, people)
    found.fields = dict(sorted(fields.items(), key=lambda named: (-named[1].changed, named[0])))
    kinds = {"accepted": "accept", "corrected": "correct", "skipped": "skip"}
    found.reviewers = {
        person: {name: counts[kind] for name, kind in kinds.items()} for person, counts in sorted(people.items())
    }
    return found


def _count(item: ReviewItem, tallies: _Tallies, found: ReviewStatistics, people: Mapping[str, Counter[str]]) -> None:
    words = {decision.reviewer: decision for decision in item.decisions}
    for person, decision in words.items():
        people[person][decision.kind] += 1
    final = item.final
    if final is None:
        return
    found.corrected += final.kind == "correct"
    found.accepted += final.kind == "accept"
    tallies.add_decision(item, final)
    records = [decision.record for decision in words.values() if decision.kind != "skip"]
    if len(records) > 1:
        found.compared += 1
        found.disputed += any(record != records[0] for record in records[1:])
        for one, other in combinations(records, 2):
            tallies.add_pair(one, other)


@dataclass(frozen=True, slots=True)
class _Tallies:
    """Counts by field.

    Attributes:
        names: The Python names of keys.
        fields: The counts.
    """

    names: Mapping[str, str]
    fields: Mapping[str, FieldTally]

    def add_decision(self, item: ReviewItem, final: Decision) -> None:
        """Count what was proposed, and what was made of it."""
        for place, _ in _leaves(item.item.proposed, self.names):
            self.fields[place.field].proposed += 1
        for change in final.changes:
            tally = self.fields[change.field]
            setattr(tally, change.kind, getattr(tally, change.kind) + 1)
            tally.sure_and_wrong += change.kind != "missed" and item.item.fields.get(change.path, 0.0) >= SURE

    def add_pair(self, one: Any, other: Any) -> None:
        """Compare the records of two reviewers, place by place."""
        first, second = dict(_leaves(one, self.names)), dict(_leaves(other, self.names))
        for place in {**first, **second}:
            tally = self.fields[place.field]
            tally.compared += 1
            tally.agreed += place in first and place in second and first[place] == second[place]


class _Place(NamedTuple):
    """Path and field of a value."""

    path: str = ""
    field: str = ""

    def inside(self, step: str, general: str) -> _Place:
        return _Place(join_path(self.path, step), join_path(self.field, general))


def _leaves(value: Any, names: Mapping[str, str], place: _Place | None = None) -> Iterator[tuple[_Place, Any]]:
    """Everything in a JSON value that is there and no object or list, with its place."""
    place = place or _Place()
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = names.get(key, key)
            yield from _leaves(inner, names, place.inside(name, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, names, place.inside(str(index), "*"))
    elif value is not None:
        yield place, value
