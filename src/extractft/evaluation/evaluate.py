"""From gold records and predictions to scores. Knows instances and their schema; knows no model and no tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar, cast

from extractft.data.grounded import ungrounded_paths
from extractft.errors import DatasetError
from extractft.evaluation.bootstrap import bootstrap_intervals
from extractft.evaluation.counting import Count, Failure
from extractft.evaluation.places import Places
from extractft.evaluation.report import EvaluationReport
from extractft.evaluation.results import FailureKind
from extractft.evaluation.scores import FieldScores, mean_score, precision_recall_f1
from extractft.evaluation.shape import shape_of, takes_null
from extractft.grounding import ground
from extractft.schema import Schema
from extractft.text import IndexedText, cuts_word

__all__ = ["evaluate_records", "score_records"]

T = TypeVar("T")


def evaluate_records(
    schema: Schema[T],
    gold: Sequence[T],
    predictions: Sequence[T | Failure | FailureKind | None],
    *,
    texts: Sequence[str] | None = None,
    closed_early: Collection[int] = (),
    keep_records: bool = False,
    keep_texts: bool = False,
    resamples: int = 1000,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
) -> EvaluationReport:
    """Compare predictions with gold records, field by field.

    Args:
        schema: The schema of both.
        gold: Instances that should have come out.
        predictions: What came out, in the same order: an instance, or why there is none (a `Failure`, its value as
            a string, or `None` for an error). If the schema itself takes strings or `null`, these are instances, and
            only a `Failure` is a failure.
        texts: Source texts, in the same order, to count predicted free text that stands nowhere in them.
        closed_early: Positions of predictions that the budget cut but that were kept: scored, and also counted as
            truncated.
        keep_records: Keep every difference in `EvaluationReport.errors`, with its places in the text if there are
            texts. They are private data.
        keep_texts: Keep the texts in the report. They are private data.
        resamples: Draws of the bootstrap intervals.
        seed: Seed of these draws.
        numbers: The row number of each record, to name it by; counted from 1 if not given.

    Raises:
        DatasetError: There are no records, the sequences differ in length, or two records have one number.
    """
    if numbers is not None and len({*numbers}) != len(gold):
        raise DatasetError(f"expected a number of its own for each of {len(gold)} records, found {len({*numbers})}")
    if keep_texts and texts is None:
        raise DatasetError("expected texts to keep, found none").hint("Pass `texts=...`, or leave `keep_texts` out.")
    count = _count(schema, gold, predictions, texts, keep_differences=keep_records, numbers=numbers)
    fields = count.scores(grounded=texts is not None)
    totals = FieldScores.of(count.total(), grounded=texts is not None)
    f1_interval, exact_interval = bootstrap_intervals(count.rows, count.exact, resamples=resamples, seed=seed)
    return EvaluationReport(
        schema_name=schema.name,
        schema_fingerprint=schema.fingerprint,
        rows=len(gold),
        valid=sum(count.valid),
        invalid=count.failures[Failure.INVALID],
        truncated=count.failures[Failure.TRUNCATED] + sum(count.valid[index] for index in {*closed_early}),
        failed=count.failures[Failure.ERROR],
        field_f1_interval=f1_interval,
        exact_rate_interval=exact_interval,
        support=totals.support,
        predicted=totals.predicted,
        wrong=totals.wrong,
        missed=totals.missed,
        invented=totals.invented,
        ungrounded=totals.ungrounded,
        fields=fields,
        confusions=count.confusions(),
        errors=tuple(count.differences) if keep_records else None,
        texts=tuple(texts) if keep_texts and texts is not None else None,
        numbers=_numbers(numbers) if keep_records or keep_texts else None,
        **_headline(count, fields),
    )


def _numbers(numbers: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if numbers is None or [*numbers] == [*range(1, len(numbers) + 1)] else tuple(numbers)


def score_records(
    schema: Schema[T], gold: Sequence[T], predictions: Sequence[T | Failure | FailureKind | None]
) -> dict[str, float]:
    """What `EvaluationReport.metrics()` gives, without the rest of the report: for the training loop.

    Raises:
        DatasetError: There are no records, or the sequences differ in length.
    """
    count = _count(schema, gold, predictions, None)
    return _headline(count, count.scores())


def _count(
    schema: Schema[T],
    gold: Sequence[T],
    predictions: Sequence[T | Failure | FailureKind | None],
    texts: Sequence[str] | None,
    *,
    keep_differences: bool = False,
    numbers: Sequence[int] | None = None,
) -> Count:
    if not gold:
        raise DatasetError("expected at least one record to score, found none")
    for what, sequence in (("predictions", predictions), ("texts", texts), ("numbers", numbers)):
        if sequence is not None and len(sequence) != len(gold):
            raise DatasetError(f"expected as many {what} as gold records ({len(gold)}), found {len(sequence)}")
    shape, nullable = shape_of(schema), takes_null(schema)

    lookup = _Lookup(schema)
    count = Count(shape, keep_differences=keep_differences, lookup=lookup, numbers=numbers)
    for index, (right, prediction) in enumerate(zip(gold, predictions, strict=True)):
        answer = _failure(prediction, strings=shape.strings, nullable=nullable) or schema.full_value(
            cast("T", prediction)
        )
        count.add(schema.full_value(right), answer, texts[index] if texts is not None else None)
    return count


class _Lookup:
    """Looks values up in texts by what a schema says about them."""

    def __init__(self, schema: Schema[Any]) -> None:
        self._schema = schema

    def places(self, value: Any, text: IndexedText, *, words: bool) -> Places:
        places = {}
        for path, spans in ground(self._schema, value, text).items():
            # what is merely similar does not stand in the text
            found = [(span.start, span.end) for span in spans if span.method != "fuzzy"]
            whole = [place for place in found if not any(cuts_word(text.original, at) for at in place)] if words else []
            places[path] = whole or found
        return places

    def ungrounded(self, value: Any, text: IndexedText) -> set[str]:
        return ungrounded_paths(value, self._schema, text)


def _failure(prediction: Any, *, strings: bool, nullable: bool) -> Failure | None:
    """The failure that stands in place of a prediction, if it is one."""
    if isinstance(prediction, Failure):
        return prediction
    if prediction is None and not nullable:
        return Failure.ERROR
    if isinstance(prediction, str) and not strings:
        return Failure(prediction)
    return None


def _headline(count: Count, fields: dict[str, FieldScores]) -> dict[str, float]:
    """The scores over all fields, by the names of `EvaluationReport`.

    Where no record has a value on either side, only failures can be wrong: the scores are the share of valid rows.
    """
    total, rows = count.total(), len(count.rows)
    precision, recall, field_f1 = precision_recall_f1(total.tp, total.support, total.predicted)
    *_, normalized_f1 = precision_recall_f1(total.tp_normalized, total.support, total.predicted)
    if total.support + total.predicted == 0:
        precision = recall = field_f1 = normalized_f1 = sum(count.valid) / rows
    return {
        "field_f1": field_f1,
        "field_f1_normalized": normalized_f1,
        "precision": precision,
        "recall": recall,
        "macro_f1": mean_score(fields.values(), otherwise=field_f1),
        "exact_rate": sum(count.exact) / rows,
        "exact_rate_normalized": sum(count.exact_normalized) / rows,
        "valid_rate": sum(count.valid) / rows,
    }
