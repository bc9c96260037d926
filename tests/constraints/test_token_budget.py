from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from extractft.constraints import RecordSize, token_budget
from extractft.schema import Schema


class Line(BaseModel):
    description: str
    quantity: int
    price: Decimal
    kind: Literal["food", "travel", "something else"]


class Invoice(BaseModel):
    company: str
    day: date
    lines: list[Line]
    paid: bool = False


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Complaint(BaseModel):
    name: str | None
    address: str | None
    email: str | None
    question: str | None


def words(text: str) -> int:
    return -(-len(text) // 4)


def needed(schema: Schema[Any], record: Any) -> int:
    return len(schema.canonical_json(record).encode()) + 1


def test_many_items_from_a_dense_text_fit() -> None:
    rows = [(f"item {i}", i % 7 + 1, f"{i}.50", "something else") for i in range(300)]
    text = "ACME 2024-01-02\n" + "\n".join(f"{n} x{q} {p}" for n, q, p, _ in rows)
    record = Invoice(
        company="ACME",
        day=date(2024, 1, 2),
        lines=[Line(description=n, quantity=q, price=Decimal(p), kind=k) for n, q, p, k in rows],
        paid=True,
    )
    schema = Schema.of(Invoice)
    assert needed(schema, record) <= token_budget(schema, len(text.encode()))


@pytest.mark.parametrize("text", ["", "你好", "x" * 500, '"\n\\' * 60])
def test_a_text_copied_whole_into_a_field_fits(text: str) -> None:
    schema = Schema.of(Complaint, omit_defaults=False)
    record = Complaint(name=None, address=None, email="someone@example.com", question=text)
    assert needed(schema, record) <= token_budget(schema, len(text.encode()))


def test_wide_schemas_fit_with_every_field_filled() -> None:
    fields = {f"field_number_{i}": (str, ...) for i in range(60)}
    from pydantic import create_model

    model = create_model("Wide", **fields)  # type: ignore[call-overload]
    record = model(**dict.fromkeys(fields, "value"))
    schema = Schema.of(model)
    assert needed(schema, record) <= token_budget(schema, 10)


def test_recursion_grows_with_the_text() -> None:
    tree = Tree(name="a")
    for _ in range(40):
        tree = Tree(name="a", children=[tree])
    schema = Schema.of(Tree)
    assert needed(schema, tree) <= token_budget(schema, len("a " * 40))


@pytest.mark.parametrize("type_", [Invoice, Tree, Complaint, int, list[str], dict[str, list[Line]]], ids=str)
def test_budgets_are_finite_and_grow_with_the_text(type_: Any) -> None:
    schema = Schema.of(type_)
    budgets = [token_budget(schema, n) for n in (0, 1, 10, 100, 1000)]
    assert budgets == sorted(budgets)
    assert 0 < budgets[0] < 1000
    assert budgets[-1] < 60_000


def test_counting_with_the_tokenizer_is_tighter_than_bytes() -> None:
    schema = Schema.of(Invoice)
    assert RecordSize.of(schema, words).budget(100) < RecordSize.of(schema).budget(100)
    assert token_budget(schema, 100, count=words) == RecordSize.of(schema, words).budget(100)


def test_a_short_text_cannot_run_on_for_long() -> None:
    schema = Schema.of(Complaint)
    assert token_budget(schema, 30, count=words) < 300
