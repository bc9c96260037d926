"""What values a place in a record may hold: the field tree seen from the side of the data.

A value does not say which option of a union it belongs to, nor whether its keys are field names or data. A shape
merges all that the schema allows at one place, so that a value can be walked without choosing an option first.
Knows the field tree; knows no values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from extractft.errors import SchemaError
from extractft.schema import (
    ArrayNode,
    BooleanNode,
    IntegerNode,
    LiteralNode,
    MapNode,
    Node,
    NullNode,
    NumberNode,
    ObjectNode,
    RefNode,
    Schema,
    StringFormat,
    StringNode,
    UnionNode,
)

__all__ = ["ANY", "FieldPath", "Shape", "shape_of", "takes_null"]

FieldPath = tuple[str, ...]
"""Path to a field, with `ANY` for positions in lists and keys of maps."""
ANY = "*"
WRITTEN = (StringNode, IntegerNode, NumberNode)
SCALARS = (*WRITTEN, BooleanNode)


@dataclass(slots=True, eq=False)
class Shape:
    """Everything that one place in a record may hold.

    Attributes:
        scalar: Whether a value other than an object, a list or `null` may stand here.
        strings: Whether any string may stand here.
        free_text: Whether a string of any wording may stand here (not a choice of a few, not a date or number).
        choice: Whether the values are choices: of a `Literal` or an `Enum`, or truth values, and no others.
        formats: What strings here may spell, such as `"decimal"`.
        fields: Field name and shape by JSON key.
        entries: Shape of a map's values.
        positions: Shapes of a tuple's first items, which mean something by their position.
        items: Shape of list items.
    """

    scalar: bool = False
    strings: bool = False
    free_text: bool = False
    choice: bool = False
    formats: frozenset[StringFormat] = frozenset()
    fields: dict[str, tuple[str, Shape]] = field(default_factory=dict)
    entries: Shape | None = None
    positions: tuple[Shape, ...] = ()
    items: Shape | None = None

    def member(self, key: str) -> tuple[str, Shape]:
        """The path part and the shape of an object's or a map's value.

        Raises:
            SchemaError: Neither a field nor a map stands here.
        """
        known = self.fields.get(key)
        if known is not None:
            return known
        if self.entries is None:
            raise SchemaError("expected the keys of the schema, found a value with another one")
        return ANY, self.entries

    def paths(self) -> list[FieldPath]:
        """Paths of all scalars, in the order of the schema; a recursive place is entered once."""
        return list(self._paths((), frozenset()))

    def _paths(self, path: FieldPath, entered: frozenset[int]) -> Iterator[FieldPath]:
        if id(self) in entered:
            return
        entered |= {id(self)}
        if self.scalar:
            yield path
        for name, shape in self.fields.values():
            yield from shape._paths((*path, name), entered)
        for index, shape in enumerate(self.positions):
            yield from shape._paths((*path, str(index)), entered)
        for rest in (self.entries, self.items):
            if rest is not None:
                yield from rest._paths((*path, ANY), entered)


def shape_of(schema: Schema[Any]) -> Shape:
    """The shape of a schema's root."""
    return _Builder(schema).build([schema.tree])


def takes_null(schema: Schema[Any], node: Node | None = None) -> bool:
    """Whether `null` is a record of the schema."""
    node = schema.resolve(node or schema.tree)
    if isinstance(node, UnionNode):
        return any(takes_null(schema, option) for option in node.options)
    return isinstance(node, NullNode) or (isinstance(node, LiteralNode) and None in node.values)


class _Builder:
    """Makes shapes, one for each set of nodes: recursive schemas give cyclic shapes."""

    def __init__(self, schema: Schema[Any]) -> None:
        self.schema = schema
        self.made: dict[frozenset[int], Shape] = {}

    def build(self, nodes: list[Node]) -> Shape:
        """The shape that holds whatever one of the nodes may be."""
        options: dict[int, Node] = {}
        for node in nodes:
            self.collect(node, options)
        key = frozenset(options)
        if key not in self.made:
            self.made[key] = shape = Shape()
            self.fill(shape, list(options.values()))
        return self.made[key]

    def collect(self, node: Node, options: dict[int, Node]) -> None:
        """Add the options behind references and unions."""
        if id(node) in options:
            return
        if isinstance(node, RefNode):
            self.collect(self.schema.resolve(node), options)
        elif isinstance(node, UnionNode):
            for option in node.options:
                self.collect(option, options)
        elif not isinstance(node, NullNode):
            options[id(node)] = node

    def fill(self, shape: Shape, options: list[Node]) -> None:
        """Say what the options allow."""
        objects = [node for node in options if isinstance(node, ObjectNode)]
        maps = [node for node in options if isinstance(node, MapNode)]
        arrays = [node for node in options if isinstance(node, ArrayNode)]
        strings = [node for node in options if isinstance(node, StringNode)]
        choices = [value for node in options if isinstance(node, LiteralNode) for value in node.values]
        shape.scalar = any(isinstance(node, SCALARS) for node in options) or any(value is not None for value in choices)
        shape.strings = bool(strings) or any(isinstance(value, str) for value in choices)
        shape.choice = shape.scalar and not any(isinstance(node, WRITTEN) for node in options)
        shape.free_text = any(node.format in (None, "email", "uri") for node in strings)
        shape.formats = frozenset(node.format for node in strings if node.format is not None)
        self.fill_fields(shape, objects)
        if maps:
            shape.entries = self.build([node.values for node in maps])
        self.fill_items(shape, arrays)

    def fill_fields(self, shape: Shape, objects: list[ObjectNode]) -> None:
        """Merge the fields of all object options by key."""
        names: dict[str, str] = {}
        nodes: dict[str, list[Node]] = {}
        for node in objects:
            for item in node.fields:
                names.setdefault(item.key, item.name)
                nodes.setdefault(item.key, []).append(item.node)
        shape.fields = {key: (name, self.build(nodes[key])) for key, name in names.items()}

    def fill_items(self, shape: Shape, arrays: list[ArrayNode]) -> None:
        """Positions count only where every option is a tuple; a list beside a tuple makes it a list."""
        rest = [node.items for node in arrays if node.items is not None]
        if all(node.prefix for node in arrays):
            columns = zip_longest(*(node.prefix for node in arrays))
            shape.positions = tuple(self.build([node for node in column if node is not None]) for column in columns)
        else:
            rest += [node for array in arrays for node in array.prefix]
        if rest:
            shape.items = self.build(rest)
