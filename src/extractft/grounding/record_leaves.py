"""The scalars of a record with what the schema says about each. Knows records, not texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from extractft.schema import ArrayNode, MapNode, Node, ObjectNode, Schema
from extractft.schema.records import choose_option

__all__ = ["Leaf", "Route", "leaves_below", "leaves_of"]

Route = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar that is there.

    Attributes:
        path: Where it stands in the record: `lines.0.total`.
        route: The same, step by step; a position in a list is an integer.
        node: What the schema says about it, the option of a union chosen.
        value: The JSON scalar.
    """

    path: str
    route: Route
    node: Node
    value: Any


def leaves_of(schema: Schema[Any], value: Any) -> Iterator[Leaf]:
    """All scalars of a canonical value but nulls, in the order in which they are written; fields go by their names."""
    return _leaves(value, schema.tree, (), schema)


def leaves_below(node: Node, value: Any, schema: Schema[Any]) -> Iterator[Leaf]:
    """The same for a part of a record."""
    return _leaves(value, node, (), schema)


def _leaves(value: Any, node: Node, route: Route, schema: Schema[Any]) -> Iterator[Leaf]:
    if value is None:
        return
    node = choose_option(node, value, schema)
    if isinstance(node, ObjectNode) and isinstance(value, dict):
        for field in node.fields:
            if field.key in value:
                yield from _leaves(value[field.key], field.node, (*route, field.name), schema)
    elif isinstance(node, MapNode) and isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, node.values, (*route, key), schema)
    elif isinstance(node, ArrayNode) and isinstance(value, list):
        for index, item in enumerate(value):
            fixed = index < len(node.prefix)
            inner = node.prefix[index] if fixed else node.items
            if inner is not None:
                yield from _leaves(item, inner, (*route, str(index) if fixed else index), schema)
    else:
        yield Leaf(".".join(map(str, route)), route, node, value)
