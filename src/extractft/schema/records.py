"""Walks a JSON-able record along the field tree. Knows nodes and JSON values, no Python class of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from extractft.schema.nodes import (
    ArrayNode,
    BooleanNode,
    Field,
    IntegerNode,
    LiteralNode,
    MapNode,
    Node,
    NullNode,
    NumberNode,
    ObjectNode,
    StringNode,
    options_of,
)
from extractft.schema.schema import Schema

__all__ = ["Visit", "choose_option", "field_of", "walk"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A value met on the way.

    Attributes:
        path: Where it stands, fields by their Python names: `lines.0.total`; empty for the record itself.
        pattern: The same for all records, positions and data keys as `*`: `lines.*.total`.
        node: What the tree says about it, references followed and the option of a union chosen.
        field: The field whose value it is, `None` for items of lists and maps.
        value: The JSON-able value.
    """

    path: str
    pattern: str
    node: Node
    field: Field | None
    value: Any


def walk(value: Any, schema: Schema[Any]) -> Iterator[Visit]:
    """Every value of a record, parents before children, in the order in which it is written."""
    return _walk(value, schema.tree, None, "", "", schema)


def _walk(value: Any, node: Node, field: Field | None, path: str, pattern: str, schema: Schema[Any]) -> Iterator[Visit]:
    node = choose_option(node, value, schema)
    yield Visit(path, pattern, node, field, value)
    if isinstance(node, ObjectNode) and isinstance(value, dict):
        for child in node.fields:
            if child.key in value:
                places = _join(path, child.name), _join(pattern, child.name)
                yield from _walk(value[child.key], child.node, child, *places, schema)
    elif isinstance(node, ArrayNode) and isinstance(value, list):
        for index, item in enumerate(value):
            step = str(index) if index < len(node.prefix) else "*"
            item_node = node.prefix[index] if index < len(node.prefix) else node.items
            if item_node is not None:
                places = _join(path, str(index)), _join(pattern, step)
                yield from _walk(item, item_node, None, *places, schema)
    elif isinstance(node, MapNode) and isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, node.values, None, _join(path, str(key)), _join(pattern, "*"), schema)


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def choose_option(node: Node, value: Any, schema: Schema[Any]) -> Node:
    """The node that a value belongs to: of a union, the option of the same JSON type that knows most of its keys.

    Where no option fits, the first is returned: the value is wrong anyway, and pydantic says so better.
    """
    options = options_of(node, schema.definitions)
    fitting = [option for option in options if _fits(value, option)]
    literal = next((option for option in fitting if isinstance(option, LiteralNode)), None)
    if literal is not None:
        return literal
    if len(fitting) > 1 and isinstance(value, dict):
        return max(fitting, key=lambda option: _kinship(value, option, schema))
    return (fitting or options)[0]


def _fits(value: Any, node: Node) -> bool:
    match node:
        case NullNode():
            return value is None
        case LiteralNode(values=values):
            return any(value == allowed and type(value) is type(allowed) for allowed in values)
        case StringNode():
            return isinstance(value, str)
        case BooleanNode():
            return isinstance(value, bool)
        case IntegerNode():
            return isinstance(value, int) and not isinstance(value, bool)
        case NumberNode():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ArrayNode():
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _kinship(value: dict[str, Any], node: Node, schema: Schema[Any]) -> tuple[int, int]:
    """How well an object fits an option: tags that agree less tags that do not, then keys known less unknown."""
    if not isinstance(node, ObjectNode):
        return (0, 0)
    tags = keys = 0
    for key, item in value.items():
        field = field_of(node, key)
        keys += 1 if field is not None else -1
        if field is not None and isinstance(item, str | int):
            literals = [
                option for option in options_of(field.node, schema.definitions) if isinstance(option, LiteralNode)
            ]
            if literals:
                tags += 1 if any(_fits(item, literal) for literal in literals) else -1
    return (tags, keys)


def field_of(node: ObjectNode, key: str) -> Field | None:
    """The field that a key of a record means: by its key in the canonical JSON, else by its Python name."""
    by_name = None
    for field in node.fields:
        if field.key == key:
            return field
        if field.name == key:
            by_name = field
    return by_name
