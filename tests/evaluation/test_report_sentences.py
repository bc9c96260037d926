"""Every sentence of the report beside the numbers that would make it false."""

from __future__ import annotations

import math
import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, create_model

from extractft.evaluation import (
    CalibrationReport,
    EvaluationReport,
    Failure,
    LearningPoint,
    about_confidence,
    advice,
    evaluate_records,
    measure_calibration,
)
from extractft.evaluation.console_tables import floored, interval, number, plural
from extractft.evaluation.html.findings import Findings, summarize
from extractft.evaluation.html.page import render_page
from extractft.evaluation.html.wrong_records import wrong_records
from extractft.schema import Schema


class Two(BaseModel):
    one: str | None = None
    two: str | None = None
    three: str | None = None


A, NOTHING = Two(one="a", two="b", three="c"), Two()


def report(gold: list[Any], predictions: list[Any], **more: Any) -> EvaluationReport:
    schema: Schema[Any] = Schema.of(type(gold[0]))
    return evaluate_records(schema, gold, predictions, resamples=200, **more)


def kept(gold: list[Any], predictions: list[Any], texts: list[str] | None = None) -> EvaluationReport:
    texts = texts or ["a b c x y z"] * len(gold)
    return report(gold, predictions, texts=texts, keep_records=True, keep_texts=True)


def findings(found: EvaluationReport, baseline: EvaluationReport | None = None) -> Findings:
    return summarize(found, wrong_records(found.errors or (), found.texts, found.numbers), baseline)


def page(found: EvaluationReport, **more: Any) -> str:
    body = render_page(found, **more).partition("<body>")[2].partition("<script>")[0]
    return " ".join(unescape(re.sub("<[^>]*>", "", body)).split())


# ------------------------------------------------------------------------------------------------- nothing is wrong


@pytest.mark.parametrize(
    ("gold", "predictions", "sentence"),
    [
        ([A, A], [A, A], "Every value of every record is right."),
        ([A], [A], "Every value of the one record is right."),
        ([NOTHING, NOTHING], [NOTHING, NOTHING], "There is nothing to compare"),
        ([NOTHING, NOTHING], [Failure.ERROR, Failure.ERROR], "No text gave a record, so there is nothing to judge."),
        ([A, NOTHING], [A, Failure.ERROR], "Every value is right in the records that came out."),
    ],
)
def test_what_is_said_where_nothing_is_wrong(gold: list[Any], predictions: list[Any], sentence: str) -> None:
    found = findings(report(gold, predictions))
    assert (found.worst, found.about_worst) == (None, "")
    assert found.nothing_wrong.startswith(sentence)
    assert sentence in page(report(gold, predictions))


def test_a_single_error_of_thousands_is_not_rounded_away() -> None:
    gold = [Two(one="a")] * 4000
    text = page(kept(gold, [Two(one="x"), *gold[1:]]))
    assert "The worst field is one: F1 >0.999, 1 error on 4000 values." in text
    assert "3999 >99 %" in text
    assert "3999 100 %" not in text
    assert "1 <1 %" in text


# ------------------------------------------------------------------------------------------------- the worst field


def errors(wrong: int, missed: int, right: int = 0, invented: int = 0) -> EvaluationReport:
    gold = [Two(one="a")] * (wrong + missed + right) + [NOTHING] * invented
    answers = [Two(one="x")] * wrong + [NOTHING] * missed + [Two(one="a")] * right + [Two(one="x")] * invented
    return report(gold, answers)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (errors(0, 1), "F1 0.000, 1 error on 1 value. It is missed."),
        (errors(0, 2), "2 errors on 2 values. It is always missed (2 of 2)."),
        (errors(1, 2), "3 errors on 3 values. It is mostly missed (2 of 3)."),
        (
            errors(2, 2),
            "4 errors on 4 values. It is as often another value than the right one as missed (2 of 4 each).",
        ),
        (errors(2, 3, invented=2), "It is most often missed (3 of 7)."),
        (errors(2, 2, invented=2), "It has several causes, and none stands out."),
        (errors(0, 0, invented=2), "2 values came out where the gold records have none."),
        (errors(0, 0, invented=1), "1 value came out where the gold record has none."),
    ],
)
def test_the_cause_of_most_errors(found: EvaluationReport, sentence: str) -> None:
    assert findings(found).about_worst.endswith(sentence)


def test_a_tie_is_no_worst_field() -> None:
    found = kept([A, A], [NOTHING, NOTHING])
    assert findings(found).ties == 2
    assert "One of 3 fields that are equally bad is one:" in page(found)
    assert str(found).count("worst") == 3
    assert "The worst field is two:" in page(kept([A, A], [A, Two(one="a", three="c")]))


Four = create_model("Four", **dict.fromkeys("abcd", (str | None, None)))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("a", "b", "c", "head"),
    [
        (9, 1, 1, "Most errors are in a, 9 of 12: "),
        (5, 4, 3, "a has more errors than any other field, 5 of 13: "),
        (5, 5, 3, "No field has more errors than a, 5 of 14: "),
    ],
)
def test_most_errors_are_more_than_half_of_them(a: int, b: int, c: int, head: str) -> None:
    """Field d is the worst with one error on one value."""
    gold = [Four(a="a", b="b", c="c") for _ in range(12)] + [Four(d="d")]
    counts = {"a": a, "b": b, "c": c}
    answers = [Four(**{name: None if i < count else name for name, count in counts.items()}) for i in range(12)]
    found = findings(report(gold, [*answers, Four()]))
    assert found.worst == "d"
    assert found.others[0].text.startswith(head)


@pytest.mark.parametrize(
    ("predictions", "sentence"),
    [
        ([A, A, A], None),
        ([A, Failure.ERROR, A], "1 of 3 texts gave no record at all."),
        ([Failure.ERROR] * 3, "None of the 3 texts gave a record."),
        ([Failure.ERROR], "The only text gave no record at all."),
    ],
)
def test_texts_without_a_record(predictions: list[Any], sentence: str | None) -> None:
    found = findings(report([A] * len(predictions), predictions))
    assert [s.text for s in found.others] == ([] if sentence is None else [sentence])
    assert ("Records that failed" in page(report([A] * len(predictions), predictions))) == (sentence is not None)


def test_spelling_is_blamed_for_what_it_costs() -> None:
    spelt = findings(report([Two(one="Ab")] * 4, [Two(one="ab")] * 2 + [Two(one="Ab")] * 2))
    assert spelt.others[0].text.startswith("Spelling alone costs 50.0 points of field F1")
    assert not findings(report([Two(one="ab")] * 4, [Two(one="xy")] * 4)).others


# ------------------------------------------------------------------------------------------------- the baseline


@pytest.mark.parametrize(
    ("right", "before", "sentence"),
    [
        (90, 60, None),
        (60, 60, "This is no better than the baseline: field F1 is 0.600 for both."),
        (60, 63, "The baseline is better: field F1 0.630 against 0.600, which may be chance."),
        (20, 90, "The baseline is better: field F1 0.900 against 0.200."),
        (0, 0, "This is no better than the baseline: field F1 is 0.000 for both."),
        (100, 100, "This is no better than the baseline: field F1 is 1.000 for both."),
    ],
)
def test_a_baseline_that_is_better_is_called_so(right: int, before: int, sentence: str | None) -> None:
    gold = [Two(one="a")] * 100
    mine, theirs = (report(gold, [gold[0]] * n + [Two(one="x")] * (100 - n)) for n in (right, before))
    assert [s.text for s in findings(mine, theirs).others] == ([] if sentence is None else [sentence])
    text = page(mine, baseline=theirs)
    assert (sentence or "better, was 0.600") in text


def test_a_better_baseline_on_three_records_may_be_chance() -> None:
    gold = [Two(one="a")] * 3
    (sentence,) = findings(report(gold, [NOTHING] * 3), report(gold, gold)).others
    assert sentence.text == "The baseline is better: field F1 1.000 against 0.000, which may be chance."


# ------------------------------------------------------------------------------------------------- confidences


def measured(**numbers: Any) -> CalibrationReport:
    """A report with these numbers, whatever the others are."""
    one = measure_calibration([0.9, 0.8], [True, False], resamples=20)
    return CalibrationReport.model_validate({**dict(one), "groups": 500, "count": 2000, **numbers})


BELIEVED, OFF, FEW = "Confidences of values can be believed", "Confidences of values are off by", "too few to tell"


@pytest.mark.parametrize(
    ("numbers", "begins", "holds"),
    [
        (
            {"ece": 0.012, "ece_interval": (0.0, 0.031)},
            BELIEVED,
            "off by 1.2 points on average (95 % interval 0.0 to 3.1).",
        ),
        ({"ece": 0.012, "ece_interval": (0.008, 0.031)}, BELIEVED, "off by 1.2 points"),
        ({"ece": 0.010, "ece_interval": (0.0, 0.02)}, BELIEVED, "off by 1.0 point on average"),
        ({"ece": 0.0, "ece_interval": (0.0, 0.0)}, BELIEVED, "off by 0.0 points on average."),
        ({"ece": 0.182, "ece_interval": (0.0, 0.25), "groups": 12}, "12 records are", FEW),
        ({"ece": 0.182, "ece_interval": (0.0, 0.25), "groups": 1}, "1 record is", FEW),
        ({"ece": 0.001, "ece_interval": (0.0, 0.001), "groups": 20}, "20 records are", FEW),
        ({"ece": 0.030, "ece_interval": (0.0, 0.06)}, "500 records are", FEW),
        ({"ece": 0.990, "ece_interval": (0.99, 0.99), "groups": 1}, "1 record is", FEW),
        ({"ece": 0.182, "ece_interval": (0.12, 0.25), "confidence": 0.9, "accuracy": 0.72}, OFF, "too high as a rule."),
        ({"ece": 0.182, "ece_interval": (0.12, 0.25), "confidence": 0.7, "accuracy": 0.88}, OFF, "too low as a rule."),
        (
            {"ece": 0.182, "ece_interval": (0.12, 0.25), "confidence": 0.8, "accuracy": 0.8},
            OFF,
            "some too high and some too low.",
        ),
        ({"ece": math.nan, "ece_interval": (0.0, 0.01)}, "It is not known", "values"),
        ({"ece": 0.01, "ece_interval": (0.0, math.nan)}, "It is not known", "values"),
    ],
)
def test_confidences_are_believed_only_where_the_interval_says_so(
    numbers: dict[str, Any], begins: str, holds: str
) -> None:
    report_of_values = measured(**numbers)
    sentence = about_confidence(report_of_values)
    assert sentence.startswith(begins)
    assert holds in sentence
    found = report([A], [A]).with_calibration({"values": report_of_values})
    assert findings(found).others[0].text == sentence
    assert sentence in page(found)
    assert " nan" not in page(found)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=90),
)
def test_whatever_is_measured_gets_one_of_three_answers(answers: list[tuple[float, bool]]) -> None:
    found = measure_calibration([c for c, _ in answers], [r for _, r in answers], resamples=50)
    sentence = about_confidence(found)
    assert sum(part in sentence for part in ("can be believed: they", "values are off by", FEW)) == 1
    if BELIEVED in sentence:
        assert found.ece <= found.ece_interval[1] <= 0.05
    if sentence.startswith(OFF):
        assert found.ece_interval[0] > 0


def test_one_value_is_not_called_values() -> None:
    one = measure_calibration([0.9], [True], resamples=20)
    text = page(report([A], [A]).with_calibration({"values": one, "records": one}))
    assert "1 value of 1 record: share right 1.000" in text
    assert "1 values" not in text
    assert "1 records" not in text
    assert "one record gives no interval" in text


def test_equal_confidences_cannot_be_told_apart_by_a_threshold() -> None:
    same = measure_calibration([0.9] * 20, [True] * 10 + [False] * 10, resamples=20)
    text = page(report([A], [A]).with_calibration({"values": same}))
    assert "To keep at least these, keep what has a confidence of 0.900 or more, which is 100 % of all." in text
    apart = measure_calibration([i / 100 for i in range(100)], [True] * 100, resamples=20)
    text = page(report([A], [A]).with_calibration({"values": apart}))
    assert "To keep these, keep what has a confidence of 0.100 or more." in text


def test_a_threshold_is_never_rounded_above_what_it_keeps() -> None:
    nearly = measure_calibration([0.9996] * 20, [True] * 20, resamples=20)
    assert "confidence of 0.999 on" in str(nearly)
    assert (floored(0.9996), floored(0.3), floored(1.0)) == ("0.999", "0.300", "1.000")


# ------------------------------------------------------------------------------------------------- learning curves


def point(rows: int, f1: float, half: float = 0.02) -> LearningPoint:
    return LearningPoint(fraction=min(1.0, rows / 400), rows=rows, field_f1=f1, interval=(f1 - half, f1 + half))


@pytest.mark.parametrize(
    ("points", "begins", "holds"),
    [
        (
            [point(200, 0.7), point(400, 0.8)],
            "Yes: from 200 to 400 rows, field F1 rose from 0.700 to 0.800",
            "800 rows",
        ),
        ([point(380, 0.7), point(400, 0.8)], "Yes: ", "(±0.028)."),
        ([point(200, 0.800, 0.0005), point(400, 0.802, 0.0005)], "Probably not: ", "rose from 0.800 to 0.802"),
        ([point(200, 0.80, 0.05), point(400, 0.83, 0.05)], "Perhaps: ", "within what chance gives"),
        ([point(200, 0.80), point(400, 0.80)], "Probably not: ", "field F1 stayed at 0.800"),
        ([point(200, 0.80), point(400, 0.79)], "Probably not: ", "fell from 0.800 to 0.790. Rather look"),
        (
            [point(200, 0.80), point(400, 0.60)],
            "Probably not: ",
            "fell from 0.800 to 0.600, more than what chance gives",
        ),
        ([point(200, 0.80, 0.2), point(400, 0.75, 0.2)], "That cannot be told: ", "More held-out rows"),
        ([point(200, 1.0), point(400, 1.0)], "No: there is hardly anything left to gain", "stayed at 1.000"),
        ([point(200, 1.0), point(400, 0.997)], "No: there is hardly anything", "fell from 1.000 to 0.997"),
        ([point(200, 1.0, 0.0), point(400, 0.9, 0.0)], "Probably not: ", "fell from 1.000 to 0.900"),
        ([point(200, 0.0, 0.0), point(400, 0.0, 0.0)], "Probably not: ", "stayed at 0.000"),
        ([point(1, 0.2), point(2, 0.6)], "Yes: ", "4 rows"),
    ],
)
def test_advice_says_no_more_than_the_curve(points: list[LearningPoint], begins: str, holds: str) -> None:
    assert advice(points).startswith(begins)
    assert holds in advice(points)


def test_a_step_of_a_few_rows_is_no_doubling() -> None:
    assert "If errors" not in advice([point(390, 0.7), point(400, 0.8)])
    assert "If errors" in advice([point(200, 0.7), point(400, 0.8)])


@pytest.mark.parametrize("bounds", [(0.9, 0.8), (math.nan, 0.9), (0.1, math.nan), (0.1, math.inf)])
def test_an_interval_is_one(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="lower one first"):
        LearningPoint(fraction=1, rows=1, field_f1=0.8, interval=bounds)
    with pytest.raises(ValidationError):
        LearningPoint(fraction=1, rows=1, field_f1=math.nan, interval=(0.1, 0.2))


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1), st.floats(0, 0.3)), min_size=2, max_size=5))
def test_advice_never_contradicts_itself(points: list[tuple[int, float, float]]) -> None:
    said = advice([point(*entry) for entry in points])
    fell = " fell from " in said
    assert not (fell and said.startswith(("Yes", "Perhaps")))
    assert not re.search(r"(rose|fell) from (\S+) to \2[ .,)]", said)
    guess = re.search(r"would give about (\d\.\d+)", said)
    assert guess is None or float(guess[1]) <= 1


# ------------------------------------------------------------------------------------------------- headline and lists


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.000"),
        (0.0001, "<0.001"),
        (0.5, "0.500"),
        (0.9994, "0.999"),
        (0.9996, ">0.999"),
        (1.0, "1.000"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_only_all_is_shown_as_all_and_only_none_as_none(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_counts_are_said_as_a_person_says_them() -> None:
    assert [plural(count, "row") for count in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_an_interval_of_records_that_are_all_alike_says_nothing_of_others() -> None:
    assert interval((1.0, 1.0), 3) == "no interval: all records are alike"
    assert interval((0.5, 0.5), 1) == "one record gives no interval"
    assert interval((0.25, 0.5), 9) == "95 % interval 0.250 to 0.500"
    assert "interval 1.000 to 1.000" not in str(report([A] * 3, [A] * 3)) + page(report([A] * 3, [A] * 3))


def test_cards_of_a_model_that_says_nothing_and_of_records_that_hold_nothing() -> None:
    assert "precision0.000 it says nothing" in page(report([A], [NOTHING]))
    assert "recall0.000 there is nothing to find" in page(report([NOTHING], [A]))
    assert "of what it says, this much is right" in page(report([A], [A]))


def test_truncated_records_that_were_kept_are_not_said_to_be_lost() -> None:
    found = report([A, A], [A, A], closed_early=[1])
    assert "(2 of 2; 0 invalid, 1 truncated (1 kept), 0 failed)" in str(found)
    assert "valid records1.000 1 cut short but kept" in page(found)
    lost = report([A, A], [A, Failure.TRUNCATED])
    assert "(1 of 2; 0 invalid, 1 truncated, 0 failed)" in str(lost)
    assert "valid records0.500 1 truncated" in page(lost)


def test_a_list_that_was_cut_says_what_is_in_it() -> None:
    found = kept([A] * 3, [NOTHING] * 3)
    assert "wrong records" not in page(found).partition("This part is private")[2].partition("gold")[0]
    assert "Of 3 wrong records, 1 is listed:" in page(found, max_records=1)
    none = page(found, max_records=0)
    assert "None of the 3 wrong records is listed." in none
    assert "There are none." not in none
    assert "See an example" not in none
    assert "The only wrong record is not listed." in page(kept([A], [NOTHING]), max_records=0)
    assert "There are none." in page(kept([A], [A]))
    without = report([A], [NOTHING], keep_records=True)
    assert "it quotes the records." in page(without)


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
def test_no_link_leads_to_a_record_that_is_not_listed(limit: int) -> None:
    gold = [A] * 4 + [Two(one="a")]
    source = render_page(kept(gold, [Two(one="a", two="b"), Two(one="a"), A, A, Two(one="x")]), max_records=limit)
    for target in re.findall(r'href="#(record-\d+)"', source):
        assert f'id="{target}"' in source
