"""The work is bounded: what a text and a record cost at most, in processor time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from extractft.grounding import ground
from extractft.schema import Schema
from timing import assert_growth, assert_within

WORDS = [
    f"{a}{b}{c}" for a in ("ka", "lo", "mi", "su") for b in ("ren", "tol", "ba", "ding") for c in ("", "x", "sen", "us")
]
CHINESE = "今天在林街五号楼的王女士反映小区垃圾堆积成山没有人管请尽快处理电话一三八零零订购台灯三台，。！\n"
LENGTH, LEAVES = 20_000, 20


def english() -> str:
    rng = random.Random(0)
    return " ".join(rng.choice(WORDS) for _ in range(LENGTH // 4))[:LENGTH]


def chinese() -> str:
    rng = random.Random(0)
    return "".join(rng.choice(CHINESE) for _ in range(LENGTH))


@pytest.mark.parametrize("text", [english(), chinese()], ids=["english", "chinese"])
def test_exact_values_in_a_long_text(text: str) -> None:
    rng = random.Random(1)
    starts = [rng.randrange(LENGTH - 40) for _ in range(LEAVES)]
    value = {f"f{i}": text[start : start + 30].strip() for i, start in enumerate(starts)}
    schema: Schema[Any] = Schema.of(create_model("Record", **dict.fromkeys(value, (str, ...))))
    assert all(ground(schema, value, text).values())
    assert_within(lambda: ground(schema, value, text), 0.02)


@pytest.mark.parametrize("text", [english(), chinese()], ids=["english", "chinese"])
def test_absent_values_in_a_long_text(text: str) -> None:
    value = {f"f{i}": f"{text[i * 500 : i * 500 + 12]}qqqq{text[i * 300 : i * 300 + 12]}" for i in range(LEAVES)}
    schema: Schema[Any] = Schema.of(create_model("Record", **dict.fromkeys(value, (str, ...))))
    assert_within(lambda: ground(schema, value, text), 0.15)


def test_many_items_with_many_places() -> None:
    class Item(BaseModel):
        name: str
        quantity: int

    schema = Schema.of(list[Item])
    text = "".join(f"tea {number % 7} cups, cake {number % 5} pieces. " for number in range(600))

    def of_size(count: int) -> Callable[[], Any]:
        value = [{"name": ("tea", "cake")[i % 2], "quantity": (i // 2) % 7} for i in range(count)]
        return lambda: ground(schema, value, text)

    assert_growth(of_size, 100, 400, 8)  # near-linear in the number of leaves
    assert_within(of_size(400), 1)


def test_one_value_everywhere() -> None:
    schema: Schema[Any] = Schema.of(create_model("Record", value=(str, ...)))
    assert_within(lambda: ground(schema, {"value": "a"}, "a" * LENGTH), 0.2)
    assert_within(lambda: ground(schema, {"value": "a" * 500}, "a" * LENGTH), 0.4)
