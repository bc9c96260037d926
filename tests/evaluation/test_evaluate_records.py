"""Scores computed by hand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from extractft.errors import DatasetError
from extractft.evaluation import EvaluationReport, Failure, evaluate_records, score_records
from extractft.schema import Schema


class Complaint(BaseModel):
    name: str | None = None
    address: str | None = None
    email: str | None = None


class Line(BaseModel):
    item: str
    total: Decimal | None = None


class Receipt(BaseModel):
    company: str | None = None
    lines: list[Line] = []
    currency: str = "CNY"


def counts(report: EvaluationReport, path: str) -> tuple[int, int, int, int]:
    """Support, tp, fp, fn."""
    scores = report.fields[path]
    return scores.support, scores.tp, scores.fp, scores.fn


def nulls(report: EvaluationReport, path: str) -> tuple[int, int, int]:
    scores = report.fields[path]
    return scores.wrong, scores.missed, scores.invented


def test_flat_records() -> None:
    gold = [Complaint(name="A", address="B", email="C"), Complaint(name="D"), Complaint(name="E", address="F")]
    predictions = [
        Complaint(name="A", address="b.", email=None),
        Complaint(name="D", email="G"),
        Complaint(name="E", address="F"),
    ]
    report = evaluate_records(Schema.of(Complaint), gold, predictions)
    assert counts(report, "name") == (3, 3, 0, 0)
    assert counts(report, "address") == (2, 1, 1, 1)
    assert counts(report, "email") == (1, 0, 1, 1)
    assert nulls(report, "address") == (1, 0, 0)
    assert nulls(report, "email") == (0, 1, 1)
    assert (report.support, report.predicted, report.wrong, report.missed, report.invented) == (6, 6, 1, 1, 1)
    assert report.precision == pytest.approx(4 / 6)
    assert report.recall == pytest.approx(4 / 6)
    assert report.field_f1 == pytest.approx(4 / 6)
    assert report.field_f1_normalized == pytest.approx(5 / 6)
    assert report.macro_f1 == pytest.approx((1 + 0.5 + 0) / 3)
    assert report.exact_rate == report.exact_rate_normalized == pytest.approx(1 / 3)
    assert report.fields["address"].f1_normalized == 1
    assert report.fields["address"].precision_normalized == report.fields["address"].recall_normalized == 1
    assert (report.valid, report.valid_rate) == (3, 1)
    assert list(report.fields) == ["name", "address", "email"]


def test_precision_and_recall_differ() -> None:
    gold = [Complaint(name="A", address="B", email="C"), Complaint()]
    predictions = [Complaint(name="A"), Complaint()]
    report = evaluate_records(Schema.of(Complaint), gold, predictions)
    assert (report.precision, report.recall, report.field_f1) == (1, pytest.approx(1 / 3), 0.5)
    assert report.exact_rate == 0.5
    assert report.fields["email"].precision == report.fields["email"].f1 == 0


def test_fields_that_never_occur_have_no_scores() -> None:
    report = evaluate_records(Schema.of(Complaint), [Complaint(name="A")], [Complaint(name="A")])
    assert report.fields["email"].f1 is None
    assert report.fields["email"].precision is None
    assert report.fields["name"].f1 == report.macro_f1 == report.field_f1 == 1


def test_nothing_to_find_and_nothing_found() -> None:
    schema = Schema.of(Complaint)
    right = evaluate_records(schema, [Complaint()], [Complaint()])
    assert right.field_f1 == right.precision == right.recall == right.macro_f1 == right.exact_rate == 1
    invented = evaluate_records(schema, [Complaint()], [Complaint(name="A")])
    assert invented.field_f1 == invented.precision == invented.macro_f1 == invented.exact_rate == 0
    assert invented.fields["name"].recall == 0


@pytest.mark.parametrize(
    ("failure", "where"),
    [
        (Failure.INVALID, "invalid"),
        ("invalid", "invalid"),
        (Failure.TRUNCATED, "truncated"),
        ("truncated", "truncated"),
        (Failure.ERROR, "failed"),
        ("error", "failed"),
        (None, "failed"),
    ],
)
def test_a_failed_record_misses_all_its_values(failure: Any, where: str) -> None:
    gold = [Complaint(name="A", address="B"), Complaint(name="C", email="D"), Complaint()]
    report = evaluate_records(Schema.of(Complaint), gold, [gold[0], failure, failure])
    assert counts(report, "name") == (2, 1, 0, 1)
    assert counts(report, "email") == (1, 0, 0, 1)
    assert report.missed == 2
    assert (report.precision, report.recall, report.field_f1) == (1, 0.5, pytest.approx(2 / 3))
    assert report.valid_rate == report.exact_rate == pytest.approx(1 / 3)
    found = {name: getattr(report, name) for name in ("invalid", "truncated", "failed")}
    assert found == {**dict.fromkeys(found, 0), where: 2}


def test_an_unknown_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="oops"):
        evaluate_records(Schema.of(Complaint), [Complaint()], ["oops"])  # type: ignore[list-item]


def test_records_closed_early_are_scored_and_counted() -> None:
    gold = [Complaint(name="A"), Complaint(name="B")]
    report = evaluate_records(Schema.of(Complaint), gold, [gold[0], "truncated"], closed_early=[0, 1])
    assert (report.valid, report.truncated, report.field_f1) == (1, 2, pytest.approx(2 / 3))


def test_a_line_inserted_in_the_middle_costs_that_line_alone() -> None:
    gold = Receipt(company="X", lines=[Line(item="a", total=Decimal(1)), Line(item="b", total=Decimal(2))])
    extra = Line(item="new", total=Decimal(9))
    prediction = gold.model_copy(update={"lines": [gold.lines[0], extra, gold.lines[1]]})
    report = evaluate_records(Schema.of(Receipt), [gold], [prediction])
    assert counts(report, "lines.*.item") == (2, 2, 1, 0)
    assert nulls(report, "lines.*.total") == (0, 0, 1)
    assert counts(report, "currency") == (1, 1, 0, 0)
    assert report.field_f1 == pytest.approx(2 * 6 / (6 + 8))
    back = evaluate_records(Schema.of(Receipt), [prediction], [gold])
    assert nulls(back, "lines.*.item") == (0, 1, 0)
    assert (back.precision, back.recall) == (report.recall, report.precision)


def test_lines_are_paired_by_what_they_share() -> None:
    gold = [Receipt(lines=[Line(item="a", total=Decimal("1.5")), Line(item="b", total=Decimal(2))])]
    prediction = [Receipt(lines=[Line(item="b", total=Decimal(3)), Line(item="a", total=Decimal("1.50"))])]
    report = evaluate_records(Schema.of(Receipt), gold, prediction)
    assert counts(report, "lines.*.item") == (2, 2, 0, 0)
    assert counts(report, "lines.*.total") == (2, 0, 2, 2)
    assert nulls(report, "lines.*.total") == (2, 0, 0)
    assert report.fields["lines.*.total"].tp_normalized == 1
    assert report.exact_rate == 0


def test_defaults_are_values() -> None:
    report = evaluate_records(Schema.of(Receipt), [Receipt()], [Receipt(currency="EUR")])
    assert counts(report, "currency") == (1, 0, 1, 1)


def test_lists_of_scalars_are_multisets() -> None:
    class Tagged(BaseModel):
        tags: list[str]

    schema = Schema.of(Tagged)
    report = evaluate_records(schema, [Tagged(tags=["a", "b", "b"])], [Tagged(tags=["b", "c", "a", "d"])])
    assert counts(report, "tags.*") == (3, 2, 2, 1)
    assert nulls(report, "tags.*") == (1, 0, 1)
    assert score_records(schema, [Tagged(tags=["a", "b"])], [Tagged(tags=["b", "a"])])["exact_rate"] == 1


def test_nested_lists() -> None:
    class Job(BaseModel):
        company: str
        roles: list[str] = []

    class Person(BaseModel):
        jobs: list[Job]

    gold = Person(jobs=[Job(company="A", roles=["x", "y"]), Job(company="B", roles=["z"])])
    prediction = Person(jobs=[Job(company="b", roles=["z", "w"]), Job(company="A", roles=["y"])])
    report = evaluate_records(Schema.of(Person), [gold], [prediction], keep_records=True)
    assert counts(report, "jobs.*.company") == (2, 1, 1, 1)
    assert counts(report, "jobs.*.roles.*") == (3, 2, 1, 1)
    assert nulls(report, "jobs.*.roles.*") == (0, 1, 1)
    assert report.errors is not None
    assert [(e.path, e.kind, e.gold, e.prediction, e.normalized) for e in report.errors] == [
        ("jobs.0.roles.0", "missed", "x", None, False),
        ("jobs.1.company", "wrong", "B", "b", True),
        ("jobs.1.roles.1", "invented", None, "w", False),
    ]


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    amount: int


def test_unions_are_compared_by_their_values() -> None:
    class Order(BaseModel):
        payment: Annotated[Card | Cash, Field(discriminator="kind")]
        weight: int | str

    gold = [Order(payment=Card(number="1"), weight=3), Order(payment=Card(number="1"), weight="3")]
    prediction = [Order(payment=Cash(amount=5), weight="3"), Order(payment=Card(number="2"), weight="3")]
    report = evaluate_records(Schema.of(Order), gold, prediction)
    assert list(report.fields) == ["payment.kind", "payment.number", "payment.amount", "weight"]
    assert counts(report, "payment.kind") == (2, 1, 1, 1)
    assert nulls(report, "payment.number") == (1, 1, 0)
    assert nulls(report, "payment.amount") == (0, 0, 1)
    assert counts(report, "weight") == (2, 1, 1, 1)


def test_a_union_of_value_and_object() -> None:
    class Place(BaseModel):
        where: str | Complaint | None = None

    gold = [Place(where="A"), Place(where=Complaint(name="A", email="E"))]
    prediction = [Place(where=Complaint(name="A")), Place(where=Complaint(name="A"))]
    report = evaluate_records(Schema.of(Place), gold, prediction)
    assert nulls(report, "where") == (0, 1, 0)
    assert counts(report, "where.name") == (1, 1, 1, 0)
    assert nulls(report, "where.email") == (0, 1, 0)


def test_maps_are_compared_by_key() -> None:
    class Sheet(BaseModel):
        values: dict[str, int]

    report = evaluate_records(
        Schema.of(Sheet), [Sheet(values={"a": 1, "b": 2})], [Sheet(values={"b": 2, "c": 1})], keep_records=True
    )
    assert list(report.fields) == ["values.*"]
    assert counts(report, "values.*") == (2, 1, 1, 1)
    assert nulls(report, "values.*") == (0, 1, 1)
    assert report.errors is not None
    assert [(error.path, error.kind) for error in report.errors] == [("values.a", "missed"), ("values.c", "invented")]


def test_tuples_are_compared_by_position() -> None:
    class Point(BaseModel):
        at: tuple[int, int]

    report = evaluate_records(Schema.of(Point), [Point(at=(1, 2))], [Point(at=(2, 1))])
    assert counts(report, "at.0") == counts(report, "at.1") == (1, 0, 1, 1)


def test_a_root_list() -> None:
    gold = [[Complaint(name="A"), Complaint(name="B", email="E")], []]
    prediction = [[Complaint(name="B", email="E")], [Complaint(name="C")]]
    report = evaluate_records(Schema.of(list[Complaint]), gold, prediction)
    assert counts(report, "*.name") == (2, 1, 1, 1)
    assert counts(report, "*.email") == (1, 1, 0, 0)
    assert report.exact_rate == 0


def test_a_root_value() -> None:
    report = evaluate_records(Schema.of(int), [1, 2, 3], [1, 3, "invalid"])
    assert counts(report, "") == (3, 1, 1, 2)
    assert "(value)" in str(report)


def test_a_string_schema_takes_strings_for_values() -> None:
    report = evaluate_records(Schema.of(str), ["invalid", "error"], ["invalid", Failure.ERROR])
    assert (report.valid, report.failed, report.exact_rate) == (1, 1, 0.5)


def test_a_nullable_schema_takes_none_for_a_value() -> None:
    schema: Schema[Any] = Schema.of(Complaint | None)
    report = evaluate_records(schema, [None, Complaint(name="A")], [None, None])
    assert (report.valid, report.exact_rate, report.missed) == (2, 0.5, 1)


class Node(BaseModel):
    name: str
    children: list[Node] = []


def test_recursive_records_add_paths_as_deep_as_they_go() -> None:
    gold = Node(name="a", children=[Node(name="b", children=[Node(name="c")])])
    prediction = Node(name="a", children=[Node(name="b", children=[Node(name="x")])])
    report = evaluate_records(Schema.of(Node), [gold], [prediction])
    assert list(report.fields) == ["name", "children.*.name", "children.*.children.*.name"]
    assert nulls(report, "children.*.children.*.name") == (1, 0, 0)


class Level(Enum):
    LOW = "low"
    HIGH = "HIGH"


def test_values_are_compared_as_the_schema_reads_them() -> None:
    class Typed(BaseModel):
        level: Level
        at: datetime
        ratio: float

    gold = Typed(level=Level.LOW, at=datetime.fromisoformat("2024-05-01T14:00:00+02:00"), ratio=1)
    prediction = Typed(level=Level.HIGH, at=datetime.fromisoformat("2024-05-01T12:00:00Z"), ratio=1.0)
    report = evaluate_records(Schema.of(Typed), [gold], [prediction])
    assert report.fields["level"].f1_normalized == 0
    assert (report.fields["at"].f1, report.fields["at"].f1_normalized) == (0, 1)
    assert report.fields["ratio"].f1 == 1


def test_aliases_do_not_change_paths() -> None:
    class Aliased(BaseModel):
        full_name: str = Field(alias="fullName")

    one, other = Aliased(fullName="A"), Aliased(fullName="B")
    assert counts(evaluate_records(Schema.of(Aliased), [one], [other]), "full_name") == (1, 0, 1, 1)


def test_values_that_stand_nowhere_are_counted() -> None:
    gold = [Complaint(name="龙琳", address="城东 林街", email=None)]
    predictions = [Complaint(name="龙 琳", address="城西", email="x@y.z")]
    report = evaluate_records(Schema.of(Complaint), gold, predictions, texts=["龙琳，城东\n林街，X@Y.Z"])
    assert [report.fields[path].ungrounded for path in report.fields] == [0, 1, 0]
    assert report.ungrounded == 1
    assert "ungrounded" in str(report)
    assert evaluate_records(Schema.of(Complaint), gold, predictions).ungrounded is None


def test_numbers_and_choices_are_not_looked_up() -> None:
    class Order(BaseModel):
        amount: Decimal
        level: Level

    order = Order(amount=Decimal("12.50"), level=Level.LOW)
    assert evaluate_records(Schema.of(Order), [order], [order], texts=["twelve and a half, not much"]).ungrounded == 0


def test_what_cannot_be_scored_is_refused() -> None:
    schema = Schema.of(Complaint)
    with pytest.raises(DatasetError, match="at least one record"):
        evaluate_records(schema, [], [])
    with pytest.raises(DatasetError, match="as many predictions as gold records \\(1\\), found 0"):
        score_records(schema, [Complaint()], [])
    with pytest.raises(DatasetError, match="as many texts"):
        evaluate_records(schema, [Complaint()], [Complaint()], texts=[])
    with pytest.raises(DatasetError, match="texts to keep"):
        evaluate_records(schema, [Complaint()], [Complaint()], keep_texts=True)


def test_the_light_variant_gives_the_reports_numbers() -> None:
    gold = [Complaint(name="A", address="B"), Complaint(name="C"), Complaint(email="D")]
    predictions = [Complaint(name="a", address="X"), None, Complaint(email="D")]
    report = evaluate_records(Schema.of(Complaint), gold, predictions)
    assert score_records(Schema.of(Complaint), gold, predictions) == report.metrics()
