"""The walk of a record along the field tree: every value with its path, its node and its field.

The one walk that all rooms use. Knows nodes and JSON values, no Python class of the user's.
"""

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
from extractft.schema.record_paths import Route, path_of
from extractft.schema.schema import Schema

__all__ = ["Visit", "choose_option", "field_of", "scalars", "walk"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A value met on the way.

    Attributes:
        route: The way to it; empty where the walk starts. A position in a list is an integer, one of a tuple, which
            means the same in all records, a string of digits.
        node: The node that it belongs to, references followed and the option of a union chosen.
        field: The field whose value it is, `None` for items of lists and maps.
        value: The JSON-able value.
        parent: The value that it stands in, `None` where the walk starts.
    """

    route: Route
    node: Node
    field: Field | None
    value: Any
    parent: Visit | None = None

    @property
    def path(self) -> str:
        """The route as people read it: `lines.0.total`."""
        return path_of(self.route)

    @property
    def pattern(self) -> str:
        """The same for all records, positions in lists and keys of maps as `*`: `lines.*.total`."""
        return ".".join(visit._generic_step() for visit in self._line())

    @property
    def keys(self) -> Route:
        """The way to it in the JSON value: fields by their keys, all positions as integers."""
        return tuple(visit._key() for visit in self._line())

    @property
    def is_leaf(self) -> bool:
        """True if the tree goes no further: for a scalar, and for a value that does not fit its node."""
        match self.node:
            case ObjectNode() | MapNode():
                return not isinstance(self.value, dict)
            case ArrayNode():
                return not isinstance(self.value, list)
        return True

    def _line(self) -> list[Visit]:
        """The values on the way, from the one right inside of the start to this one."""
        line: list[Visit] = []
        visit = self
        while visit.parent is not None:
            line.append(visit)
            visit = visit.parent
        return line[::-1]

    def _generic_step(self) -> str:
        assert self.parent is not None
        step = self.route[-1]
        return "*" if isinstance(step, int) or isinstance(self.parent.node, MapNode) else step

    def _key(self) -> str | int:
        assert self.parent is not None
        if self.field is not None:
            return self.field.key
        step = self.route[-1]
        return int(step) if isinstance(self.parent.node, ArrayNode) else step


def walk(value: Any, schema: Schema[Any], *, node: Node | None = None) -> Iterator[Visit]:
    """Every value of a record, parents before children, in the order in which it is written.

    Args:
        value: The record, or a part of one.
        schema: Its schema.
        node: The node of the part, by default that of a whole record.
    """
    start = choose_option(schema.tree if node is None else node, value, schema)
    return _walk(Visit((), start, None, value), schema)


def scalars(value: Any, schema: Schema[Any], *, node: Node | None = None) -> Iterator[Visit]:
    """The leaves of a record that are present: nulls are left out. Arguments as for `walk`."""
    return (visit for visit in walk(value, schema, node=node) if visit.is_leaf and visit.value is not None)


def _walk(visit: Visit, schema: Schema[Any]) -> Iterator[Visit]:
    yield visit
    if not visit.is_leaf:
        for step, node, field, value in _members(visit.node, visit.value):
            inside = Visit((*visit.route, step), choose_option(node, value, schema), field, value, visit)
            yield from _walk(inside, schema)


def _members(node: Node, value: Any) -> Iterator[tuple[str | int, Node, Field | None, Any]]:
    """Step, node, field and value of all that is right inside of a value."""
    if isinstance(node, ObjectNode):
        for field in node.fields:
            if field.key in value:
                yield field.name, field.node, field, value[field.key]
    elif isinstance(node, MapNode):
        for key, item in value.items():
            yield key, node.values, None, item
    elif isinstance(node, ArrayNode):
        for index, item in enumerate(value):
            item_node = node.item_node(index)
            if item_node is not None:
                yield str(index) if index < len(node.prefix) else index, item_node, None, item


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
    """The fit of an object to an option: tags that agree minus tags that do not, then known minus unknown keys."""
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
