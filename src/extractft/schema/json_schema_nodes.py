"""Pydantic's JSON schema of one place -> a node, for types that hide their shape behind a function.

Knows the plain JSON schemas that such types give; knows no core schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from extractft.schema import scalar_writers as w
from extractft.schema.container_writers import ArrayWriter
from extractft.schema.nodes import (
    ArrayNode,
    BooleanNode,
    IntegerNode,
    JsonScalar,
    LiteralNode,
    Node,
    NullNode,
    NumberNode,
    StringFormat,
    StringNode,
)
from extractft.schema.string_formats import IPV4

__all__ = ["node_of_json_schema", "node_writer", "tells_format", "unexpressed_notes"]

_FORMATS: Mapping[str, StringFormat] = {"email": "email", "uri": "uri"}
_UNCHECKED_FORMATS = ("binary", "password", "path")
"""Formats that any string has."""


def node_of_json_schema(schema: Mapping[str, Any]) -> Node | None:
    """A node for the plain JSON schemas that custom types give; `None` for all others."""
    if "enum" in schema or "const" in schema:
        values: list[JsonScalar] = schema.get("enum", [schema.get("const")])
        return LiteralNode(tuple(values)) if all(isinstance(v, str | int | float | None) for v in values) else None
    match schema.get("type"):
        case "string":
            return _string(schema)
        case "integer":
            return IntegerNode(*_whole_bounds(schema), _whole(schema.get("multipleOf")))
        case "number":
            names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
            return NumberNode(*(None if schema.get(name) is None else float(schema[name]) for name in names))
        case "boolean":
            return BooleanNode()
        case "null":
            return NullNode()
        case "array" if isinstance(schema.get("items"), Mapping):
            items = node_of_json_schema(schema["items"])
            return items and ArrayNode(items, min_items=schema.get("minItems", 0), max_items=schema.get("maxItems"))
    return None


def _string(schema: Mapping[str, Any]) -> StringNode:
    format_ = _FORMATS.get(schema.get("format", ""))
    if schema.get("format") == "ipv4":
        return StringNode(pattern=IPV4)
    pattern = None if format_ else schema.get("pattern")
    return StringNode(format_, schema.get("minLength", 0), schema.get("maxLength"), pattern)


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value == int(value) else None


def _whole_bounds(schema: Mapping[str, Any]) -> tuple[int | None, int | None]:
    lows, highs = [_whole(schema.get("minimum"))], [_whole(schema.get("maximum"))]
    above, below = _whole(schema.get("exclusiveMinimum")), _whole(schema.get("exclusiveMaximum"))
    lows.append(None if above is None else above + 1)
    highs.append(None if below is None else below - 1)
    known = [value for value in lows if value is not None], [value for value in highs if value is not None]
    return max(known[0], default=None), min(known[1], default=None)


def tells_format(schema: Mapping[str, Any]) -> bool:
    """True if the JSON schema of a type names a format that Pydantic checks."""
    return schema.get("format") not in (None, *_UNCHECKED_FORMATS)


def unexpressed_notes(schema: Mapping[str, Any], node: Node) -> Iterator[str]:
    """Demands of a type's JSON schema that its node does not hold: sentences for the user, without the path."""
    after = "is checked after decoding, not by the grammar"
    enforced = isinstance(node, StringNode) and (node.format is not None or node.pattern == IPV4)
    if schema.get("format") not in (None, *_UNCHECKED_FORMATS, *_FORMATS) and not enforced:
        yield f"the format {schema['format']} {after}"
    if isinstance(node, StringNode) and "pattern" in schema and node.pattern is None:
        yield f"the pattern {schema['pattern']!r} {after}"
    if schema.get("uniqueItems") and isinstance(node, ArrayNode) and not node.unique:
        yield f"that no item is there twice {after}"


def node_writer(node: Node) -> w.Writer:
    """A writer for the nodes that `node_of_json_schema` makes."""
    match node:
        case LiteralNode(values):
            return w.LiteralWriter(values)
        case ArrayNode(items=items) if items is not None:
            return ArrayWriter(node_writer(items))
        case NumberNode(multiple_of=float(multiple)) if multiple.is_integer():
            return w.write_whole
    return _SIMPLE[type(node)]


_SIMPLE: Mapping[type[Any], w.Writer] = {
    StringNode: w.write_str,
    IntegerNode: w.write_int,
    NumberNode: w.write_float,
    BooleanNode: w.write_bool,
    NullNode: w.write_none,
}
