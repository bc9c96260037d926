"""Rows held out once and for all by a rule that says nothing of a single row."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from extractft.data import Example, HeldOutRule, split_examples, text_key

TEXTS = st.lists(st.text(max_size=5), min_size=2, max_size=40)


def examples(texts: list[str]) -> list[Example[Any]]:
    return [Example(text, number) for number, text in enumerate(texts)]


@given(TEXTS, st.floats(0.05, 0.9), st.integers(0, 3))
def test_the_rule_splits_as_the_split_did(texts: list[str], fraction: float, seed: int) -> None:
    rows = examples(texts)
    train, held_out = split_examples(rows, fraction=fraction, seed=seed)
    rule = HeldOutRule.of_split(train, held_out, seed)
    assert rule.split(rows) == (train, held_out)
    assert rule.rows == len(held_out)


@given(TEXTS, TEXTS, st.integers(0, 3))
def test_rows_that_come_later_do_not_move_those_that_were_there(old: list[str], new: list[str], seed: int) -> None:
    train, held_out = split_examples(examples(old), fraction=0.3, seed=seed)
    rule = HeldOutRule.of_split(train, held_out, seed)
    again, still = rule.split(examples([*new, *old]))
    assert {text_key(row.text) for row in held_out} <= {text_key(row.text) for row in still}
    assert {text_key(row.text) for row in train} <= {text_key(row.text) for row in again}


def test_no_row_can_be_found_in_the_rule() -> None:
    rows = examples([f"Kim {number} lives in Town {number}" for number in range(500)])
    train, held_out = split_examples(rows, fraction=0.1, seed=7)
    rule = HeldOutRule.of_split(train, held_out, 7)
    said = json.dumps(rule)
    assert len(rule.ranges) == 1
    assert all(len(found.start) + len(found.end) <= 8 for found in rule.ranges)
    for row in rows:
        for content in (row.text, f"7:{text_key(row.text)}"):
            assert hashlib.sha256(content.encode()).hexdigest()[:12] not in said


def test_rules_of_two_trainings_are_joined() -> None:
    rows = examples([f"text {number}" for number in range(60)])
    one = HeldOutRule.of_split(*split_examples(rows, fraction=0.2, seed=1), 1)
    other = HeldOutRule.of_split(*split_examples(rows, fraction=0.2, seed=2), 2)
    both = one.joined(other)
    assert {row.text for row in both.split(rows)[1]} == {row.text for r in (one, other) for row in r.split(rows)[1]}
    assert both.joined(other) == both


def test_one_hash_tells_if_they_are_the_same_rows() -> None:
    rows = examples(["a", "b", "c"])
    assert HeldOutRule.of_own(rows) == HeldOutRule.of_own(rows[::-1])
    assert HeldOutRule.of_own(rows).sha256 != HeldOutRule.of_own(rows[:2]).sha256
    assert HeldOutRule.of_own(examples(["ab", "c"])).sha256 != HeldOutRule.of_own(examples(["a", "bc"])).sha256
