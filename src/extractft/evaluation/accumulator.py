"""The running counts of an evaluation, by field and by record. Knows canonical JSON values; knows no instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

from extractft.evaluation.merged_schema import FieldPath, MergedSchema
from extractft.evaluation.metrics import ConfusionCounts, Confusions, FieldScores, MatchCounts
from extractft.evaluation.results import Difference, Failure
from extractft.evaluation.value_pairing import ValuePair, align
from extractft.evaluation.value_spans import ValueLocator, ValueSpans, overlapping_spans
from extractft.evaluation.value_trees import MatchLevel, to_tree
from extractft.text import IndexedText

__all__ = ["MetricsAccumulator"]


class MetricsAccumulator:
    """Adds records up.

    Attributes:
        fields: Counts by field.
        choices: Counts of right and confused choices, by field.
        records: Counts by record.
        exact: By record, true if every value is exactly right.
        exact_normalized: The same after normalisation.
        valid: By record, true if there is a prediction.
        failures: Number of failed records, by kind.
        differences: Every difference, if they are kept.
    """

    def __init__(
        self,
        schema: MergedSchema,
        *,
        keep_differences: bool = False,
        locator: ValueLocator | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.schema = schema
        self.keep_differences = keep_differences
        self.fields: dict[FieldPath, MatchCounts] = {path: MatchCounts() for path in schema.paths()}
        self.choices: dict[FieldPath, ConfusionCounts] = {}
        self.records: list[MatchCounts] = []
        self.exact: list[bool] = []
        self.exact_normalized: list[bool] = []
        self.valid: list[bool] = []
        self.failures: Counter[Failure] = Counter()
        self.differences: list[Difference] = []
        self._locator = locator
        self._numbers = numbers

    def add(self, gold: Any, prediction: Any, text: str | None = None) -> None:
        """Count one record: JSON-able values of the gold record and its prediction, or the prediction's failure."""
        source = None if text is None else IndexedText(text)
        if isinstance(prediction, Failure):
            self._add_pairs(list(align(to_tree(gold, self.schema), None)), ())
            self._add_failure(prediction)
            return
        pairs = list(align(to_tree(gold, self.schema), to_tree(prediction, self.schema)))
        ungrounded = self._ungrounded(prediction, source)
        counts = self._add_pairs(pairs, ungrounded)
        same_size = counts.support == counts.predicted
        self.valid.append(True)
        self.exact.append(same_size and counts.tp == counts.support)
        self.exact_normalized.append(same_size and counts.tp_normalized == counts.support)
        if self.keep_differences:
            self._keep(pairs, gold, prediction, source, ungrounded)

    def _add_failure(self, failure: Failure) -> None:
        self.valid.append(False)
        self.exact.append(False)
        self.exact_normalized.append(False)
        self.failures[failure] += 1
        if self.keep_differences:
            self.differences.append(Difference(row=self._number, path="", field="", kind=failure.value))

    @property
    def _number(self) -> int:
        """The number of the record counted last."""
        return len(self.records) if self._numbers is None else self._numbers[len(self.records) - 1]

    def _ungrounded(self, prediction: Any, text: IndexedText | None) -> Collection[str]:
        return () if text is None or self._locator is None else self._locator.ungrounded(prediction, text)

    def _add_pairs(self, pairs: Iterable[ValuePair], ungrounded: Collection[str]) -> MatchCounts:
        """Count a record's pairs by field, and return the record's own counts."""
        record = MatchCounts()
        self.records.append(record)
        for pair in pairs:
            counts = self.fields.get(pair.path.field)
            if counts is None:
                counts = self.fields[pair.path.field] = MatchCounts()
            counts.add(pair)
            record.add(pair)
            if _is_choice(pair):
                self.choices.setdefault(pair.path.field, ConfusionCounts()).add(pair)
            if _is_ungrounded(pair, ungrounded):
                counts.ungrounded += 1
                record.ungrounded += 1
        return record

    def _keep(
        self,
        pairs: Iterable[ValuePair],
        gold: Any,
        prediction: Any,
        text: IndexedText | None,
        ungrounded: Collection[str],
    ) -> None:
        """Keep what is different in the record counted last, with its spans in the text."""
        different = [pair for pair in pairs if pair.match is not MatchLevel.EXACT]
        gold_spans: ValueSpans = {}
        spans: ValueSpans = {}
        if different and text is not None and self._locator is not None:
            gold_spans = self._locator.gold_spans(gold, text)
            spans = self._locator.spans(prediction, text)
        for pair in different:
            made_up = _is_ungrounded(pair, ungrounded)
            self.differences.append(_difference(pair, gold_spans, spans, row=self._number, ungrounded=made_up))

    def confusions(self) -> dict[str, Confusions]:
        """The confusion tables by path, of fields of choices alone that have any values."""
        tables = {".".join(path): self.choices[path].table() for path in self._ordered(self.choices)}
        return {path: table for path, table in tables.items() if table is not None}

    def total(self) -> MatchCounts:
        """Counts over all records."""
        total = MatchCounts()
        for record in self.records:
            total.update(record)
        return total

    def scores(self, *, grounded: bool = False) -> dict[str, FieldScores]:
        """Scores by path in the order of the schema; places deeper inside a recursive one come last."""
        return {
            ".".join(path): FieldScores.of(self.fields[path], grounded=grounded) for path in self._ordered(self.fields)
        }

    def _ordered(self, paths: Collection[FieldPath]) -> list[FieldPath]:
        known = [path for path in self.schema.paths() if path in paths]
        return [*known, *sorted({*paths} - {*known}, key=lambda path: (len(path), path))]


def _is_choice(pair: ValuePair) -> bool:
    scalar = pair.gold or pair.prediction
    return scalar is not None and scalar.schema.choice


def _is_ungrounded(pair: ValuePair, ungrounded: Collection[str]) -> bool:
    return pair.prediction is not None and ".".join(pair.prediction_path.path) in ungrounded


def _difference(
    pair: ValuePair, gold_spans: ValueSpans, spans: ValueSpans, *, row: int, ungrounded: bool
) -> Difference:
    kind: Literal["wrong", "missed", "invented"] = "wrong"
    if pair.gold is None or pair.prediction is None:
        kind = "invented" if pair.gold is None else "missed"
    path = ".".join(pair.path.path)
    gold_found = gold_spans.get(path, ()) if pair.gold else ()
    found = spans.get(".".join(pair.prediction_path.path), ()) if pair.prediction else ()
    gold_span, span = overlapping_spans(gold_found, found)
    return Difference(
        row=row,
        path=path,
        field=".".join(pair.path.field),
        kind=kind,
        gold=pair.gold.value if pair.gold else None,
        prediction=pair.prediction.value if pair.prediction else None,
        normalized=pair.match is MatchLevel.NORMALIZED,
        gold_span=gold_span,
        span=span,
        choice=_is_choice(pair),
        ungrounded=ungrounded,
    )
