"""Confidences of hand-made completions, where every probability is known."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from extractft.completion import Completion, TokenStep
from extractft.confidence.forced_values import forced_values
from extractft.confidence.json_layout import layout_of
from extractft.confidence.token_confidence import raw_confidence
from extractft.schema import Schema

END = "<end>"


class Person(BaseModel):
    name: str
    age: int | None = None
    town: str | None = None
    tags: list[str] = []


class Tokens:
    """Spelled pieces as tokens, made up on the way."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def id(self, piece: str) -> int:
        return self.ids.setdefault(piece, len(self.ids))

    def spelling(self, token_id: int) -> bytes:
        return next(piece for piece, known in self.ids.items() if known == token_id).encode()

    def completion(self, *steps: str | dict[str, float]) -> Completion:
        """A string is forced; of a dict, the first piece is what was written."""
        made = []
        for step in steps:
            if isinstance(step, str):
                made.append(TokenStep(self.id(step), 0.0, 0.0, forced=True))
                continue
            options = tuple((self.id(piece), math.log(chance)) for piece, chance in step.items())
            token_id, logprob = options[0]
            ranked = tuple(sorted(options, key=lambda option: -option[1]))
            made.append(TokenStep(token_id, logprob, logprob, alternatives=ranked))
        return Completion(tuple(made), "stop")


def _confidence(schema: Any, *steps: str | dict[str, float]) -> tuple[float, dict[str, float]]:
    tokens = Tokens()
    found = raw_confidence(Schema.of(schema), tokens.completion(*steps), tokens.spelling)
    assert not found.calibrated
    return found.record, dict(found.fields)


def test_a_value_is_as_probable_as_its_tokens() -> None:
    record, fields = _confidence(
        Person, '{"name":"', {"An": 0.5, "Bo": 0.4}, {"na": 0.8, '"': 0.2}, {'"': 0.9, "b": 0.1}, "}"
    )
    assert record == pytest.approx(0.5 * 0.8 * 0.9)
    assert fields["name"] == pytest.approx(0.5 * 0.8 * 0.9)


def test_other_tokens_that_spell_the_same_do_not_count_against_a_value() -> None:
    _, fields = _confidence(Person, '{"name":"', {"Anna": 0.6, "An": 0.3, "Bo": 0.1}, {'"}': 0.7, '",': 0.3})
    assert fields["name"] == pytest.approx(0.9)


def test_what_follows_the_value_is_not_its_business() -> None:
    """Of `"}` and `","age":` both end the name; they differ in whether there is an age."""
    _, fields = _confidence(Person, '{"name":"Anna', {'"}': 0.7, '","': 0.2, "b": 0.1})
    assert fields["name"] == pytest.approx(0.9)
    # `","` may begin any of the three that were left out: each gets a third of it
    for path in ("age", "town", "tags"):
        assert fields[path] == pytest.approx(1 - 0.2 / 3)


def test_a_field_that_was_left_out_is_as_certain_as_its_key_is_improbable() -> None:
    _, fields = _confidence(
        Person, '{"name":"Anna"', {',"': 0.9, "}": 0.1}, {"town": 0.6, "age": 0.3, "tags": 0.1}, '":"Ur"', "}"
    )
    assert fields["age"] == pytest.approx(1 - 0.9 * 0.3)
    # that there is a town at all: not if the record had ended or gone on with the tags
    assert fields["town"] == pytest.approx(1 - 0.1 - 0.9 * 0.1)


def test_a_number_ends_where_something_else_begins() -> None:
    _, fields = _confidence(Person, '{"name":"Anna","age":', {"4": 0.8, "5": 0.2}, {"}": 0.5, "2": 0.3, ",": 0.2})
    assert fields["age"] == pytest.approx(0.8 * 0.7)


def test_a_list_is_as_certain_as_its_length() -> None:
    _, fields = _confidence(
        Person,
        '{"name":"Anna","tags":["a"',
        {",": 0.8, "]": 0.2},
        '"',
        {"b": 0.6, "c": 0.4},
        '"',
        {"]": 0.9, ",": 0.1},
        "}",
    )
    assert fields["tags"] == pytest.approx(0.8 * 0.9)
    assert fields["tags.0"] == pytest.approx(1.0)
    assert fields["tags.1"] == pytest.approx(0.6)


def test_characters_split_between_tokens() -> None:
    tokens = Tokens()
    half = {0: b'{"name":"', 1: "龙".encode()[:2], 2: "龙".encode()[2:], 3: '琳"}'.encode(), 4: "龚".encode()[:2]}
    steps = (
        TokenStep(0, 0.0, 0.0, forced=True),
        TokenStep(1, math.log(0.7), math.log(0.7), alternatives=((1, math.log(0.7)), (4, math.log(0.3)))),
        TokenStep(2, 0.0, 0.0, forced=True),
        TokenStep(3, 0.0, 0.0, forced=True),
    )
    found = raw_confidence(Schema.of(Person), Completion(steps, "stop"), half.__getitem__)
    same = half[1] == half[4]
    assert found.fields["name"] == pytest.approx(1.0 if same else 0.7)
    assert tokens.ids == {}


class Line(BaseModel):
    what: str
    note: str | None = None


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    breed: str


class Nested(BaseModel):
    lines: list[Line]
    pet: Cat | Dog | None = None
    counts: dict[str, int] = {}


def test_everything_is_found_in_nested_records() -> None:
    record = Nested(
        lines=[Line(what='a "b", {c}'), Line(what="é龙", note="x")], pet=Dog(breed="p"), counts={"u,v": 3, "w": -4}
    )
    schema = Schema.of(Nested)
    text = schema.canonical_json(record)
    line = text.encode().decode("latin-1")
    layout = layout_of(line, schema)
    spelled = {path: line[start:end].encode("latin-1").decode() for path, (start, end) in layout.values.items()}
    assert spelled == {
        "lines.0.what": '"a \\"b\\", {c}"',
        "lines.1.what": '"é龙"',
        "lines.1.note": '"x"',
        "pet.kind": '"dog"',
        "pet.breed": '"p"',
        "counts.u,v": "3",
        "counts.w": "-4",
    }
    assert {path: len(turns) for path, turns in layout.turns.items()} == {"lines": 3, "counts": 3}
    closings = [gap for gap in layout.gaps if gap.continuations[gap.chosen][0] is None]
    assert len(closings) == 4


def test_the_choice_to_write_an_object_counts_for_all_it_holds() -> None:
    _, fields = _confidence(
        Nested, '{"lines":[]', {',"pet":{"kind":"dog","breed":"': 0.6, "}": 0.4}, {"p": 0.5, "q": 0.5}, '"}', "}"
    )
    assert fields["pet.breed"] == pytest.approx(0.6 * 0.5)
    assert fields["pet.kind"] == pytest.approx(0.6)
    assert fields["counts"] == pytest.approx(1.0)


def test_a_union_of_kinds() -> None:
    _, fields = _confidence(Nested, '{"lines":[],"pet":{"kind":"', {"dog": 0.7, "cat": 0.3}, '","breed":"p"}}')
    assert fields["pet.kind"] == pytest.approx(0.7)


def test_records_that_are_no_objects() -> None:
    _, fields = _confidence(list[int], "[", {"1": 0.9, "2": 0.1}, {"]": 0.6, ",": 0.4})
    assert fields == pytest.approx({"0": 0.9, "": 0.6})
    record, fields = _confidence(int, {"1": 0.9, "2": 0.1}, {"2": 0.5, "3": 0.5})
    assert fields == pytest.approx({"": 0.45})
    assert record == pytest.approx(0.45)


def test_values_that_the_grammar_decided_on_are_named() -> None:
    class Fixed(BaseModel):
        kind: Literal["order"]
        name: str

    tokens = Tokens()
    name = {'Ann"': 0.9, 'Bob"': 0.1}
    chosen = tokens.completion('{"kind":', '"order"', ',"name":"', name, "}")
    assert forced_values(Schema.of(Fixed), chosen, tokens.spelling) == ("kind",)
    closed = tokens.completion('{"kind":', '"order"', ',"name":"', '"', "}")
    assert forced_values(Schema.of(Fixed), closed, tokens.spelling) == ("kind", "name")
