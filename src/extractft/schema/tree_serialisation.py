"""The tree as plain JSON and back, its fingerprint, and where two differ. Knows nodes only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from extractft.errors import SchemaError
from extractft.schema import nodes as n
from extractft.schema.record_paths import join_path

__all__ = ["differences", "fingerprint", "node_from_dict", "node_to_dict"]

KINDS: Mapping[str, Any] = {
    "string": n.StringNode,
    "integer": n.IntegerNode,
    "number": n.NumberNode,
    "boolean": n.BooleanNode,
    "null": n.NullNode,
    "literal": n.LiteralNode,
    "array": n.ArrayNode,
    "map": n.MapNode,
    "object": n.ObjectNode,
    "union": n.UnionNode,
    "ref": n.RefNode,
}
NAMES = {cls: kind for kind, cls in KINDS.items()}
NODES = tuple(NAMES)
WORDS = frozenset({"description"})
"""Attributes that say something to people and to the model."""
RULES = frozenset({"verbatim"})
"""Attributes that bind the decoder and do not change what a record looks like."""
LATER = frozenset({"merge"})
"""Attributes about what happens to records once they are there."""


def node_to_dict(node: n.Node) -> dict[str, Any]:
    """A JSON-able form of a node and all beneath it; attributes at their defaults are left out."""
    return {"kind": NAMES[type(node)], **_attributes(node)}


def _attributes(value: Any) -> dict[str, Any]:
    items = {}
    for item in dataclasses.fields(value):
        attribute = getattr(value, item.name)
        left_out = n.MISSING if item.name == "default" else item.default
        if attribute is left_out or (attribute == left_out and type(attribute) is type(left_out)):
            continue
        items[item.name] = attribute if item.name == "default" else _plain(attribute)
    return items


def _plain(value: Any) -> Any:
    if isinstance(value, NODES):
        return node_to_dict(value)
    if isinstance(value, n.Field):
        return _attributes(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def node_from_dict(data: Mapping[str, Any]) -> n.Node:
    """The node that `node_to_dict` wrote.

    Raises:
        SchemaError: The data is none of these forms.
    """
    try:
        node: n.Node = _node(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise SchemaError(f"expected a stored field tree, found something else: {error!r}") from error
    return node


def _node(data: Mapping[str, Any]) -> Any:
    attributes = {name: _attribute(name, value) for name, value in data.items() if name != "kind"}
    return KINDS[data["kind"]](**attributes)


def _attribute(name: str, value: Any) -> Any:
    match name:
        case "fields":
            return tuple(
                n.Field(**{key: item if key == "default" else _attribute(key, item) for key, item in field.items()})
                for field in value
            )
        case "items" | "node" | "values" | "keys" if isinstance(value, Mapping):
            return _node(value)
        case "options" | "prefix":
            return tuple(map(_node, value))
        case "constraints":
            return tuple((key, item) for key, item in value)
    return tuple(value) if isinstance(value, list) else value


def fingerprint(tree: n.Node, definitions: Mapping[str, n.Node], *, omit_defaults: bool, decoding: bool = False) -> str:
    """SHA-256 (hex) over everything that decides what a record looks like; descriptions do not.

    With `decoding` also over what only binds the decoder, such as whether a string is verbatim.
    """
    whole = {
        "tree": node_to_dict(tree),
        "definitions": {name: node_to_dict(node) for name, node in definitions.items()},
        "omit_defaults": omit_defaults,
    }
    left_out = WORDS | LATER if decoding else WORDS | LATER | RULES
    text = json.dumps(_without(left_out, whole), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _without(names: frozenset[str], value: Any, in_default: bool = False) -> Any:
    """The value without the attributes of nodes and fields that are called so; defaults are data and stay whole."""
    if isinstance(value, Mapping):
        return {
            key: _without(names, item, in_default or key == "default")
            for key, item in value.items()
            if in_default or key not in names or not isinstance(item, str)
        }
    return [_without(names, item, in_default) for item in value] if isinstance(value, list) else value


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Paths at which two JSON values differ, descriptions aside; fields are told by their names, not their places."""
    if isinstance(expected, list) and isinstance(found, list):
        expected, found = ({_name(item, index): item for index, item in enumerate(side)} for side in (expected, found))
        if list(expected) != list(found) and sorted(expected) == sorted(found):
            yield f"{path} (their order)"
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            if key not in ("description", "fingerprint"):
                yield from differences(expected.get(key), found.get(key), join_path(path, key))
    elif expected != found:
        yield path


def _name(item: Any, index: int) -> str:
    return str(item["name"]) if isinstance(item, dict) and "name" in item else str(index)
