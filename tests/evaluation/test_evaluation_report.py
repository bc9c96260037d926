"""The report: printed, stored, compared; and what it does not show."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError, create_model
from rich.console import Console

from extractft.errors import DatasetError
from extractft.evaluation import EvaluationReport, evaluate_records, measure_calibration, score_records
from extractft.evaluation.bootstrap import f1_interval, wilson_interval
from extractft.schema import Schema
from timing import assert_within


class Person(BaseModel):
    name: str | None = None
    city: str | None = None
    电话: str | None = None


GOLD = [Person(name="Ann", city="Oslo"), Person(name="Bob", 电话="123"), Person(name="Cid")]
TEXTS = ["secret Ann of Oslo", "secret Bob 123", "secret Cid"]
PREDICTIONS = [Person(name="Ann", city="Rome"), "truncated", Person(name="Cid", 电话="999")]


def report(*, keep: bool = False) -> EvaluationReport:
    return evaluate_records(Schema.of(Person), GOLD, PREDICTIONS, texts=TEXTS, keep_records=keep, keep_texts=keep)


def test_it_survives_json() -> None:
    for keep in (False, True):
        original = report(keep=keep)
        assert EvaluationReport.model_validate_json(original.model_dump_json()) == original
        assert EvaluationReport.model_validate(json.loads(json.dumps(original.model_dump(mode="json")))) == original


def test_it_is_frozen_and_strict() -> None:
    one = report()
    with pytest.raises(ValidationError):
        one.field_f1 = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        EvaluationReport.model_validate({**one.model_dump(), "extra": 1})


def test_values_and_texts_are_kept_only_when_asked_and_never_shown() -> None:
    assert report().errors is None
    assert report().texts is None
    kept = report(keep=True)
    assert kept.texts == tuple(TEXTS)
    assert kept.errors is not None
    assert [(e.row, e.path, e.kind, e.gold, e.prediction) for e in kept.errors] == [
        (1, "city", "wrong", "Oslo", "Rome"),
        (2, "", "truncated", None, None),
        (3, "电话", "invented", None, "999"),
    ]
    shown = str(kept) + repr(kept) + repr(kept.errors) + str(kept.compare(kept))
    for private in ("Oslo", "Rome", "999", "secret"):
        assert private not in shown
        assert private not in report().model_dump_json()


def test_the_table_says_it_all() -> None:
    lines = str(report()).splitlines()
    assert lines[0] == "Person: 3 records"
    assert lines[1].split()[:3] == ["field", "F1", "0.444"]
    table = {line.split()[0]: line.split() for line in lines if line.split() and line.split()[0] in Person.model_fields}
    assert list(table) == ["name", "city", "电话"]
    assert table["name"][1:9] == ["3", "1.000", "0.667", "0.800", "0.800", "0", "1", "0"]
    assert [path for path, row in table.items() if row[-1] == "worst"] == ["city", "电话"]  # equally bad
    assert "2 of 3; 0 invalid, 1 truncated, 0 failed" in str(report())
    assert "\x1b" not in str(report())


def test_nothing_is_worst_where_all_is_right() -> None:
    assert "worst" not in str(evaluate_records(Schema.of(Person), GOLD, GOLD))


def test_rich_prints_the_same_words() -> None:
    console = Console(width=200, force_terminal=True, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(report())
    text = console.export_text()
    for line in str(report()).splitlines():
        assert line.split() in [shown.split() for shown in text.splitlines()]


def test_comparison_puts_the_baseline_first() -> None:
    trained = evaluate_records(Schema.of(Person), GOLD, GOLD)
    comparison = trained.compare(report(), names=("untrained", "trained"))
    assert comparison.metrics["field_f1"] == (4 / 9, 1.0)
    assert comparison.fields["city"] == (0.0, 1.0)
    assert comparison.invented == (1, 0)
    shown = str(comparison)
    assert shown.index("untrained") < shown.index(" trained")
    assert "+0.556" in shown
    assert type(comparison).model_validate_json(comparison.model_dump_json()) == comparison


def test_only_reports_on_the_same_records_are_compared() -> None:
    one = report()
    with pytest.raises(DatasetError, match="number of records"):
        one.compare(evaluate_records(Schema.of(Person), GOLD[:2], GOLD[:2]))
    with pytest.raises(DatasetError, match="gold values per field"):
        one.compare(evaluate_records(Schema.of(Person), [GOLD[0], GOLD[1], Person()], GOLD))
    with pytest.raises(DatasetError, match="schema"):
        one.compare(evaluate_records(Schema.of(int), [1, 2, 3], [1, 2, 3]))


def test_intervals_are_seeded_and_hold_the_score() -> None:
    one, again = report(), report()
    assert one == again
    low, high = one.field_f1_interval
    assert 0 <= low <= one.field_f1 <= high <= 1
    perfect = evaluate_records(Schema.of(Person), GOLD, GOLD)
    assert perfect.field_f1_interval == (1.0, 1.0)


def test_the_interval_of_a_rate_is_near_the_known_one() -> None:
    tp = [int(i < 320) for i in range(400)]
    half = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    for low, high in (f1_interval(tp, [2] * 400, resamples=4000, seed=1), wilson_interval(320, 400)):
        assert (low, high) == (pytest.approx(0.8 - half, abs=0.006), pytest.approx(0.8 + half, abs=0.006))


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [(10, 10, (0.7225, 1.0)), (0, 10, (0.0, 0.2775)), (29, 30, (0.8333, 0.9941)), (1, 1, (0.2065, 1.0))],
)
def test_records_that_are_almost_all_right_leave_room_for_errors(
    hits: int, count: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(hits, count) == pytest.approx(expected, abs=1e-4)
    right, wrong = Person(name="Ann"), Person(name="Bob")
    found = evaluate_records(Schema.of(Person), [right] * count, [right] * hits + [wrong] * (count - hits))
    assert found.exact_rate_interval == wilson_interval(hits, count)


def test_a_wilson_interval_holds_the_true_rate_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.9, 0.97):
        drawn = rng.binomial(40, rate, size=2000)
        bounds = {hits: wilson_interval(int(hits), 40) for hits in {*drawn.tolist()}}
        held = np.mean([bounds[hits][0] <= rate <= bounds[hits][1] for hits in drawn.tolist()])
        assert held > 0.92


def test_a_draw_without_values_scores_one() -> None:
    assert f1_interval([0, 0], [0, 4], resamples=500, seed=0) == (0.0, 1.0)


def test_a_thousand_records_of_twenty_fields_take_less_than_a_second() -> None:
    model = create_model("Wide", **{f"field_{i}": (str | None, None) for i in range(20)})  # type: ignore[call-overload]
    schema = Schema.of(model)
    gold = [model(**{f"field_{i}": f"value {row} {i}" for i in range(20)}) for row in range(1000)]
    wrong = [model(**{f"field_{i}": f"value {row} {i + row % 2}" for i in range(20)}) for row in range(1000)]
    found = assert_within(lambda: evaluate_records(schema, gold, wrong), 1)
    assert found.field_f1 == 0.5
    assert score_records(schema, gold, gold)["exact_rate"] == 1


def test_confidence_is_part_of_the_report_when_it_was_measured() -> None:
    measured = measure_calibration([0.9, 0.8, 0.95, 0.6], [True, True, True, False])
    one = report().with_calibration({"values": measured})
    assert one.calibration == {"values": measured}
    assert EvaluationReport.model_validate_json(one.model_dump_json()) == one
    line = next(line for line in str(one).splitlines() if line.startswith("confidence of values"))
    assert "calibration error 0." in line
    assert report().calibration is None
    with pytest.raises(ValidationError):
        one.with_calibration({"values": "good"})  # type: ignore[dict-item]


def test_brackets_in_names_are_not_taken_for_markup() -> None:
    schema = Schema.of(list[Person])
    one = evaluate_records(schema, [GOLD], [GOLD])
    assert str(one).startswith("list[Person]: 1 record\n")
    assert "[red]" in str(one.compare(one, names=("[red]", "new")))
