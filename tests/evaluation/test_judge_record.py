"""Which values of a prediction are right, each under its path in the prediction."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.evaluation import evaluate_records, judge_record
from extractft.schema import Schema


class Line(BaseModel):
    item: str
    price: int | None = None


class Order(BaseModel):
    name: str | None = None
    lines: list[Line] = []
    notes: dict[str, str] = {}
    tags: list[list[str]] = []


SCHEMA = Schema.of(Order)
WORDS = st.sampled_from(["a", "b", "A"])
LINES = st.lists(st.builds(Line, item=WORDS, price=st.none() | st.integers(0, 2)), max_size=4)
ORDERS = st.builds(
    Order,
    name=st.none() | WORDS,
    lines=LINES,
    notes=st.dictionaries(st.sampled_from(list(string.ascii_lowercase[:3])), WORDS, max_size=2),
    tags=st.lists(st.lists(WORDS, max_size=3), max_size=3),
)


def test_items_are_right_at_another_position_too() -> None:
    gold = Order(name="a", lines=[Line(item="tea", price=1), Line(item="cake", price=2)], notes={"x": "y"})
    prediction = Order(
        lines=[Line(item="cake", price=2), Line(item="tea", price=9), Line(item="pie")], notes={"z": "y"}
    )
    assert judge_record(SCHEMA, gold, prediction)[0] == {
        "lines.0.item": True,
        "lines.0.price": True,
        "lines.1.item": True,
        "lines.1.price": False,
        "lines.2.item": False,
        "notes.z": False,
    }


@settings(max_examples=150, deadline=None)
@given(ORDERS, ORDERS)
def test_they_add_up_to_what_the_report_counts(gold: Order, prediction: Order) -> None:
    judged = judge_record(SCHEMA, gold, prediction)[0]
    report = evaluate_records(SCHEMA, [gold], [prediction], resamples=2)
    assert len(judged) == report.predicted
    assert sum(judged.values()) == sum(scores.tp for scores in report.fields.values())
    value: Any = SCHEMA.full_value(prediction)
    for path in judged:
        at = value
        for part in path.split("."):
            at = at[int(part)] if isinstance(at, list) else at[part]
        assert at is not None
        assert not isinstance(at, dict | list)
