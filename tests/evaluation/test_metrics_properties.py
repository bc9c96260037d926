"""What holds for all records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.evaluation import EvaluationReport, evaluate_records, score_records
from extractft.schema import Schema


class Part(BaseModel):
    label: str
    sizes: list[int] = []


class Box(BaseModel):
    owner: str | None = None
    weight: int | str | None = None
    parts: list[Part] = []
    notes: dict[str, str] = {}
    lid: Part | None = None


SCHEMA = Schema.of(Box)
words = st.sampled_from(["", "a", "A.", "b", "龙"])
parts = st.builds(Part, label=words, sizes=st.lists(st.integers(0, 2), max_size=2))
boxes = st.builds(
    Box,
    owner=st.none() | words,
    weight=st.none() | st.integers(0, 1) | words,
    parts=st.lists(parts, max_size=3),
    notes=st.dictionaries(st.sampled_from("xyz"), words, max_size=2),
    lid=st.none() | parts,
)
samples = st.lists(st.tuples(boxes, boxes), min_size=1, max_size=4)


def evaluate(gold: list[Any], predictions: list[Any]) -> EvaluationReport:
    return evaluate_records(SCHEMA, gold, predictions, resamples=20)


@given(st.lists(boxes, min_size=1, max_size=4))
@settings(deadline=None)
def test_gold_against_itself_is_perfect(gold: list[Box]) -> None:
    report = evaluate(gold, [box.model_copy(deep=True) for box in gold])
    assert set(report.metrics().values()) == {1.0}
    assert report.wrong == report.missed == report.invented == 0
    for scores in report.fields.values():
        assert (scores.f1, scores.precision, scores.recall, scores.f1_normalized) in [(1, 1, 1, 1), (None,) * 4]


@given(samples)
@settings(deadline=None)
def test_swapping_gold_and_prediction_swaps_precision_and_recall(sample: list[tuple[Box, Box]]) -> None:
    gold, predictions = [list(side) for side in zip(*sample, strict=True)]
    one, other = evaluate(gold, predictions), evaluate(predictions, gold)
    if one.support and one.predicted:
        assert (one.precision, one.recall) == (other.recall, other.precision)
    assert one.field_f1 == other.field_f1
    assert one.exact_rate == other.exact_rate
    assert (one.missed, one.invented, one.wrong) == (other.invented, other.missed, other.wrong)
    for path, scores in one.fields.items():
        assert (scores.fp, scores.fn) == (other.fields[path].fn, other.fields[path].fp)


@given(samples, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_items_changes_nothing(sample: list[tuple[Box, Box]], random: Any) -> None:
    gold, predictions = [list(side) for side in zip(*sample, strict=True)]
    shuffled = [
        box.model_copy(
            update={
                "parts": random.sample(
                    [
                        part.model_copy(update={"sizes": random.sample(part.sizes, len(part.sizes))})
                        for part in box.parts
                    ],
                    len(box.parts),
                ),
                "notes": dict(random.sample(list(box.notes.items()), len(box.notes))),
            }
        )
        for box in predictions
    ]
    assert evaluate(gold, shuffled) == evaluate(gold, predictions)


@given(samples)
@settings(deadline=None)
def test_counts_add_up(sample: list[tuple[Box, Box]]) -> None:
    gold, predictions = [list(side) for side in zip(*sample, strict=True)]
    report = evaluate(gold, predictions)
    for scores in [report, *report.fields.values()]:
        tp = scores.support - scores.wrong - scores.missed
        assert tp == scores.predicted - scores.wrong - scores.invented
        assert tp >= 0
    for scores in report.fields.values():
        assert scores.tp + scores.fn == scores.support
        assert scores.tp + scores.fp == scores.predicted
        assert scores.tp <= scores.tp_normalized <= min(scores.support, scores.predicted)
        assert scores.f1 is None or 0 <= scores.f1 <= (scores.f1_normalized or 0) <= 1
    assert sum(scores.support for scores in report.fields.values()) == report.support
    assert all(0 <= value <= 1 for value in report.metrics().values())
    assert report.exact_rate <= report.exact_rate_normalized
    assert (report.exact_rate == 1) == (report.wrong + report.missed + report.invented == 0)


@given(samples, st.data())
@settings(deadline=None)
def test_failing_is_never_better_than_any_prediction(sample: list[tuple[Box, Box]], data: st.DataObject) -> None:
    gold, predictions = [list(side) for side in zip(*sample, strict=True)]
    victim = data.draw(st.integers(0, len(gold) - 1))
    failed = [None if index == victim else box for index, box in enumerate(predictions)]
    before, after = evaluate(gold, predictions), evaluate(gold, failed)
    assert after.exact_rate <= before.exact_rate
    assert after.valid_rate < before.valid_rate
    assert after.missed >= before.missed
    if before.support:
        assert after.recall <= before.recall


@given(samples)
@settings(deadline=None)
def test_micro_f1_is_the_harmonic_mean(sample: list[tuple[Box, Box]]) -> None:
    scores = score_records(SCHEMA, *[list(side) for side in zip(*sample, strict=True)])
    precision, recall = scores["precision"], scores["recall"]
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert scores["field_f1"] == pytest.approx(expected)
