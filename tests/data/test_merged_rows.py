"""Corrections in the places of the rows that they correct."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from extractft.data import LoadedExamples, MergedRows, load_numbered_examples, merge_rows


class Order(BaseModel):
    item: str


def load(*rows: tuple[str | None, str, str]) -> LoadedExamples[Order]:
    made = [{"text": text, "output": {"item": item}} | ({"id": name} if name else {}) for name, text, item in rows]
    return load_numbered_examples(made, Order)


def merge(rows: LoadedExamples[Order], corrections: LoadedExamples[Order]) -> MergedRows[Order]:
    return merge_rows(rows, corrections, lambda one, other: one == other)


def shown(found: MergedRows[Order]) -> list[tuple[str, str]]:
    return [(example.text, example.output.item) for example in found.loaded.examples]


ROWS = load(("a", "one", "1"), ("b", "two", "2"), (None, "three", "3"), (None, "three", "3"))


def test_by_text_else_by_id_and_new_ones_at_the_end() -> None:
    found = merge(ROWS, load((None, "three", "three"), ("a", "one", "1"), ("n", "four", "4")))
    assert shown(found) == [("one", "1"), ("two", "2"), ("three", "three"), ("three", "three"), ("four", "4")]
    assert (found.changed, found.confirmed, found.added, found.conflicts) == (2, 1, 1, [])
    assert found.loaded.numbers == [1, 2, 3, 4, 5]
    assert found.loaded.ids == ["a", "b", None, None, "n"]


def test_later_ones_win_and_it_is_said() -> None:
    found = merge(
        ROWS, load(("b", "two", "x"), ("n", "new", "1"), ("b", "two", "y"), ("n", "new", "2"), ("b", "two", "y"))
    )
    assert shown(found)[1] == ("two", "y")
    assert shown(found)[-1] == ("new", "2")
    assert [(c.kind, c.number, c.row, c.id) for c in found.conflicts] == [
        ("corrected_twice", 3, 2, "b"),
        ("corrected_twice", 4, 5, "n"),
    ]


def test_an_id_with_another_text_takes_the_place_and_is_listed() -> None:
    found = merge(ROWS, load(("a", "one, in other words", "1b"), ("b", "one", "1c")))
    kinds = [conflict.kind for conflict in found.conflicts]
    assert kinds == ["other_text", "other_row"] or kinds == ["other_text", "other_row", "corrected_twice"]
    assert ("two", "2") in shown(found)
    assert len(shown(found)) == 4


def test_messages_quote_nothing() -> None:
    found = merge(
        load(("a", "secret text", "s3cret")), load(("a", "other secret", "hidden"), ("a", "other secret", "more"))
    )
    said = "\n".join(found.lines())
    assert "conflicts" in said
    for word in ("secret", "s3cret", "hidden", "more"):
        assert word not in said.replace("and 0 more", "")


def test_ids_beside_fields_of_their_own_are_fields() -> None:
    class Named(BaseModel):
        id: str

    rows: Any = [{"text": "x", "id": "7"}]
    loaded = load_numbered_examples(rows, Named)
    assert loaded.id_at(0) is None
    assert loaded.examples[0].output == Named(id="7")
