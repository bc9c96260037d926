from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from extractft.data.table_values import parse_cell, to_jsonable
from extractft.schema import BooleanNode, LiteralNode, NullNode, ObjectNode, Schema, StringNode
from extractft.schema.nodes import accepts_null, options_of
from extractft.schema.records import choose_option, scalars, walk


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    owner: Person | None = None


class Person(BaseModel):
    full_name: str = Field(alias="fullName")
    pets: list[Cat | Dog] = []
    size: tuple[int, str] | None = None
    scores: dict[str, float] = {}
    mood: Literal["good", 1] | int | str | None = None


SCHEMA = Schema.of(Person)
PERSON = {
    "fullName": "Tom",
    "pets": [{"kind": "cat"}, {"kind": "dog", "owner": {"fullName": "Ann", "scores": {"a.b": 1}}}],
    "size": [1, "m"],
    "scores": {"x": 0.5},
    "mood": 1,
}


def test_every_value_is_visited_once_in_order() -> None:
    assert [(v.path, v.pattern) for v in walk(PERSON, SCHEMA)] == [
        ("", ""),
        ("full_name", "full_name"),
        ("pets", "pets"),
        ("pets.0", "pets.*"),
        ("pets.0.kind", "pets.*.kind"),
        ("pets.1", "pets.*"),
        ("pets.1.kind", "pets.*.kind"),
        ("pets.1.owner", "pets.*.owner"),
        ("pets.1.owner.full_name", "pets.*.owner.full_name"),
        ("pets.1.owner.scores", "pets.*.owner.scores"),
        ("pets.1.owner.scores.a.b", "pets.*.owner.scores.*"),
        ("size", "size"),
        ("size.0", "size.0"),
        ("size.1", "size.1"),
        ("scores", "scores"),
        ("scores.x", "scores.*"),
        ("mood", "mood"),
    ]


def test_values_come_with_their_node_and_field() -> None:
    visits = {visit.path: visit for visit in walk(PERSON, SCHEMA)}
    assert isinstance(visits["pets.1"].node, ObjectNode)
    assert visits["pets.1"].node.name == "Dog"
    assert visits["pets.1"].field is None
    assert visits["full_name"].field is not None
    assert visits["full_name"].field.name == "full_name"
    assert isinstance(visits["mood"].node, LiteralNode)
    assert visits["scores.x"].value == 0.5


def test_keys_lead_to_the_value() -> None:
    for visit in walk(PERSON, SCHEMA):
        value: Any = PERSON
        for key in visit.keys:
            value = value[key]
        assert value is visit.value


def test_positions_in_tuples_are_told_from_those_in_lists() -> None:
    routes = [visit.route for visit in scalars(PERSON, SCHEMA)]
    assert ("pets", 1, "owner", "full_name") in routes
    assert ("size", "0") in routes


def test_scalars_are_the_present_leaves() -> None:
    record = {"fullName": "Tom", "size": None, "scores": {}, "mood": {"no": "scalar"}}
    assert [(visit.path, visit.value) for visit in scalars(record, SCHEMA)] == [
        ("full_name", "Tom"),
        ("mood", {"no": "scalar"}),
    ]


def test_a_part_is_walked_from_its_node() -> None:
    pets = _field("pets").node
    assert [visit.path for visit in scalars([{"kind": "cat", "lives": 7}], SCHEMA, node=pets)] == ["0.kind", "0.lives"]


def _field(name: str) -> Any:
    root = SCHEMA.resolve(SCHEMA.tree)
    assert isinstance(root, ObjectNode)
    return next(field for field in root.fields if field.name == name)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("good", "LiteralNode"), (1, "LiteralNode"), (2, "IntegerNode"), ("x", "StringNode"), (None, "NullNode")],
)
def test_options_are_chosen_by_value(value: Any, kind: str) -> None:
    assert type(choose_option(_field("mood").node, value, SCHEMA)).__name__ == kind


def test_true_is_not_one() -> None:
    schema = Schema.of(Literal[1] | bool)
    assert isinstance(choose_option(schema.tree, 1, schema), LiteralNode)
    assert isinstance(choose_option(schema.tree, True, schema), BooleanNode)


def test_options_lie_flat() -> None:
    assert {type(option) for option in options_of(_field("mood").node, SCHEMA.definitions)} >= {StringNode, NullNode}
    assert accepts_null(_field("size").node, SCHEMA.definitions)
    assert not accepts_null(_field("pets").node, SCHEMA.definitions)


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("full_name", "12", "12"),
        ("full_name", "[1]", "[1]"),
        ("pets", '[{"kind": "cat"}]', [{"kind": "cat"}]),
        ("size", '[1, "m"]', [1, "m"]),
        ("scores", '{"a": 1}', {"a": 1}),
        ("mood", "good", "good"),
        ("mood", "7", "7"),
    ],
)
def test_cells(name: str, cell: str, value: Any) -> None:
    assert parse_cell(cell, _field(name), SCHEMA) == value


class Flags(BaseModel):
    count: int
    share: float
    done: bool
    level: Literal[1, 2]


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("count", "7", 7),
        ("count", "007", 7),
        ("count", " 7 ", 7),
        ("count", "7.0", 7),
        ("share", "1e-3", 0.001),
        ("share", ".5", 0.5),
        ("done", "TRUE", True),
        ("done", "False", False),
        ("done", "yes", True),
        ("done", "0", False),
        ("level", "2", 2),
    ],
)
def test_cells_of_numbers_and_booleans(name: str, cell: str, value: Any) -> None:
    schema = Schema.of(Flags)
    root = schema.tree
    assert isinstance(root, ObjectNode)
    record = {"count": 1, "share": 1.0, "done": True, "level": 1}
    record[name] = parse_cell(cell, next(field for field in root.fields if field.name == name), schema)
    assert getattr(schema.parse_value(record), name) == value


def test_plain_values() -> None:
    assert to_jsonable({"a": (1, float("nan"), None), 2: "x"}) == {"a": [1, None, None], "2": "x"}
