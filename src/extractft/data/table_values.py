"""Convert the values of tables to JSON-able values. Knows the field tree, no files.

A cell of a CSV file is a string, blank where there is no value. A typed table pads all records with nulls to the same
keys, and may have numbers, dates and arrays of types of its own.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from extractft.data.raw_row import InvalidRow
from extractft.data.strict_json import InvalidJson, parse_json
from extractft.schema import (
    ArrayNode,
    Field,
    LiteralNode,
    MapNode,
    NullNode,
    ObjectNode,
    Schema,
    StringNode,
)
from extractft.schema.nodes import accepts_null, options_of
from extractft.schema.records import choose_option, field_of

__all__ = ["drop_null_padding", "is_jsonable", "is_missing", "parse_cell", "to_jsonable"]

NUMPY_TIMES = ("datetime64", "timedelta64")
PLAIN_TYPES = (str, int, float, bool, type(None))


def is_jsonable(value: Any) -> bool:
    """True if `json.loads` could have returned the value."""
    if isinstance(value, dict):
        return all(type(key) is str and is_jsonable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_jsonable(item) for item in value)
    return type(value) in PLAIN_TYPES


def is_missing(value: Any) -> bool:
    """True if a value is a table's null, NaN, NA or NaT."""
    return (
        value is None
        or (isinstance(value, float | Decimal) and value != value)
        or type(value).__name__ in ("NAType", "NaTType")
    )


def to_jsonable(value: Any) -> Any:  # noqa: C901 - one case for each kind of value
    """Convert a value of a table or of Python; a missing one becomes `None`.

    Raises:
        InvalidRow: It holds something that has no JSON form.
    """
    if is_missing(value):
        return None
    if type(value) in PLAIN_TYPES:
        return value
    if isinstance(value, dict):
        return {str(to_jsonable(key)): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, RootModel):
        return to_jsonable(value.root)
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    if type(value).__name__ in NUMPY_TIMES:  # of nanoseconds, numpy makes integers
        return to_jsonable(value.astype(f"{type(value).__name__}[us]").tolist())
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return to_jsonable(value.tolist())
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return value.date().isoformat()  # how tables hold dates
    if hasattr(value, "get_secret_value"):  # shown as stars otherwise
        return to_jsonable(value.get_secret_value())
    parts = _fields_of_instance(value)
    if parts is not None:
        return {name: to_jsonable(part) for name, part in parts.items()}
    try:
        return to_jsonable_python(value, by_alias=False)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidRow.one("invalid_output", f"a {type(value).__name__} has no JSON form") from error


def _fields_of_instance(value: Any) -> dict[str, Any] | None:
    """The fields of an instance of a class, without computed ones; `None` if it has none."""
    if isinstance(value, BaseModel):
        return {**{name: getattr(value, name) for name in type(value).model_fields}, **(value.model_extra or {})}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def parse_cell(cell: str, field: Field, schema: Schema[Any]) -> Any:
    """Convert a cell of text to the JSON-able value of a field.

    Text and allowed values are taken as they stand; numbers, booleans, lists and objects are read as JSON. A union
    that takes text as well reads JSON only from what looks like a list or an object that it may be.

    Raises:
        InvalidRow: A list or object was expected and the cell is not JSON.
    """
    options = [option for option in options_of(field.node, schema.definitions) if not isinstance(option, NullNode)]
    if any(isinstance(option, LiteralNode) and cell in option.values for option in options):
        return cell
    nested = any(isinstance(option, ArrayNode | MapNode | ObjectNode) for option in options)
    texts = any(isinstance(option, StringNode) for option in options)
    bracketed = cell.lstrip()[:1] in ("[", "{")
    if texts and not (nested and bracketed):
        return cell
    try:
        return parse_json(cell.lower() if cell.strip().lower() in ("true", "false") else cell, schema.field_names)
    except InvalidJson as problem:
        if texts or not nested or len(options) > 1:
            return cell  # not JSON, so text: pydantic may still make a number of it
        raise InvalidRow.one("invalid_json", str(problem), field.name) from problem


def drop_null_padding(value: Any, schema: Schema[Any]) -> Any:
    """A record from a typed table without the nulls that only pad it.

    A null stays where the schema takes null; elsewhere it means that the key is missing.
    """
    return _without_padding(value, schema.tree, schema)


def _without_padding(value: Any, node: Any, schema: Schema[Any]) -> Any:
    if isinstance(value, dict):
        present = {key: item for key, item in value.items() if item is not None}
        chosen = choose_option(node, present, schema)
        if isinstance(chosen, MapNode):
            kept = value if accepts_null(chosen.values, schema.definitions) else present
            return {key: _without_padding(item, chosen.values, schema) for key, item in kept.items()}
        if isinstance(chosen, ObjectNode):
            return _object_without_padding(value, chosen, schema)
    if isinstance(value, list):
        chosen = choose_option(node, value, schema)
        if isinstance(chosen, MapNode) and all(isinstance(item, list) and len(item) == 2 for item in value):
            return {
                str(key): _without_padding(item, chosen.values, schema) for key, item in value
            }  # how Arrow gives its maps
        if isinstance(chosen, ArrayNode):
            nodes = [*chosen.prefix, *[chosen.items] * max(0, len(value) - len(chosen.prefix))]
            return [
                item if item_node is None else _without_padding(item, item_node, schema)
                for item, item_node in zip(value, nodes, strict=False)
            ] + value[len(nodes) :]
    return value


def _object_without_padding(value: dict[str, Any], node: ObjectNode, schema: Schema[Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, item in value.items():
        field = field_of(node, key)
        if field is None:
            if item is not None:
                kept[key] = item
        elif item is not None or accepts_null(field.node, schema.definitions):
            kept[key] = _without_padding(item, field.node, schema)
    return kept
