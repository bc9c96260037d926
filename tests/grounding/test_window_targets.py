"""A record divided among the windows of its text: true to each, and merged again the record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from extractft.errors import PromptError
from extractft.grounding import Window, ground, merge, split_text, window_targets
from extractft.schema import MISSING, Merge, Schema


class Item(BaseModel):
    name: str
    price: int | None = None
    kind: Literal["new", "used"] = "new"


class Buyer(BaseModel):
    name: str | None = None
    phone: str | None = None


class Order(BaseModel):
    number: str | None = None
    urgent: bool = False
    buyer: Buyer = Buyer()
    items: list[Item] = []
    tags: list[str] = []
    notes: dict[str, str] = {}


ORDER = Schema.of(Order)
FULL = Schema.of(Order, omit_defaults=False)
FILLER = "Nothing to see on this line, go on.\n"


def halves(*parts: str) -> tuple[str, list[Window]]:
    """A text of parts, each a window of its own."""
    windows, start = [], 0
    for part in parts:
        windows.append(Window(start, start + len(part)))
        start += len(part)
    return "".join(parts), windows


def targets(schema: Schema[Any], record: Any, *parts: str) -> tuple[list[Any], tuple[str, ...]]:
    text, windows = halves(*parts)
    found = window_targets(schema, schema.canonical_value(record), text, windows)
    return list(found.values), found.lost


def test_values_are_where_they_stand() -> None:
    record = Order(number="A-17", buyer=Buyer(phone="555-0199"), tags=["fragile", "heavy"])
    values, lost = targets(ORDER, record, "Order A-17, fragile.\n", FILLER, "Call 555-0199. A-17 is heavy.\n")
    assert values == [
        {"number": "A-17", "tags": ["fragile"]},
        {},
        {"number": "A-17", "buyer": {"phone": "555-0199"}, "tags": ["heavy"]},
    ]
    assert lost == ()


def test_the_full_form_spells_what_is_absent() -> None:
    values, _ = targets(FULL, Order(number="A-17", tags=["heavy"]), "Order A-17\n", "heavy\n")
    empty = FULL.canonical_value(Order())
    assert values == [{**empty, "number": "A-17"}, {**empty, "tags": ["heavy"]}]


def test_items_go_as_they_are_and_small_numbers_once() -> None:
    record = Order(items=[Item(name="Lamp", price=7, kind="used"), Item(name="Desk", price=9)])
    values, lost = targets(ORDER, record, "7 things of 9: Lamp for 7 euro\n", "or 7: Desk for 9 euro\n")
    assert values == [
        {"items": [{"name": "Lamp", "price": 7, "kind": "used"}]},
        {"items": [{"name": "Desk", "price": 9}]},
    ]
    assert lost == ()


def test_an_item_at_the_edge_is_as_much_as_is_seen_of_it() -> None:
    record = Order(items=[Item(name="Lamp", price=7000)])
    assert targets(ORDER, record, "Lamp ", "for 7000 euro\n") == (
        [{"items": [{"name": "Lamp"}]}, {}],
        ("items.*.price",),
    )


def test_values_twice_in_a_list_stand_once_each() -> None:
    values, _ = targets(ORDER, Order(tags=["heavy", "heavy"]), "heavy\n", "heavy\n")
    assert values == [{"tags": ["heavy"]}, {"tags": ["heavy"]}]


def test_what_stands_nowhere_is_lost_and_a_choice_is_everywhere() -> None:
    record = Order(number="made up", urgent=True, notes={"secret key": "made up, too"})
    values, lost = targets(ORDER, record, "It has to be quick.\n", FILLER)
    assert values == [{"urgent": True}, {"urgent": True}]
    assert lost == ("number", "notes.*")


def test_what_stands_nowhere_goes_with_its_object() -> None:
    record = Order(buyer=Buyer(name="Ann Lee", phone="not said"))
    assert targets(ORDER, record, FILLER, "Ann Lee bought it.\n") == (
        [{}, {"buyer": {"name": "Ann Lee", "phone": "not said"}}],
        (),
    )


class Strict(BaseModel):
    number: str
    items: list[Item] = []


def test_a_window_without_a_required_field_has_no_record() -> None:
    record = Strict(number="A-17", items=[Item(name="Lamp"), Item(name="Desk")])
    values, lost = targets(Schema.of(Strict), record, "Order A-17: Lamp,\n", "Desk\n")
    assert values == [{"number": "A-17", "items": [{"name": "Lamp"}]}, MISSING]
    assert lost == ()


class Checked(BaseModel):
    low: int | None = None
    high: int | None = None

    @model_validator(mode="after")
    def both(self) -> Checked:
        if (self.low is None) is not (self.high is None):
            raise IndexError
        return self


def test_validators_say_what_is_a_record() -> None:
    values, lost = targets(
        Schema.of(Checked), Checked(low=1111, high=2222), "from 1111 ", "to 2222 ", "at most 1111 to 2222"
    )
    assert values == [MISSING, MISSING, {"low": 1111, "high": 2222}]
    assert lost == ()


class Card(BaseModel):
    type: Literal["card"]
    holder: str
    digits: str | None = None


class Cash(BaseModel):
    type: Literal["cash"]


class Rules(BaseModel):
    payment: Card | Cash | None = None
    size: tuple[int, int] | None = None
    parts: Annotated[list[str], Merge("error")] = []
    first: Annotated[Buyer, Merge("first")] = Buyer()


def test_what_is_merged_whole_is_whole_or_not_there() -> None:
    record = Rules(
        payment=Card(type="card", holder="Ann Lee", digits="4711"), size=(1200, 3400), parts=["axle", "bolt"]
    )
    schema = Schema.of(Rules)
    values, lost = targets(schema, record, "Ann Lee, 1200 axle", " 4711 3400 bolt\n")
    assert values == [{}, {}]
    assert lost == ("payment.type", "payment.holder", "payment.digits", "size.*", "parts.*")
    whole, lost = targets(schema, record, FILLER, "Ann Lee, card 4711, 1200 by 3400, axle and bolt\n", "Ann Lee\n")
    assert whole == [{}, schema.canonical_value(record), {}]
    assert lost == ()


class Node(BaseModel):
    name: str
    children: list[Node] = []


def test_other_roots() -> None:
    tree = Node(name="Root", children=[Node(name="Leaf", children=[Node(name="Twig")])])
    values, _ = targets(Schema.of(Node), tree, "Root has Leaf with Twig\n", "Twig of Leaf, Leaf of Root\n")
    assert values[0] == Schema.of(Node).canonical_value(tree)
    listed, _ = targets(Schema.of(list[Item]), [Item(name="Lamp"), Item(name="Desk")], "Lamp\n", FILLER, "Desk\n")
    assert listed == [[{"name": "Lamp"}], [], [{"name": "Desk"}]]
    assert targets(Schema.of(dict[str, str]), {"a": "Lamp", "b": "Desk"}, "Lamp\n", "Desk\n")[0] == [
        {"a": "Lamp"},
        {"b": "Desk"},
    ]
    assert targets(Schema.of(Literal["good", "bad"]), "good", "nice\n", "fine\n")[0] == ["good", "good"]


WORDS = st.lists(st.integers(0, 9999).map("W{:04d}x".format), unique=True, max_size=6)


@given(data=st.data(), limit=st.integers(120, 400), full=st.booleans())
def test_merged_again_it_is_the_record(data: st.DataObject, limit: int, full: bool) -> None:
    """Whatever stands apart from everything else, and within the overlap of two windows, is not lost."""
    names, tags, keys = data.draw(WORDS), data.draw(WORDS), data.draw(WORDS)
    tags = [tag.replace("W", "T") for tag in tags]
    notes = {key: f"N{key}" for key in keys}
    items = [Item(name=name, price=data.draw(st.none() | st.integers(10_000, 99_999))) for name in names]
    record = Order(
        number=data.draw(st.none() | st.just("A-4711")),
        urgent=data.draw(st.booleans()),
        buyer=Buyer(name=data.draw(st.none() | st.just("Ann Lee"))),
        items=items,
        tags=tags,
        notes=notes,
    )
    lines = [f"item {item.name} {'' if item.price is None else item.price}\n" for item in items]
    lines += [f"tag {tag}\n" for tag in tags] + [f"note {note}\n" for note in notes.values()]
    lines += [f"number {record.number}\n"] * (record.number is not None) + ["buyer Ann Lee\n"] * bool(record.buyer.name)
    text = FILLER + "".join(line + FILLER * data.draw(st.integers(0, 3)) for line in lines)
    schema = FULL if full else ORDER
    windows = split_text(text, size=len, limit=limit, overlap=60)
    value = schema.canonical_value(record)
    found = window_targets(schema, value, text, windows)
    assert found.lost == ()
    assert MISSING not in found.values
    spans = [ground(schema, v, text[w.start : w.end]) for w, v in zip(windows, found.values, strict=True)]
    assert merge(schema, found.values, spans=spans).value == value
    for window, part in zip(windows, found.values, strict=True):
        piece = text[window.start : window.end]
        assert all(item["name"] in piece for item in part.get("items", ()))
        assert all(tag in piece for tag in part.get("tags", ()))
        assert all(note in piece for note in part.get("notes", {}).values())
        if part.get("number") is not None:
            assert part["number"] in piece


def test_a_text_that_no_extractor_reads() -> None:
    with pytest.raises(PromptError):
        targets(ORDER, Order(), "\ud800")
