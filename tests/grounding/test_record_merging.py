from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.errors import ExtractionError, MergeConflictError
from extractft.grounding import Span, ValueSource, Window, ground, merge, merge_records, merge_spans
from extractft.schema import Merge, Schema


class Item(BaseModel):
    name: str
    price: Decimal | None = None


class Pickup(BaseModel):
    kind: Literal["pickup"]
    store: str


class Courier(BaseModel):
    kind: Literal["courier"]
    address: str
    phone: str | None = None


class Buyer(BaseModel):
    name: str | None = None
    phone: str | None = None


class Order(BaseModel):
    number: str
    day: date | None = None
    urgent: bool = False
    buyer: Buyer = Buyer()
    items: list[Item] = []
    tags: set[str] = set()
    delivery: Pickup | Courier | None = None
    notes: dict[str, str] = {}
    size: tuple[int, int] | None = None


ORDER = Schema.of(Order)


def sources(path: str, *found: tuple[int, str]) -> dict[str, tuple[ValueSource, ...]]:
    return {path: tuple(ValueSource(window, at) for window, at in found)}


def test_scalars_take_the_first_value_that_says_something() -> None:
    merged = merge(ORDER, [{"number": "A1"}, {"number": "A1", "day": "2024-05-01"}, {"number": "B2", "urgent": True}])
    assert merged.value == {"number": "A1", "day": "2024-05-01", "urgent": True}
    assert merged.sources == {
        **sources("number", (0, "number"), (1, "number")),
        **sources("day", (1, "day")),
        **sources("urgent", (2, "urgent")),
    }
    assert merge_records(ORDER, [{"number": "A1"}]) == {"number": "A1"}


def test_a_value_without_a_place_gives_way_to_one_that_has_one() -> None:
    values = [{"number": "X"}, {"number": "A1"}]
    spans: list[dict[str, list[Span]]] = [{"number": []}, {"number": [Span(0, 2, "exact")]}]
    merged = merge(ORDER, values, spans=spans)
    assert merged.value == {"number": "A1"}
    assert merged.sources == sources("number", (1, "number"))
    assert merge(ORDER, values, spans=[{"number": []}, {"number": []}]).value == {"number": "X"}


def test_nulls_and_defaults_say_nothing_in_the_full_form_either() -> None:
    full = Schema.of(Order, omit_defaults=False)
    base = full.canonical_value(Order(number="A1"))
    other = full.canonical_value(Order(number="A1", urgent=True, tags={"x"}, buyer=Buyer(phone="1")))
    merged = merge_records(full, [base, other, base])
    assert merged == other
    assert list(merged) == list(base)
    assert full.canonical_value(full.parse_value(merged)) == merged


def test_objects_are_merged_field_by_field() -> None:
    merged = merge(ORDER, [{"number": "1", "buyer": {"name": "Ann"}}, {"number": "1", "buyer": {"phone": "7"}}])
    assert merged.value["buyer"] == {"name": "Ann", "phone": "7"}
    assert merged.sources["buyer.phone"] == (ValueSource(1, "buyer.phone"),)


def test_unions_and_tuples_are_taken_whole() -> None:
    first = {"kind": "courier", "address": "Elm Street"}
    second = {"kind": "courier", "address": "Oak Street", "phone": "7"}
    merged = merge(
        ORDER,
        [{"number": "1"}, {"number": "1", "delivery": first}, {"number": "1", "delivery": second, "size": [1, 2]}],
    )
    assert merged.value["delivery"] == first
    assert merged.value["size"] == [1, 2]
    assert merged.sources["size.1"] == (ValueSource(2, "size.1"),)


def test_maps_are_merged_by_key() -> None:
    merged = merge(ORDER, [{"number": "1", "notes": {"a": "x"}}, {"number": "1", "notes": {"b": "y", "a": "z"}}])
    assert merged.value["notes"] == {"a": "x", "b": "y"}
    assert merged.sources["notes.b"] == (ValueSource(1, "notes.b"),)

    class Choices(BaseModel):
        votes: dict[Literal["no", "yes"], int]

    value = merge_records(Schema.of(Choices), [{"votes": {"yes": 2}}, {"votes": {"no": 1}}])
    assert list(value["votes"]) == ["no", "yes"]


def names(*items: str) -> dict[str, Any]:
    return {"number": "1", "items": [{"name": name} for name in items]}


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (["ab", "bc"], "abc"),
        (["aa", "ab"], "aab"),  # a true repeat stays, the overlap counts once
        (["a", "aa"], "aa"),
        (["ac", "bc"], "abc"),  # what the first window missed in the overlap comes where it stands
        (["abc", "bcd", "de"], "abcde"),
        (["ab", "", "b"], "ab"),
        (["ab", "ba"], "ab"),
        (["", "x"], "x"),
    ],
)
def test_lists_are_joined_in_the_order_of_the_text(windows: list[str], expected: str) -> None:
    merged = merge_records(ORDER, [names(*window) for window in windows])
    assert [item["name"] for item in merged["items"]] == list(expected)


def test_sources_of_items_name_every_window_that_has_them() -> None:
    merged = merge(ORDER, [names("a", "b"), names("b", "c")])
    assert merged.sources["items.0.name"] == (ValueSource(0, "items.0.name"),)
    assert merged.sources["items.1.name"] == (ValueSource(0, "items.1.name"), ValueSource(1, "items.0.name"))
    assert merged.sources["items.2.name"] == (ValueSource(1, "items.1.name"),)


def test_an_item_cut_off_at_the_edge_gives_way_to_the_whole_one() -> None:
    tea, whole = {"name": "tea"}, {"name": "tea", "price": "3"}
    cup = {"name": "cup"}
    at_the_end = merge(ORDER, [{"number": "1", "items": [cup, tea]}, {"number": "1", "items": [whole]}])
    assert at_the_end.value["items"] == [cup, whole]
    assert at_the_end.sources["items.1.name"] == (ValueSource(0, "items.1.name"), ValueSource(1, "items.0.name"))
    assert at_the_end.sources["items.1.price"] == (ValueSource(1, "items.0.price"),)
    at_the_beginning = merge(ORDER, [{"number": "1", "items": [cup, whole]}, {"number": "1", "items": [tea, cup]}])
    assert at_the_beginning.value["items"] == [cup, whole]
    within = merge_records(ORDER, [{"number": "1", "items": [tea, cup]}, {"number": "1", "items": [whole, cup]}])
    assert within["items"] == [tea, whole, cup], "an item in the middle of a window was not cut off"


def test_sets_have_every_item_once_and_are_sorted() -> None:
    merged = merge(ORDER, [{"number": "1", "tags": ["b", "d"]}, {"number": "1", "tags": ["a", "b"]}])
    assert merged.value["tags"] == ["a", "b", "d"]
    assert merged.sources["tags.1"] == (ValueSource(0, "tags.0"), ValueSource(1, "tags.1"))
    assert ORDER.canonical_value(ORDER.parse_value(merged.value)) == merged.value


def test_roots_of_other_kinds() -> None:
    lists = Schema.of(list[Item])
    assert merge_records(lists, [[{"name": "a"}], [], [{"name": "a"}, {"name": "b"}]]) == [{"name": "a"}, {"name": "b"}]
    union = Schema.of(Pickup | Courier)
    pickup = {"kind": "pickup", "store": "x"}
    assert merge(union, [pickup, pickup]).sources["store"] == (ValueSource(0, "store"), ValueSource(1, "store"))
    assert merge_records(Schema.of(Optional[Item]), [None, {"name": "a"}]) == {"name": "a"}  # noqa: UP045
    assert merge_records(Schema.of(Optional[Item]), [None, None]) is None  # noqa: UP045
    number = merge(Schema.of(int), [3, 3])
    assert (number.value, number.sources) == (3, sources("", (0, ""), (1, "")))


def test_recursive_models() -> None:
    class Part(BaseModel):
        name: str
        parts: list[Part] = []

    Part.model_rebuild(_types_namespace={"Part": Part})
    leg = {"name": "leg"}
    merged = merge_records(Schema.of(Part), [{"name": "desk", "parts": [leg]}, {"name": "desk", "parts": [leg, leg]}])
    assert merged == {"name": "desk", "parts": [leg, leg]}


class Ruled(BaseModel):
    total: Annotated[Decimal | None, Merge("error")] = None
    lines: Annotated[list[str], Merge("first")] = []
    buyer: Annotated[Buyer, Merge("first")] = Buyer()
    names: Annotated[list[str] | None, Merge("error")] = None
    by_key: dict[str, Buyer] = {}


RULED = Schema.of(Ruled)


def test_first_takes_a_field_whole() -> None:
    values = [{"lines": ["a"], "buyer": {"name": "Ann"}}, {"lines": ["b"], "buyer": {"phone": "7"}}]
    assert merge_records(RULED, values) == values[0]


def test_error_raises_when_windows_disagree() -> None:
    assert merge_records(RULED, [{}, {"total": "3"}, {"total": "3"}]) == {"total": "3"}
    with pytest.raises(MergeConflictError, match="total: expected windows that agree") as caught:
        merge(RULED, [{}, {"total": "31"}, {"total": "47"}], text="secret 31 47")
    error = caught.value
    assert isinstance(error, ExtractionError)
    assert (error.path, error.windows, error.text) == ("total", (1, 2), "secret 31 47")
    assert not any(word in str(error) for word in ("secret", "31", "47"))
    with pytest.raises(MergeConflictError):
        merge_records(RULED, [{"names": ["a"]}, {"names": ["b"]}])


def test_errors_do_not_name_keys_that_are_data() -> None:
    class Inner(BaseModel):
        total: Annotated[int | None, Merge("error")] = None

    class Outer(BaseModel):
        people: dict[str, Inner]

    with pytest.raises(MergeConflictError) as caught:
        merge_records(Schema.of(Outer), [{"people": {"Ann": {"total": 1}}}, {"people": {"Ann": {"total": 2}}}])
    assert caught.value.path == "people.*.total"
    assert "Ann" not in str(caught.value)


def test_nothing_to_merge_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected values"):
        merge(ORDER, [])
    with pytest.raises(ValueError, match="as many spans"):
        merge(ORDER, [{"number": "1"}], spans=[])


def test_spans_of_the_whole_text() -> None:
    text = "order A1: tea 3.50, cup 2.00. plate 4.00, order A1"
    windows = [Window(0, 29), Window(20, len(text))]
    values = [
        {"number": "A1", "items": [{"name": "tea", "price": "3.50"}, {"name": "cup", "price": "2.00"}]},
        {"number": "A1", "items": [{"name": "cup", "price": "2.00"}, {"name": "plate", "price": "4.00"}]},
    ]
    spans = [ground(ORDER, value, text[w.start : w.end]) for value, w in zip(values, windows, strict=True)]
    merged = merge(ORDER, values, spans=spans)
    lifted = merge_spans(merged.sources, windows, spans)
    leaves = {"number": "A1", **{f"items.{i}.name": name for i, name in enumerate(("tea", "cup", "plate"))}}
    for path, value in leaves.items():
        assert text[lifted[path][0].start : lifted[path][0].end] == value
    assert [(span.start, span.end) for span in lifted["number"]] == [(6, 8), (48, 50)]
    assert [(span.start, span.end) for span in lifted["items.1.name"]] == [(20, 23)], "the overlap counts once"
    assert lifted.keys() == ground(ORDER, merged.value, text).keys()


def test_what_is_only_similar_comes_after_what_is_the_same() -> None:
    found = {"a": (ValueSource(0, "a"), ValueSource(1, "a"))}
    spans = [{"a": [Span(0, 3, "fuzzy", 0.9)]}, {"a": [Span(1, 4, "exact"), Span(5, 8, "exact")]}]
    lifted = merge_spans(found, [Window(0, 10), Window(8, 20)], spans)
    assert [(span.start, span.method) for span in lifted["a"]] == [(9, "exact"), (0, "fuzzy"), (13, "exact")]


words = st.text("abc", max_size=6)


@given(st.lists(words, min_size=1, max_size=5))
def test_no_item_is_lost_or_made_up(windows: list[str]) -> None:
    merged = merge(ORDER, [names(*window) for window in windows])
    joined = [item["name"] for item in merged.value.get("items", [])]
    for name in "abc":
        assert joined.count(name) == max(window.count(name) for window in windows)
    for path, found in merged.sources.items():
        for source in found:
            if path.startswith("items."):
                index, at = int(path.split(".")[1]), int(source.path.split(".")[1])
                assert windows[source.window][at] == joined[index]
    every = {(window, f"items.{at}.name") for window, text in enumerate(windows) for at in range(len(text))}
    listed = [
        (source.window, source.path)
        for path, found in merged.sources.items()
        if path.startswith("items.")
        for source in found
    ]
    assert sorted(listed) == sorted(every), "every item of every window is a source once"


@given(st.lists(st.sampled_from("abcdefgh"), unique=True), st.integers(1, 4), st.integers(0, 3))
def test_windows_over_a_text_give_the_text_back(items: list[str], length: int, overlap: int) -> None:
    overlap = min(overlap, length - 1)
    windows = [items[start : start + length] for start in range(0, max(1, len(items)), length - overlap)]
    merged = merge_records(ORDER, [names(*window) for window in windows])
    assert [item["name"] for item in merged.get("items", [])] == items


def test_merging_one_window_changes_nothing() -> None:
    record = Order(number="1", items=[Item(name="a", price=Decimal("1.50"))] * 2, tags={"b", "a"}, notes={"k": "v"})
    value = ORDER.canonical_value(record)
    merged = merge(ORDER, [value])
    assert merged.value == value
    assert all(found == (ValueSource(0, path),) for path, found in merged.sources.items())
