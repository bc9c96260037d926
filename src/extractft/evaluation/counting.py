"""The running counts of an evaluation, by field and by record. Knows canonical JSON values; knows no instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import Any, Literal

from extractft.evaluation.alignment import Pair, align
from extractft.evaluation.confusions import ConfusionCount, Confusions
from extractft.evaluation.matching import Match
from extractft.evaluation.places import Lookup, Places, nearest
from extractft.evaluation.results import Difference
from extractft.evaluation.scores import FieldScores, Tally
from extractft.evaluation.shape import FieldPath, Shape
from extractft.evaluation.tree import grow
from extractft.text import IndexedText

__all__ = ["Count", "Failure"]


class Failure(Enum):
    """Why there is no prediction for a record."""

    INVALID = "invalid"
    """A validator of the schema refused the output."""
    TRUNCATED = "truncated"
    """The budget of new tokens was spent before the record was complete."""
    ERROR = "error"
    """Anything else, such as a text that is too long."""


class Count:
    """Adds records up.

    Attributes:
        fields: Counts by field.
        choices: Which choices were taken for which, by field.
        rows: Counts by record.
        exact: By record, whether every value is exactly right.
        exact_normalized: The same after normalisation.
        valid: By record, whether there is a prediction.
        failures: How many records failed, by kind.
        differences: Every difference, if they are kept.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        keep_differences: bool = False,
        lookup: Lookup | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.shape = shape
        self._numbers = numbers
        self.keep_differences = keep_differences
        self._lookup = lookup
        self.fields: dict[FieldPath, Tally] = {path: Tally() for path in shape.paths()}
        self.choices: dict[FieldPath, ConfusionCount] = {}
        self.rows: list[Tally] = []
        self.exact: list[bool] = []
        self.exact_normalized: list[bool] = []
        self.valid: list[bool] = []
        self.failures: Counter[Failure] = Counter()
        self.differences: list[Difference] = []

    def add(self, gold: Any, prediction: Any, text: str | None = None) -> None:
        """Count one record: JSON-able values of the gold record and its prediction, or the prediction's failure."""
        failure = prediction if isinstance(prediction, Failure) else None
        right, answer = grow(gold, self.shape), None if failure else grow(prediction, self.shape)
        pairs = list(align(right, answer))
        source = None if text is None else IndexedText(text)
        ungrounded = self._ungrounded(prediction, source) if answer is not None else ()
        row = self._add_pairs(pairs, ungrounded)
        self.rows.append(row)
        self.valid.append(failure is None)
        same_size = failure is None and row.support == row.predicted
        self.exact.append(same_size and row.tp == row.support)
        self.exact_normalized.append(same_size and row.tp_normalized == row.support)
        if self.keep_differences and not failure:
            self._keep(pairs, gold, prediction, source, ungrounded)
        if failure:
            self.failures[failure] += 1
            if self.keep_differences:
                self.differences.append(Difference(row=self._number, path="", field="", kind=failure.value))

    @property
    def _number(self) -> int:
        """The number of the record counted last."""
        return len(self.rows) if self._numbers is None else self._numbers[len(self.rows) - 1]

    def _ungrounded(self, prediction: Any, text: IndexedText | None) -> Collection[str]:
        return () if text is None or self._lookup is None else self._lookup.ungrounded(prediction, text)

    def _add_pairs(self, pairs: Iterable[Pair], ungrounded: Collection[str]) -> Tally:
        """Count a record's pairs by field, and return the record's own counts."""
        row = Tally()
        for pair in pairs:
            tally = self.fields.get(pair.place.field)
            if tally is None:
                tally = self.fields[pair.place.field] = Tally()
            tally.add(pair)
            row.add(pair)
            if _is_choice(pair):
                self.choices.setdefault(pair.place.field, ConfusionCount()).add(pair)
            if pair.prediction is not None and ".".join(pair.found.path) in ungrounded:
                tally.ungrounded += 1
                row.ungrounded += 1
        return row

    def _keep(
        self, pairs: Iterable[Pair], gold: Any, prediction: Any, text: IndexedText | None, ungrounded: Collection[str]
    ) -> None:
        """Keep what is different in the record counted last, with its places in the text."""
        different = [pair for pair in pairs if pair.match is not Match.EXACT]
        right: Places = {}
        found: Places = {}
        if different and text is not None and self._lookup is not None:
            right = self._lookup.places(gold, text, words=True)
            found = self._lookup.places(prediction, text, words=False)
        self.differences += [
            _difference(pair, right, found, row=self._number, ungrounded=ungrounded) for pair in different
        ]

    def confusions(self) -> dict[str, Confusions]:
        """Which choices were taken for which, by path; of fields of choices alone that have any values."""
        tables = {".".join(path): self.choices[path].table() for path in self._ordered(self.choices)}
        return {path: table for path, table in tables.items() if table is not None}

    def total(self) -> Tally:
        """Counts over all records."""
        total = Tally()
        for row in self.rows:
            total.update(row)
        return total

    def scores(self, *, grounded: bool = False) -> dict[str, FieldScores]:
        """Scores by path in the order of the schema; places deeper inside a recursive one come last."""
        return {
            ".".join(path): FieldScores.of(self.fields[path], grounded=grounded) for path in self._ordered(self.fields)
        }

    def _ordered(self, paths: Collection[FieldPath]) -> list[FieldPath]:
        known = [path for path in self.shape.paths() if path in paths]
        return [*known, *sorted({*paths} - {*known}, key=lambda path: (len(path), path))]


def _is_choice(pair: Pair) -> bool:
    leaf = pair.gold or pair.prediction
    return leaf is not None and leaf.shape.choice


def _difference(pair: Pair, right: Places, found: Places, *, row: int, ungrounded: Collection[str]) -> Difference:
    kind: Literal["wrong", "missed", "invented"] = "wrong"
    if pair.gold is None or pair.prediction is None:
        kind = "invented" if pair.gold is None else "missed"
    path = ".".join(pair.place.path)
    gold_span, span = nearest(
        right.get(path, ()) if pair.gold else (), found.get(".".join(pair.found.path), ()) if pair.prediction else ()
    )
    return Difference(
        row=row,
        path=path,
        field=".".join(pair.place.field),
        kind=kind,
        gold=pair.gold.value if pair.gold else None,
        prediction=pair.prediction.value if pair.prediction else None,
        normalized=pair.match is Match.NORMALIZED,
        gold_span=gold_span,
        span=span,
        choice=_is_choice(pair),
        ungrounded=pair.prediction is not None and ".".join(pair.found.path) in ungrounded,
    )
