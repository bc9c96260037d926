"""`ground` and what it is made of take time that grows with the text and the record alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import AnyUrl, BaseModel

from timing import assert_growth, assert_within

sys.path.insert(0, str(Path(__file__).parents[1] / "text"))

from hostile import LENGTH, MOST, assert_bounded, hostile_text

from extractft.errors import InputTooLongError
from extractft.grounding import ground, merge, split_text
from extractft.grounding.fuzzy_search import find_similar
from extractft.schema import Schema
from extractft.text import normalize_text
from extractft.text.folding import fold, fold_value


class Everything(BaseModel):
    number: int = 5
    text: str = "x"
    long: str = "x"
    day: date = date(2024, 5, 1)
    moment: datetime = datetime(2024, 5, 1, 15, 30)
    clock: time = time(15, 30)
    length: timedelta = timedelta(hours=1)
    decimal: Decimal = Decimal("1.5")
    kind: Literal["urgent", "low"] = "urgent"
    link: AnyUrl = AnyUrl("https://example.com/a")
    phone: str = "1 " * 25 + "2"
    address: str = "Main Street 13"


EVERYTHING = Schema.of(Everything, omit_defaults=False)
STRINGS: Schema[Any] = Schema.of(list[str])
NUMBERS: Schema[Any] = Schema.of(list[int])


def ground_everything(text: str) -> None:
    value = EVERYTHING.canonical_value(Everything()) | {"text": text[2:302] + "q", "long": text[2:2002]}
    spans = ground(EVERYTHING, value, text)
    assert all(0 <= span.start < span.end <= len(text) for found in spans.values() for span in found)


def split(text: str) -> None:
    try:
        split_text(text, size=len, limit=500, overlap=50)
    except InputTooLongError:
        assert "\u0301" in text or "\u0300" in text or not text.isascii()  # one cluster of thousands of characters


def similar(size: int, text: str) -> None:
    find_similar(fold(text), fold_value(text[2 : size + 2])[:-3] + "qqq")


def test_all_of_a_record() -> None:
    normalize_text("e\u0301")
    assert_bounded(ground_everything)


def test_windows() -> None:
    assert_bounded(split)


@pytest.mark.parametrize("size", [20, 200, 500])
def test_similar_places(size: int) -> None:
    assert_bounded(lambda text: similar(size, text))


@pytest.mark.parametrize("part", ["1", "1:", "1 ", "a", "\u0315\u0300", "1/2/2024 ", "万"])
def test_a_hundred_thousand_characters(part: str) -> None:
    assert_within(lambda: ground_everything(hostile_text(part, 5 * LENGTH)), 5 * MOST)


TEXT = "".join(f"tea {index % 7} cups, cake {index % 5} pieces. " for index in range(600))[:LENGTH]
RECORDS = {
    "absent": lambda count: (STRINGS, [f"nowhere to be found {index}" for index in range(count)], TEXT),
    "present": lambda count: (STRINGS, [TEXT[index : index + 20] for index in range(count)], TEXT),
    "similar": lambda count: (STRINGS, ["a" * 17 + f"{index:04d}b" for index in range(count)], "a" * LENGTH),
    "the same": lambda count: (STRINGS, ["a"] * count, "a " * (LENGTH // 2)),
    "the same and long": lambda count: (STRINGS, ["a" * 5000] * count, "a" * LENGTH),
    "numbers": lambda count: (NUMBERS, list(range(count)), " ".join(map(str, range(4000)))),
    "one number": lambda count: (NUMBERS, [1] * count, "1 " * (LENGTH // 2)),
}


@pytest.mark.parametrize("name", RECORDS)
def test_large_records(name: str) -> None:
    def of_size(count: int) -> Callable[[], Any]:
        schema, value, text = RECORDS[name](count)
        return lambda: ground(schema, value, text)

    assert_within(of_size(500), MOST)
    assert_growth(of_size, 500, 4000, 20)  # the square of 8 is 64


def test_one_budget_for_a_record() -> None:
    """Values beyond it have no places; what is similar is left out before anything that stands in the text."""
    text = "a" * LENGTH + " Blue Door Ltd."
    value = [*("a" * 300 + f"{index:03d}" for index in range(300)), "Blue Door Ltd."]
    spans = ground(STRINGS, value, text)
    assert text[slice(spans["300"][0].start, spans["300"][0].end)] == "Blue Door Ltd."
    found = [bool(spans[str(index)]) for index in range(300)]
    assert found == sorted(found, reverse=True)
    assert spans == ground(STRINGS, value, text), "work is counted, not timed: every machine finds the same"


@pytest.mark.parametrize("value", [10**4000, float("inf"), float("nan"), -(10**399), 1e308])
def test_numbers_that_nobody_writes(value: float) -> None:
    schema: Schema[Any] = Schema.of(list[int | float])
    assert ground(schema, [value], "there are 5 of them") == {"0": ()}


def test_merging_many_windows() -> None:
    class Item(BaseModel):
        name: str
        count: int | None = None

    schema: Schema[Any] = Schema.of(list[Item])

    def of_size(windows: int) -> Callable[[], Any]:
        values = [[{"name": f"n{index % 9}", "count": at} for index in range(40)] for at in range(windows)]
        return lambda: merge(schema, values)

    assert_growth(of_size, 25, 50, 4.5)
