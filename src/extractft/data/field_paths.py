"""Convert the locations of pydantic's errors to the paths in which fields are named to users.

A path has a field's Python name for each field, and a position for each item of a list: `lines.0.total`. Keys that are
data, as in `dict[str, int]`, are not shown: they become `*`. Knows the field tree and JSON values, no rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from extractft.schema import ArrayNode, Field, MapNode, Node, ObjectNode, Schema
from extractft.schema.nodes import options_of
from extractft.schema.records import choose_option, field_of

__all__ = ["field_path"]


def field_path(loc: Sequence[int | str], value: Any, schema: Schema[Any], *, missing: bool = False) -> str:
    """The path of a field from a location of pydantic: keys, positions and options of unions.

    Args:
        loc: The steps of the location; those that are not in the record name options of unions, and are skipped.
        value: The record as it was given.
        schema: The schema of the record.
        missing: True if the last step is a key that is missing from the record.
    """
    steps: list[str] = []
    node: Node | None = schema.tree
    before, last = (loc[:-1], loc[-1]) if missing and loc else (loc, None)
    for step in before:
        if isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = _item(node, step, value, schema)
            steps.append(str(step))
            value = value[step]
        elif isinstance(value, Mapping) and step in value:
            field = _field(node, step, value, schema)
            node = _member(node, field, value, schema)
            steps.append("*" if field is None else field.name)
            value = value[step]
    if last is not None:
        field = _field(node, last, value, schema)
        steps.append("*" if field is None else field.name)
    return ".".join(steps)


def _field(node: Node | None, key: int | str, value: Any, schema: Schema[Any]) -> Field | None:
    """The field that a key means: of the option that the record belongs to, else of any other."""
    if node is None:
        return None
    options = (choose_option(node, value, schema), *options_of(node, schema.definitions))
    found = (field_of(option, str(key)) for option in options if isinstance(option, ObjectNode))
    return next((field for field in found if field is not None), None)


def _member(node: Node | None, field: Field | None, value: Any, schema: Schema[Any]) -> Node | None:
    if field is not None:
        return field.node
    chosen = None if node is None else choose_option(node, value, schema)
    return chosen.values if isinstance(chosen, MapNode) else None


def _item(node: Node | None, index: int, value: Any, schema: Schema[Any]) -> Node | None:
    chosen = None if node is None else choose_option(node, value, schema)
    return chosen.item_node(index) if isinstance(chosen, ArrayNode) else None
