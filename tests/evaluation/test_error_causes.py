"""Why values are wrong, where they stand in the text, and the sentences made of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.errors import DatasetError
from extractft.evaluation import Difference, EvaluationReport, Failure, LearningPoint, advice, evaluate_records
from extractft.evaluation.html.error_causes import ErrorCause, explain
from extractft.evaluation.html.findings import summarize
from extractft.evaluation.html.wrong_records import CONTEXT, WHOLE_TEXT, wrong_records
from extractft.evaluation.value_spans import overlapping_spans
from extractft.grounding import ground
from extractft.schema import Schema


class Place(BaseModel):
    city: str | None = None
    street: str | None = None
    number: int | None = None


class Trip(BaseModel):
    stops: list[Place] = []
    note: str | None = None


TEXT = "From Main Street 12 in Oslo to Osloville, Ring Road 7."


def differences(gold: Any, prediction: Any, text: str = TEXT) -> tuple[Difference, ...]:
    schema: Schema[Any] = Schema.of(type(gold))
    report = evaluate_records(schema, [gold], [prediction], texts=[text], keep_records=True)
    assert report.errors is not None
    return report.errors


@pytest.mark.parametrize(
    ("gold", "prediction", "cause"),
    [
        ("Main Street 12", "Main Street", ErrorCause.CUT_SHORT),
        ("Main Street", "Main Street 12 in", ErrorCause.TOO_LONG),
        ("Main Street 12", "main street  12.", ErrorCause.SPELLING),
        ("Main Street 12", "Street 12 in Oslo", ErrorCause.SHIFTED),
        ("Main Street 12", "Main Strxxt 12", ErrorCause.ALTERED),
        ("Main Street 12", "Elm Avenue", ErrorCause.MADE_UP),
        ("Main Street 12", "Ring Road 7", ErrorCause.OTHER),
        ("Main Street 12", None, ErrorCause.MISSED),
        (None, "Ring Road", ErrorCause.INVENTED),
        ("Main Street 12", "", ErrorCause.OTHER),
        ("", "Main Street", ErrorCause.OTHER),
    ],
)
def test_causes(gold: str | None, prediction: str | None, cause: ErrorCause) -> None:
    found = explain(differences(Place(street=gold), Place(street=prediction)))
    assert [item.cause for item in found] == [cause]


def test_values_of_another_field_are_told_apart() -> None:
    swapped = explain(differences(Place(city="Oslo", street="Ring Road"), Place(city="Ring Road", street="Oslo")))
    assert [(item.cause, item.other) for item in swapped] == [
        (ErrorCause.OTHER_FIELD, "street"),
        (ErrorCause.OTHER_FIELD, "city"),
    ]
    moved = explain(differences(Place(city="Oslo"), Place(street="Oslo")))
    assert [(item.cause, item.other) for item in moved] == [
        (ErrorCause.OTHER_FIELD, "street"),
        (ErrorCause.OTHER_FIELD, "city"),
    ]


def test_other_scalars_and_failures() -> None:
    assert [item.cause for item in explain(differences(Place(number=1), Place(number=12)))] == [ErrorCause.OTHER]
    assert [item.cause for item in explain(differences(Place(number=1), Failure.INVALID))] == [ErrorCause.FAILED]


def test_places_are_those_of_the_values() -> None:
    (wrong,) = differences(Place(city="Oslo"), Place(city="Osloville"))
    assert wrong.gold_span is not None
    assert wrong.span is not None
    assert TEXT[slice(*wrong.gold_span)] == "Oslo"
    assert TEXT[slice(*wrong.span)] == "Osloville"
    assert wrong.gold_span == (23, 27)  # the word, although Osloville begins with it
    (number,) = differences(Place(number=12), Place(number=7))
    assert number.gold_span is not None
    assert number.span is not None
    assert (TEXT[slice(*number.gold_span)], TEXT[slice(*number.span)]) == ("12", "7")
    (made_up,) = differences(Place(city="Oslo"), Place(city="Rome"))
    assert made_up.gold_span == (23, 27)
    assert made_up.span is None
    (cut,) = differences(Place(street="Ring Road 7"), Place(street="Road"), "Road, Main Street, Ring Road 7")
    assert cut.gold_span == (19, 30)
    assert cut.span == (24, 28)  # inside the right value rather than at the first Road


def test_places_of_list_items_follow_the_prediction_s_own_order() -> None:
    gold = Trip(stops=[Place(city="Oslo", street="Main Street 12"), Place(city="Osloville", street="Ring Road 7")])
    prediction = Trip(stops=[Place(city="Osloville", street="Ring Road"), Place(city="Oslo", street="Main Street 12")])
    (wrong,) = differences(gold, prediction)
    assert (wrong.path, wrong.field) == ("stops.1.street", "stops.*.street")
    assert wrong.span is not None
    assert TEXT[slice(*wrong.span)] == "Ring Road"


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=4), st.text("ab", min_size=1, max_size=4))
def test_a_span_is_always_the_value(text: str, gold: str, prediction: str) -> None:
    for found in differences(Place(city=gold), Place(city=prediction), text) if gold != prediction else ():
        for span, value in ((found.gold_span, gold), (found.span, prediction)):
            assert span is None or text[slice(*span)] == value
            places = ground(Schema.of(Place), {"city": value}, text)["city"]
            assert (span is None) == all(place.method == "fuzzy" for place in places)
            assert span is not None or value not in text.split()


def test_spans_that_overlap_are_preferred() -> None:
    assert overlapping_spans([(0, 4), (10, 14)], [(20, 22), (11, 13)]) == ((10, 14), (11, 13))
    assert overlapping_spans([(0, 4)], [(20, 22)]) == ((0, 4), (20, 22))
    assert overlapping_spans([], [(1, 2)]) == (None, (1, 2))


def kept(gold: list[Any], predictions: list[Any], texts: list[str]) -> EvaluationReport:
    return evaluate_records(
        Schema.of(type(gold[0])), gold, predictions, texts=texts, keep_records=True, keep_texts=True
    )


def test_findings_name_the_worst_field_its_usual_cause_and_an_example_of_it() -> None:
    gold = [Place(city="Oslo", street="Main Street 12")] * 6
    predictions: list[Any] = [
        gold[0],
        Place(city="Oslo", street="Ring Road 7"),
        Place(city="Oslo", street="Main"),
        Place(city="Oslo", street="Main Street"),
        Place(city="Rome", street="Street"),
        Failure.TRUNCATED,
    ]
    report = kept(gold, predictions, [TEXT] * 6)
    found = summarize(report, wrong_records(report.errors or (), report.texts))
    assert found.worst == "street"
    assert found.about_worst == "F1 0.182, 5 errors on 6 values. It is mostly cut short (3 of 5)."
    assert found.example == 3
    assert found.first == {"street": 2, "city": 5}
    assert found.causes["street"] == {ErrorCause.OTHER: 1, ErrorCause.CUT_SHORT: 3, ErrorCause.FAILED: 1}
    assert [sentence.text for sentence in found.others] == ["1 of 6 texts gave no record at all."]


def test_a_rare_field_is_worst_but_the_one_with_most_errors_is_named_too() -> None:
    gold = [Place(city="Oslo", street="Main Street 12")] * 5 + [Place(number=1)]
    predictions = [gold[0], gold[0], *[Place(city="Oslo", street="Main Street")] * 3, Place(number=2)]
    report = kept(gold, predictions, [TEXT] * 6)
    found = summarize(report, wrong_records(report.errors or (), report.texts))
    assert (found.worst, found.example) == ("number", 6)
    (most,) = found.others
    assert most.text == (
        "Most errors are in street, 3 of 4: F1 0.400, 3 errors on 5 values. It is always cut short (3 of 3)."
    )
    assert (most.record, most.field) == (3, "street")


def test_findings_without_records_use_the_counts() -> None:
    report = evaluate_records(Schema.of(Place), [Place(city="Oslo")] * 2, [Place(), Place()])
    found = summarize(report, [])
    assert found.about_worst == "F1 0.000, 2 errors on 2 values. It is always missed (2 of 2)."
    assert found.example is None
    perfect = evaluate_records(Schema.of(Place), [Place(city="Oslo")], [Place(city="Oslo")])
    assert summarize(perfect, []).worst is None


def test_the_worst_field_may_be_one_that_only_failures_cost() -> None:
    report = kept([Place(city="Oslo")], [Failure.ERROR], [TEXT])
    found = summarize(report, wrong_records(report.errors or (), report.texts))
    assert found.about_worst.endswith("It is lost with a record that failed.")
    assert found.example == 1


def test_pieces_put_together_are_the_text() -> None:
    gold = Place(city="Oslo", street="Main Street 12")
    report = kept([gold], [Place(city="Main", street="Street 12 in Oslo")], [TEXT])
    (record,) = wrong_records(report.errors or (), report.texts)
    assert record.segments is not None
    assert "".join(piece.text for piece in record.segments) == TEXT
    marked = {(piece.text, piece.gold, piece.prediction) for piece in record.segments if piece.gold or piece.prediction}
    assert ("Main", (2,), (1,)) in marked
    assert ("Street 12", (2,), (2,)) in marked
    assert ("Oslo", (1,), (2,)) in marked


def test_long_texts_are_shown_around_the_marks() -> None:
    text = "x" * 50_000 + " Oslo " + "y" * 50_000
    report = kept([Place(city="Oslo")], [Place()], [text])
    (record,) = wrong_records(report.errors or (), report.texts)
    assert record.segments is not None
    assert [piece.text for piece in record.segments if piece.gold] == ["Oslo"]
    shown = sum(len(piece.text) for piece in record.segments)
    assert shown == 2 * CONTEXT + 4
    assert shown + sum(piece.left_out for piece in record.segments) == len(text)
    report = kept([Place(city="Rome")], [Place()], [text])
    (record,) = wrong_records(report.errors or (), report.texts)
    assert [(len(piece.text), piece.left_out) for piece in record.segments or ()] == [
        (WHOLE_TEXT, 0),
        (0, len(text) - WHOLE_TEXT),
    ]


def point(rows: int, f1: float, half: float = 0.02) -> LearningPoint:
    return LearningPoint(fraction=min(1.0, rows / 400), rows=rows, field_f1=f1, interval=(f1 - half, f1 + half))


@pytest.mark.parametrize(
    ("points", "verdict"),
    [
        ([point(100, 0.6), point(200, 0.7), point(400, 0.8)], "Yes: from 200 to 400 rows"),
        ([point(400, 0.8), point(100, 0.6), point(200, 0.7)], "Yes: from 200 to 400 rows"),
        ([point(200, 0.80, 0.05), point(400, 0.83, 0.05)], "Perhaps: "),
        ([point(200, 0.80), point(400, 0.802)], "Probably not: "),
        ([point(200, 0.80), point(400, 0.7)], "Probably not: "),
        ([point(200, 0.99), point(400, 0.999)], "No: there is hardly anything left to gain"),
        ([point(400, 0.9)], "One size"),
        ([point(400, 0.9), point(400, 0.8)], "One size"),
    ],
)
def test_advice(points: list[LearningPoint], verdict: str) -> None:
    assert advice(points).startswith(verdict)


def test_the_outlook_divides_the_errors_as_the_last_doubling_did() -> None:
    assert "800 rows would give about 0.867" in advice([point(200, 0.7), point(400, 0.8)])
    assert "800 rows would give about 0.900" in advice([point(100, 0.2), point(400, 0.8)])
    assert "800 rows would give about 1.000" not in advice([point(100, 0.0), point(400, 0.8)])
    with pytest.raises(DatasetError, match="at least one point"):
        advice([])
