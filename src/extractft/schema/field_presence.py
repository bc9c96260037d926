"""Fields that every record of a schema has, and whether there is something in them. Knows trees and JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from extractft.schema.nodes import NullNode, ObjectNode, RefNode, options_of
from extractft.schema.schema import Schema

__all__ = ["FieldPlace", "field_places", "is_empty_at"]

DEEPEST = 4
"""Levels of nested objects whose fields are counted."""


class FieldPlace(NamedTuple):
    """A field that every record has: one of the root, or of an object in it.

    Attributes:
        path: Its path by names, as confidences have it.
        keys: The keys on the way to it.
    """

    path: str
    keys: tuple[str, ...]


def field_places(schema: Schema[Any]) -> list[FieldPlace]:
    """The fields of the root and of the objects in it, not of those in lists."""
    return list(_places(schema, schema.tree, (), (), ()))


def _places(
    schema: Schema[Any], node: Any, names: tuple[str, ...], keys: tuple[str, ...], above: tuple[str, ...]
) -> Iterator[FieldPlace]:
    if isinstance(node, RefNode):
        if node.name in above:
            return
        above = (*above, node.name)
    options = [option for option in options_of(node, schema.definitions) if not isinstance(option, NullNode)]
    if names:
        yield FieldPlace(".".join(names), keys)
    if len(options) == 1 and isinstance(options[0], ObjectNode) and len(names) < DEEPEST:
        for part in options[0].fields:
            yield from _places(schema, part.node, (*names, part.name), (*keys, part.key), above)


def is_empty_at(record: Any, keys: tuple[str, ...]) -> bool:
    """True if there is nothing at a place of a record."""
    for key in keys:
        if not isinstance(record, Mapping):
            return True
        record = record.get(key)
    return record is None or record == [] or record == "" or record == {}
