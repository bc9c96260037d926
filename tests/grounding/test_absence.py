"""Examples of absence: what is cut, what is left, and where nothing may be cut."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

from extractft.data import Example
from extractft.grounding import absence_examples, ground
from extractft.schema import Schema


class Booking(BaseModel):
    restaurant: str
    city: str | None = None
    guests: int | None = None


class Line(BaseModel):
    item: str
    note: str | None = None


class Order(BaseModel):
    customer: str
    lines: list[Line] = Field(default_factory=list)
    day: date | None = None


def made(type_: Any, text: str, output: Any, count: int = 9) -> list[tuple[str, Any]]:
    """The texts made from one example, with their canonical records."""
    schema: Schema[Any] = Schema.of(type_)
    examples = absence_examples([Example(text, schema.parse_value(output))], schema, count=count, seed=0)
    assert all(index == 0 for index, _ in examples)
    return [(example.text, schema.canonical_value(example.output)) for _, example in examples]


@pytest.mark.parametrize(
    ("text", "city", "left"),
    [
        ("Book Roma in Bari for 2", "Bari", "Book Roma in for 2"),
        ("Roma, Bari, 2", "Bari", "Roma, 2"),
        ("Bari, Roma, 2", "Bari", "Roma, 2"),
        ("Roma，2位，巴里。", "巴里", "Roma，2位。"),
        ("Roma，2位，巴里", "巴里", "Roma，2位"),
        ("2 at Roma. Bari. Thanks.", "Bari", "2 at Roma. Thanks."),
        ("Bari! Roma for 2 in Bari", "Bari", "! Roma for 2 in"),
    ],
)
def test_the_value_is_cut_everywhere_and_no_sign_is_left_over(text: str, city: str, left: str) -> None:
    found = made(Booking, text, {"restaurant": "Roma", "city": city, "guests": 2})
    assert (left, {"restaurant": "Roma", "guests": 2}) in found


def test_numbers_dates_and_whole_lists_are_cut_as_the_text_spells_them() -> None:
    text = "Acme orders 2 lamps (blue) and desks on 1 May 2024"
    output = {"customer": "Acme", "lines": [{"item": "lamps", "note": "blue"}, {"item": "desks"}], "day": "2024-05-01"}
    found = dict(made(Order, text, output))
    assert found["Acme orders 2 lamps (blue) and desks on"] == {k: v for k, v in output.items() if k != "day"}
    assert found["Acme orders 2 () and on 1 May 2024"] == {
        "customer": "Acme",
        "day": "2024-05-01",
    }
    assert found["Acme orders 2 lamps () and desks on 1 May 2024"]["lines"] == [{"item": "lamps"}, {"item": "desks"}]


def test_nothing_is_cut_where_that_might_not_be_true() -> None:
    assert made(Booking, "Roma in Bari", {"restaurant": "Roma", "city": "Bologna"}) == []  # not in the text
    assert made(Booking, "Bari Roma", {"restaurant": "Bari Roma", "city": "Bari"}) == []  # within another value
    assert made(Booking, "Bari", {"restaurant": "Roma", "city": "Bari"}) == []  # nothing would be left
    assert made(Booking, "Roma", {"restaurant": "Roma"}) == []  # nothing to cut, and what is required stays


def test_fields_that_are_inferred_are_not_cut() -> None:
    class Tone(Enum):
        ANGRY = "angry"

    class Letter(BaseModel):
        name: str
        tone: Tone | None = None

    assert made(Letter, "Kim is not amused", {"name": "Kim", "tone": "angry"}) == []


def test_what_a_validator_asks_for_stays() -> None:
    class Contact(BaseModel):
        name: str
        email: str | None = None
        phone: str | None = None

        @model_validator(mode="after")
        def reachable(self) -> Contact:
            if self.email is None and self.phone is None:
                raise ValueError("no way to reach them")
            return self

    assert made(Contact, "Kim, 555", {"name": "Kim", "phone": "555"}) == []
    assert len(made(Contact, "Kim, 555, k@x.org", {"name": "Kim", "phone": "555", "email": "k@x.org"})) == 2


def test_the_default_stands_for_what_is_absent() -> None:
    class Price(BaseModel):
        amount: int
        currency: Annotated[str, Field()] = "USD"

    assert made(Price, "5 EUR", {"amount": 5, "currency": "EUR"}) == [("5", {"amount": 5})]
    assert made(Price, "5 USD", {"amount": 5, "currency": "USD"}) == []


def test_fields_that_are_always_filled_come_first_and_the_number_is_kept() -> None:
    schema: Schema[Booking] = Schema.of(Booking)
    rows = [Example(f"Roma{i} in Bari", Booking(restaurant=f"Roma{i}", city="Bari")) for i in range(20)]
    rows += [Example("Roma for 7 in Bari", Booking(restaurant="Roma", city="Bari", guests=7))]
    found = absence_examples(rows, schema, count=5, seed=3)
    assert len(found) == 5
    assert all(example.output.city is None for _, example in found)
    assert len({index for index, _ in found}) == 5
    assert all(rows[index].output.restaurant == example.output.restaurant for index, example in found)
    assert found == absence_examples(rows, schema, count=5, seed=3)
    assert found != absence_examples(rows, schema, count=5, seed=4)


def test_texts_that_no_extractor_reads_are_passed_over() -> None:
    assert made(Booking, "Roma \ud800 Bari", {"restaurant": "Roma", "city": "Bari"}) == []


@given(st.lists(st.sampled_from(["Roma", "Bari", "2", ",", " ", "。", "in", "Romano", "22"]), max_size=12))
def test_what_is_left_holds_all_else_and_nothing_of_what_was_cut(parts: list[str]) -> None:
    text = "".join(parts)
    schema: Schema[Booking] = Schema.of(Booking)
    record = Booking(restaurant="Roma", city="Bari", guests=2)
    before = ground(schema, schema.canonical_value(record), text)
    for _, example in absence_examples([Example(text, record)], schema, count=3, seed=0):
        after = ground(schema, schema.full_value(record), example.text)
        gone = {name for name in ("city", "guests") if getattr(example.output, name) is None}
        assert len(gone) == 1
        assert all(not after[name] for name in gone)
        assert all(bool(after[name]) == bool(before[name]) for name in before if name not in gone)
        assert len(example.text) < len(text)


def test_fields_within_maps_and_tuples_stay() -> None:
    class Shelf(BaseModel):
        boxes: dict[str, Line] = Field(default_factory=dict)
        pair: tuple[Line, int] | None = None

    output = {"boxes": {"left": {"item": "tea", "note": "green"}}, "pair": [{"item": "milk", "note": "cold"}, 7]}
    texts = [text for text, _ in made(Shelf, "left: tea green; milk cold 7", output)]
    assert all(("tea" in text) == ("green" in text) for text in texts)
    assert all(("milk" in text) == ("cold" in text) for text in texts)
