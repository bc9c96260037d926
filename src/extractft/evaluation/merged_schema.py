"""The schema seen from the side of the data: all that one place in a record may hold.

A value does not say which option of a union it belongs to, nor whether its keys are field names or data. A
`MergedSchema` merges all options at one place, so that a value can be walked without choosing an option first.
Knows the field tree; knows no values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from extractft.data.free_text import is_free_text
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
    Schema,
    StringFormat,
    StringNode,
)
from extractft.schema.nodes import options_of

__all__ = ["WILDCARD", "FieldPath", "MergedField", "MergedSchema", "merged_schema"]

FieldPath = tuple[str, ...]
"""Path to a field, with `WILDCARD` for positions in lists and keys of maps."""
WILDCARD = "*"
OPEN_SCALARS = (StringNode, IntegerNode, NumberNode)
SCALARS = (*OPEN_SCALARS, BooleanNode)


@dataclass(frozen=True, slots=True)
class MergedField:
    """A field of the objects at one place: its name in a path, and all that it may hold."""

    name: str
    schema: MergedSchema


@dataclass(slots=True, eq=False)
class MergedSchema:
    """All that one place in a record may hold.

    Attributes:
        scalar: True if a value other than an object, a list or `null` may stand here.
        strings: True if any string may stand here.
        free_text: True if a string of any wording may stand here (not a choice of a few, not a date or number).
        choice: True if all values are choices: of a `Literal` or an `Enum`, or truth values.
        formats: The formats that strings here may have, such as `"decimal"`.
        fields: The fields of objects by JSON key.
        entries: The schema of a map's values.
        positions: The schemas of a tuple's first items, which mean something by their position.
        items: The schema of list items.
    """

    scalar: bool = False
    strings: bool = False
    free_text: bool = False
    choice: bool = False
    formats: frozenset[StringFormat] = frozenset()
    fields: dict[str, MergedField] = field(default_factory=dict)
    entries: MergedSchema | None = None
    positions: tuple[MergedSchema, ...] = ()
    items: MergedSchema | None = None

    def member(self, key: str) -> MergedField:
        """The field of an object, or the entry of a map, that has a key.

        Raises:
            SchemaError: Neither a field nor a map stands here.
        """
        known = self.fields.get(key)
        if known is not None:
            return known
        if self.entries is None:
            raise SchemaError("expected the keys of the schema, found a value with another one")
        return MergedField(WILDCARD, self.entries)

    def paths(self) -> list[FieldPath]:
        """Paths of all scalars, in the order of the schema; a recursive place is entered once."""
        return list(self._paths((), frozenset()))

    def _paths(self, path: FieldPath, entered: frozenset[int]) -> Iterator[FieldPath]:
        if id(self) in entered:
            return
        entered |= {id(self)}
        if self.scalar:
            yield path
        for item in self.fields.values():
            yield from item.schema._paths((*path, item.name), entered)
        for index, schema in enumerate(self.positions):
            yield from schema._paths((*path, str(index)), entered)
        for rest in (self.entries, self.items):
            if rest is not None:
                yield from rest._paths((*path, WILDCARD), entered)


def merged_schema(schema: Schema[Any]) -> MergedSchema:
    """Merge the options at every place of a schema, from its root on."""
    return _SchemaMerger(schema).merge([schema.tree])


class _SchemaMerger:
    """Makes merged schemas, one for each set of nodes: recursive schemas give cyclic ones."""

    def __init__(self, schema: Schema[Any]) -> None:
        self._schema = schema
        self._made: dict[frozenset[int], MergedSchema] = {}

    def merge(self, nodes: list[Node]) -> MergedSchema:
        """Merge nodes that may all stand at one place."""
        options: dict[int, Node] = {}
        for node in nodes:
            found = options_of(node, self._schema.definitions)
            options |= {id(option): option for option in found if not isinstance(option, NullNode)}
        key = frozenset(options)
        if key not in self._made:
            self._made[key] = merged = MergedSchema()
            self._fill(merged, list(options.values()))
        return self._made[key]

    def _fill(self, merged: MergedSchema, options: list[Node]) -> None:
        """Set what the options allow."""
        objects = [node for node in options if isinstance(node, ObjectNode)]
        maps = [node for node in options if isinstance(node, MapNode)]
        arrays = [node for node in options if isinstance(node, ArrayNode)]
        self._fill_scalars(merged, options)
        self._fill_fields(merged, objects)
        if maps:
            merged.entries = self.merge([node.values for node in maps])
        self._fill_items(merged, arrays)

    def _fill_scalars(self, merged: MergedSchema, options: list[Node]) -> None:
        strings = [node for node in options if isinstance(node, StringNode)]
        literals = [node for node in options if isinstance(node, LiteralNode)]
        choices = [value for node in literals for value in node.values]
        merged.scalar = any(isinstance(node, SCALARS) for node in options)
        merged.scalar |= any(value is not None for value in choices)
        merged.strings = bool(strings) or any(isinstance(value, str) for value in choices)
        merged.choice = merged.scalar and not any(isinstance(node, OPEN_SCALARS) for node in options)
        merged.free_text = any(map(is_free_text, strings))
        merged.formats = frozenset(node.format for node in strings if node.format is not None)

    def _fill_fields(self, merged: MergedSchema, objects: list[ObjectNode]) -> None:
        """Merge the fields of all object options by key."""
        names: dict[str, str] = {}
        nodes: dict[str, list[Node]] = {}
        for node in objects:
            for item in node.fields:
                names.setdefault(item.key, item.name)
                nodes.setdefault(item.key, []).append(item.node)
        merged.fields = {key: MergedField(name, self.merge(nodes[key])) for key, name in names.items()}

    def _fill_items(self, merged: MergedSchema, arrays: list[ArrayNode]) -> None:
        """Positions count only where every option is a tuple; a list beside a tuple makes it a list."""
        rest = [node.items for node in arrays if node.items is not None]
        if all(node.prefix for node in arrays):
            for column in zip_longest(*(node.prefix for node in arrays)):
                merged.positions += (self.merge([node for node in column if node is not None]),)
        else:
            rest += [node for array in arrays for node in array.prefix]
        if rest:
            merged.items = self.merge(rest)
