"""The field tree -> a JSON schema made for the grammar compiler, with nothing in it that the compiler gets wrong.

Every object is closed, keys stand in canonical order, and a default that is left out is not offered as a value
either. Knows what the compiler can take, not the compiler.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from extractft.schema.nodes import (
    MISSING,
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
    RefNode,
    StringNode,
    UnionNode,
)
from extractft.schema.regex_translation import grammar_pattern, match_length
from extractft.schema.string_formats import INTEGER_KEY, STRING_FORMATS, format_regex, shares_digits

__all__ = ["GUIDANCE", "grammar_schema", "offered", "uncounted_key_notes", "unenforced_notes"]

MAX_FIRST_KEYS = 40
"""Most known keys of a mapping of which one has to be there: the schema spells them once for each that may be first."""
GUIDANCE = {"item_separator": ",", "key_separator": ":", "whitespace_flexible": False}
"""Separators without spaces; the compiler reads them at the top level only."""

EXACT = 2**53
"""Largest integer bound that the compiler keeps exactly."""
LARGEST = 10.0**17
"""Largest number bound that the compiler takes."""
LARGEST_MULTIPLE = 1_000
"""Largest multiple: the compiler's automaton has as many states."""
ANY_NUMBER = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "number", "exclusiveMaximum": 0}]}
"""Numbers without bounds: with a bound, the compiler takes no exponents, and the canonical form has none."""
TENTHS = tuple(10.0**-places for places in range(1, 7))
"""Multiples below one that the compiler reads as a number of decimal places; others it gets wrong."""


def grammar_schema(
    tree: Node, definitions: Mapping[str, Node], *, max_string_length: int | None = None
) -> dict[str, Any]:
    """Emit the schema of a tree.

    Args:
        tree: Root node.
        definitions: Targets of the references.
        max_string_length: Most characters of a free string and of a free key. A string that has to be longer keeps
            its own least length.
    """
    emitter = _Emitter(definitions, max_string_length)
    schema: dict[str, Any] = {"x-guidance": dict(GUIDANCE), **emitter.emit(tree)}
    if definitions:
        schema["$defs"] = {emitter.names[name]: emitter.emit(node) for name, node in definitions.items()}
    return schema


class _Emitter:
    def __init__(self, definitions: Mapping[str, Node], cap: int | None) -> None:
        self.definitions = definitions
        self.names = {name: f"d{number}" for number, name in enumerate(definitions)}
        self.cap = cap

    def emit(self, node: Node) -> dict[str, Any]:  # noqa: C901 - one case for each kind of node
        match node:
            case StringNode():
                return {"type": "string", **self.string(node)}
            case IntegerNode():
                return _integer(node)
            case NumberNode():
                return _number(node)
            case BooleanNode():
                return {"type": "boolean"}
            case NullNode():
                return {"type": "null"}
            case LiteralNode(values):
                return {"enum": list(values)}
            case ArrayNode():
                return self.array(node)
            case MapNode():
                return self.map(node)
            case ObjectNode():
                return self.object(node)
            case UnionNode(options):
                return {"anyOf": [self.emit(option) for option in options]}
            case RefNode(name):
                return {"$ref": f"#/$defs/{self.names[name]}"}

    def string(self, node: StringNode) -> dict[str, Any]:
        regex = format_regex(node)
        if regex is not None:
            return {"pattern": f"^(?:{regex})$"}
        limits: dict[str, Any] = {"minLength": node.min_length} if node.min_length else {}
        pattern = _pattern(node)
        if pattern:
            limits["pattern"] = pattern
        longest = node.max_length
        if self.cap is not None:
            cap = max(self.cap, node.min_length, match_length(pattern) if pattern else 0)
            longest = cap if longest is None else min(longest, cap)
        if longest is not None:
            limits["maxLength"] = longest
        return limits

    def array(self, node: ArrayNode) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array"}
        if node.prefix:
            schema["prefixItems"] = [self.emit(item) for item in node.prefix]
        schema["items"] = False if node.items is None else self.emit(node.items)
        longest = node.max_items
        if node.unique and isinstance(node.items, LiteralNode):
            longest = len(node.items.values) if longest is None else min(longest, len(node.items.values))
        if node.min_items:
            schema["minItems"] = node.min_items
        if longest is not None:
            schema["maxItems"] = longest
        return schema

    def map(self, node: MapNode) -> dict[str, Any]:
        values = self.emit(node.values)
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
        if isinstance(node.keys, LiteralNode):
            return self.known_keys([str(key) for key in node.keys.values], values, some=node.min_items > 0)
        schema["patternProperties"] = {self.key_pattern(node.keys): values}
        if node.min_items:
            schema["minProperties"] = node.min_items
        if node.max_items is not None:
            schema["maxProperties"] = node.max_items
        return schema

    @staticmethod
    def known_keys(keys: list[str], values: dict[str, Any], *, some: bool) -> dict[str, Any]:
        """Optional keys in their order. The compiler counts no optional keys, but one of them can come first."""
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
        if not some or len(keys) > MAX_FIRST_KEYS:
            return {**schema, "properties": dict.fromkeys(keys, values)}
        later = (dict.fromkeys(keys[first:], values) for first in range(len(keys)))
        return {"anyOf": [{**schema, "properties": part, "required": [next(iter(part))]} for part in later]}

    def key_pattern(self, keys: StringNode | IntegerNode) -> str:
        if isinstance(keys, IntegerNode):
            return f"^{INTEGER_KEY}$"
        limits = self.string(keys)
        if "pattern" in limits:
            return str(limits["pattern"])
        return f"(?s)^.{{{limits.get('minLength', 0)},{limits.get('maxLength', '')}}}$"

    def object(self, node: ObjectNode) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        for field in node.fields:
            node_offered = offered(field, self.definitions)
            if node_offered is not None:
                properties[field.key] = self.emit(node_offered)
        required = [field.key for field in node.fields if field.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def offered(field: Field, definitions: Mapping[str, Node]) -> Node | None:
    """The values that may be written for a field: without its default where that is left out."""
    if field.required or field.default is MISSING:
        return field.node
    return _without(field.node, field.default, definitions)


def _without(node: Node, default: Any, definitions: Mapping[str, Node]) -> Node | None:
    """The node without one of its values, as far as it can be told apart; `None` if nothing is left."""
    match node:
        case NullNode() if default is None:
            return None
        case BooleanNode() if isinstance(default, bool):
            return LiteralNode((not default,))
        case LiteralNode(values):
            left = tuple(v for v in values if v != default or isinstance(v, bool) != isinstance(default, bool))
            return LiteralNode(left) if left else None
        case StringNode() if default == "" and node.format is None:
            return dataclasses.replace(node, min_length=max(node.min_length, 1))
        case ArrayNode() | MapNode() if default in ([], {}) and node.max_items != 0:
            return dataclasses.replace(node, min_items=max(node.min_items, 1))
        case UnionNode(options):
            offered = (_without(option, default, definitions) for option in options)
            kept = [option for option in offered if option is not None]
            return kept[0] if len(kept) == 1 else dataclasses.replace(node, options=tuple(kept)) if kept else None
        case RefNode(name) if isinstance(definitions[name], UnionNode):
            left_over = _without(definitions[name], default, definitions)
            return node if left_over == definitions[name] else left_over
    return node


def _pattern(node: StringNode) -> str | None:
    if node.pattern is None:
        return None
    return grammar_pattern(node.pattern, python=node.constraint("regex_engine") == "python-re")


def _integer(node: IntegerNode) -> dict[str, Any]:
    bounds = {"minimum": node.minimum, "maximum": node.maximum}
    schema: dict[str, Any] = {"type": "integer"}
    schema.update((name, bound) for name, bound in bounds.items() if bound is not None and abs(bound) <= EXACT)
    if node.multiple_of is not None and node.multiple_of <= LARGEST_MULTIPLE:
        schema["multipleOf"] = node.multiple_of
    return schema


def _number(node: NumberNode) -> dict[str, Any]:
    whole = node.multiple_of is not None and float(node.multiple_of).is_integer()
    schema: dict[str, Any] = {"type": "integer" if whole else "number"}
    for end, inclusive, exclusive, outward in (
        ("inimum", node.minimum, node.exclusive_minimum, math.floor),
        ("aximum", node.maximum, node.exclusive_maximum, math.ceil),
    ):
        for bound, name in ((inclusive, f"m{end}"), (exclusive, f"exclusiveM{end}")):
            if bound is not None and abs(bound) <= LARGEST:
                loose = _loosened(bound, outward, whole=whole, below=name == "maximum")
                schema[name if loose == bound else f"m{end}"] = loose
    if node.multiple_of in TENTHS or (node.multiple_of and whole and node.multiple_of <= LARGEST_MULTIPLE):
        schema["multipleOf"] = int(node.multiple_of) if whole else node.multiple_of
    return ANY_NUMBER if schema == {"type": "number"} else schema


def _loosened(bound: float, outward: Callable[[float], int], *, whole: bool, below: bool) -> float:
    """The bound itself if the compiler reads it right, else the next one outward that it does.

    Bounds of more than one decimal make the compiler refuse shorter numbers (0.7 between 0.25 and 0.75), and a
    maximum of 0 makes it refuse `0.0`.
    """
    if below and bound == 0 and not whole:
        return 0.1
    if whole or bound == round(bound, 1):
        return outward(bound) if whole else bound
    return outward(bound * 10) / 10


AFTER = "is checked after decoding, not by the grammar"
ENFORCED = ("max_digits", "decimal_places", "timezone", "version", "schemes", "regex_engine")


def uncounted_key_notes(node: MapNode) -> Iterator[str]:
    """Demands on the keys of a mapping that the grammar does not enforce: sentences, without the path."""
    if isinstance(node.keys, LiteralNode):
        count = len(node.keys.values)
        if node.min_items > 1 or (node.min_items and count > MAX_FIRST_KEYS):
            yield f"min_length={node.min_items} {AFTER}"
        if node.max_items is not None and node.max_items < count:
            yield f"max_length={node.max_items} {AFTER}"
        return
    if node.min_items > 1:
        yield f"at least {node.min_items} different keys is checked after decoding, the grammar counts repeats"
    if isinstance(node.keys, IntegerNode) and node.keys != IntegerNode():
        yield "bounds of integer keys are checked after decoding"
    if isinstance(node.keys, StringNode) and (node.keys.pattern or node.keys.format) and _has_length(node.keys):
        yield "the length of keys that have a pattern is checked after decoding"


def _has_length(node: StringNode) -> bool:
    return node.min_length > 0 or node.max_length is not None


def unenforced_notes(node: Node) -> Iterator[str]:
    """Demands of a leaf that the grammar does not enforce: sentences for the user, without the path."""
    match node:
        case StringNode():
            yield from _unenforced_pattern(node)
            outline = None if node.format is None else STRING_FORMATS[node.format].outline
            if outline is not None:
                yield f"that it is a valid {outline} {AFTER}, which knows the outline"
            if node.format is not None and node.verbatim is None:
                lengths = (("min_length", node.min_length or None), ("max_length", node.max_length))
                yield from (f"{name}={length} {AFTER}" for name, length in lengths if length is not None)
            for name, value in node.constraints:
                shared = name == "max_digits" and node.constraint("decimal_places") is None
                sign = node.format == "decimal" and name in ("ge", "gt") and Decimal(str(value)) == 0
                if not sign and (name not in ENFORCED or (shared and not shares_digits(node))):
                    yield f"{name}={value} {AFTER}"
        case IntegerNode():
            yield from (f"{name}={getattr(node, name)} {AFTER}" for name in _dropped(node, _integer(node)))
        case NumberNode():
            yield from (f"{name}={getattr(node, name)} {AFTER}" for name in _dropped(node, _number(node)))


def _unenforced_pattern(node: StringNode) -> Iterator[str]:
    if node.pattern is not None and node.verbatim is not None:
        yield f"the pattern {node.pattern!r} of a verbatim string {AFTER}"
    elif node.pattern is not None and _pattern(node) is None:
        yield f"the pattern {node.pattern!r} needs look-around, back-references or the like; it {AFTER}"


def _dropped(node: IntegerNode | NumberNode, emitted: Mapping[str, Any]) -> Iterator[str]:
    for item in dataclasses.fields(node):
        value = getattr(node, item.name)
        if value is not None and emitted.get(_camel(item.name)) != value:
            yield item.name


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
