"""Gold records and predictions in, scores out. Knows instances and their schema; knows no model and no tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar, cast

from extractft.errors import DatasetError
from extractft.evaluation.accumulator import MetricsAccumulator
from extractft.evaluation.bootstrap import f1_interval, wilson_interval
from extractft.evaluation.evaluation_report import EvaluationReport
from extractft.evaluation.merged_schema import merged_schema
from extractft.evaluation.metrics import FieldScores, MatchCounts, macro_f1, precision_recall_f1
from extractft.evaluation.results import Failure, FailureKind
from extractft.evaluation.value_pairing import align
from extractft.evaluation.value_spans import ValueLocator
from extractft.evaluation.value_trees import MatchLevel, to_tree
from extractft.schema import Schema, accepts_null

__all__ = ["evaluate_records", "judge_record", "score_records"]

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
        predictions: In the same order, an instance or the reason why there is none: a `Failure`, its value as a
            string, or `None` for an error. In a schema of strings or `null`, only a `Failure` is a failure.
        texts: Source texts, in the same order, to count predicted free text that stands nowhere in them.
        closed_early: Positions of predictions that the budget cut but that were kept: also counted as truncated.
        keep_records: Keep every difference in `EvaluationReport.errors`, with its spans. They are private data.
        keep_texts: Keep the texts in the report. They are private data.
        resamples: Draws of the bootstrap intervals.
        seed: Seed of these draws.
        numbers: The row number of each record, to name it by; counted from 1 if not given.

    Raises:
        DatasetError: There are no records, the sequences differ in length, or two records have one number.
    """
    _check_kept(len(gold), numbers=numbers, texts=texts, keep_texts=keep_texts)
    counted = _accumulate(schema, gold, predictions, texts, keep_differences=keep_records, numbers=numbers)
    return EvaluationReport(
        **_results(schema, counted, grounded=texts is not None, kept=sum(counted.valid[i] for i in {*closed_early})),
        field_f1_interval=_f1_interval(counted.records, resamples=resamples, seed=seed),
        errors=tuple(counted.differences) if keep_records else None,
        texts=tuple(texts) if keep_texts and texts is not None else None,
        numbers=_numbers(numbers) if keep_records or keep_texts else None,
    )


def _f1_interval(records: Sequence[MatchCounts], *, resamples: int, seed: int) -> tuple[float, float]:
    tp = [counts.tp for counts in records]
    values = [counts.support + counts.predicted for counts in records]
    return f1_interval(tp, values, resamples=resamples, seed=seed)


def _check_kept(count: int, *, numbers: Sequence[int] | None, texts: Sequence[str] | None, keep_texts: bool) -> None:
    if numbers is not None and len({*numbers}) != count:
        raise DatasetError(f"expected a number of its own for each of {count} records, found {len({*numbers})}")
    if keep_texts and texts is None:
        raise DatasetError("expected texts to keep, found none").hint("Pass `texts=...`, or leave `keep_texts` out.")


def _numbers(numbers: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if numbers is None or [*numbers] == [*range(1, len(numbers) + 1)] else tuple(numbers)


def score_records(
    schema: Schema[T], gold: Sequence[T], predictions: Sequence[T | Failure | FailureKind | None]
) -> dict[str, float]:
    """The scores of `EvaluationReport.metrics()` without the rest of the report: for the training loop.

    Raises:
        DatasetError: There are no records, or the sequences differ in length.
    """
    counted = _accumulate(schema, gold, predictions, None)
    return _headline(counted, counted.scores())


def judge_record(schema: Schema[T], gold: T, prediction: T) -> tuple[dict[str, bool], bool]:
    """Judge one prediction: for each present value, by its path, if it is exactly right; and if the record is.

    List items are paired as the scores pair them, so that an item may be right at another position than in the gold
    record. Values that are missing from the prediction do not appear; the record is wrong for lack of them.
    """
    merged = merged_schema(schema)
    pairs = list(align(to_tree(schema.full_value(gold), merged), to_tree(schema.full_value(prediction), merged)))
    predicted = [pair for pair in pairs if pair.prediction is not None]
    values = {".".join(pair.prediction_path.path): pair.match is MatchLevel.EXACT for pair in predicted}
    return values, all(pair.match is MatchLevel.EXACT for pair in pairs)


def _accumulate(
    schema: Schema[T],
    gold: Sequence[T],
    predictions: Sequence[T | Failure | FailureKind | None],
    texts: Sequence[str] | None,
    *,
    keep_differences: bool = False,
    numbers: Sequence[int] | None = None,
) -> MetricsAccumulator:
    _check_lengths(gold, {"predictions": predictions, "texts": texts, "numbers": numbers})
    merged, nullable = merged_schema(schema), accepts_null(schema.tree, schema.definitions)
    accumulator = MetricsAccumulator(
        merged, keep_differences=keep_differences, locator=ValueLocator(schema), numbers=numbers
    )
    for index, (right, prediction) in enumerate(zip(gold, predictions, strict=True)):
        answer: Any = _failure(prediction, strings=merged.strings, nullable=nullable)
        if answer is None:
            answer = schema.full_value(cast("T", prediction))
        accumulator.add(schema.full_value(right), answer, None if texts is None else texts[index])
    return accumulator


def _check_lengths(gold: Sequence[Any], others: dict[str, Sequence[Any] | None]) -> None:
    if not gold:
        raise DatasetError("expected at least one record to score, found none")
    for name, sequence in others.items():
        if sequence is not None and len(sequence) != len(gold):
            raise DatasetError(f"expected as many {name} as gold records ({len(gold)}), found {len(sequence)}")


def _failure(prediction: Any, *, strings: bool, nullable: bool) -> Failure | None:
    """The failure that stands in place of a prediction, if it is one."""
    if isinstance(prediction, Failure):
        return prediction
    if prediction is None and not nullable:
        return Failure.ERROR
    if isinstance(prediction, str) and not strings:
        return Failure(prediction)
    return None


def _headline(counted: MetricsAccumulator, fields: dict[str, FieldScores]) -> dict[str, float]:
    """The scores over all fields, by the names of `EvaluationReport`.

    Where no record has a value on either side, only failures can be wrong: the scores are the share of valid rows.
    """
    total, rows = counted.total(), len(counted.records)
    precision, recall, field_f1 = precision_recall_f1(total.tp, total.support, total.predicted)
    *_, normalized_f1 = precision_recall_f1(total.tp_normalized, total.support, total.predicted)
    if total.support + total.predicted == 0:
        precision = recall = field_f1 = normalized_f1 = sum(counted.valid) / rows
    return {
        "field_f1": field_f1,
        "field_f1_normalized": normalized_f1,
        "precision": precision,
        "recall": recall,
        "macro_f1": macro_f1(fields.values(), otherwise=field_f1),
        "exact_rate": sum(counted.exact) / rows,
        "exact_rate_normalized": sum(counted.exact_normalized) / rows,
        "valid_rate": sum(counted.valid) / rows,
    }


def _results(schema: Schema[Any], counted: MetricsAccumulator, *, grounded: bool, kept: int) -> dict[str, Any]:
    """The numbers of the report; `kept` predictions of those that the budget cut are valid."""
    rows = len(counted.records)
    fields = counted.scores(grounded=grounded)
    totals = FieldScores.of(counted.total(), grounded=grounded)
    return {
        "schema_name": schema.name,
        "schema_fingerprint": schema.fingerprint,
        "rows": rows,
        "valid": sum(counted.valid),
        "invalid": counted.failures[Failure.INVALID],
        "truncated": counted.failures[Failure.TRUNCATED] + kept,
        "failed": counted.failures[Failure.ERROR],
        "exact_rate_interval": wilson_interval(sum(counted.exact), rows),
        "support": totals.support,
        "predicted": totals.predicted,
        "wrong": totals.wrong,
        "missed": totals.missed,
        "invented": totals.invented,
        "ungrounded": totals.ungrounded,
        "fields": fields,
        "confusions": counted.confusions(),
        **_headline(counted, fields),
    }
