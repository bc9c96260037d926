"""Grammars that depend on the text: a string that is marked verbatim may spell substrings of it and nothing else.

A schema becomes a Lark grammar once, with the text still missing; what holds no verbatim string stays a JSON schema
inside it. Knows the field tree and characters; knows no tokens and no model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from extractft.schema import (
    ArrayNode,
    Field,
    IntegerNode,
    LiteralNode,
    MapNode,
    Node,
    ObjectNode,
    RefNode,
    StringNode,
    UnionNode,
    verbatim_sources,
)
from extractft.schema.grammar_schema import GUIDANCE, grammar_schema, offered
from extractft.schema.nodes import children
from extractft.schema.string_formats import INTEGER_KEY, format_regex

__all__ = ["VerbatimGrammar"]

_CHARACTER = r"([^\\]|\\[^u]|\\u[0-9a-f]{4})"
"""One character of a JSON string, which may be escaped."""
_LONGEST = 4096
"""Beyond this, counting characters costs the lexer more states than it may have; Pydantic counts them afterwards."""
_CONTAINERS = (ArrayNode, MapNode, ObjectNode, UnionNode, RefNode)


class VerbatimGrammar:
    """The Lark grammar of one schema, ready for any text.

    Args:
        tree: Root of the field tree.
        definitions: Targets of its references.
        max_string_length: Most characters of a string that is not verbatim.
    """

    def __init__(self, tree: Node, definitions: Mapping[str, Node], *, max_string_length: int | None) -> None:
        emitter = _Emitter(definitions, max_string_length)
        self._rules = emitter.grammar(tree)
        self._normalized = emitter.normalized

    def source(self, text: str) -> str:
        """The grammar for a text.

        Args:
            text: What may be copied from, normalised as the model sees it; not empty.
        """
        sources = verbatim_sources(text, "normalized" if self._normalized else "exact")
        lines = [self._rules]
        for number, view in enumerate(sources):
            lines.append(f'VIEW{number}: %regex {{"substring_chunks": [{",".join(map(_chunk, view))}]}}')
        lines.append("EXACT: VIEW0")
        if self._normalized:
            lines.append("NORMALIZED: " + " | ".join(f"VIEW{number}" for number in range(len(sources))))
        return "\n".join(lines)


@lru_cache(maxsize=65_536)
def _chunk(character: str) -> str:
    """A JSON string that holds the JSON escape of a character."""
    # DEL is escaped in the canonical form, though JSON does not ask for it
    escaped = "\\u007f" if character == "\x7f" else json.dumps(character, ensure_ascii=False)[1:-1]
    return json.dumps(escaped, ensure_ascii=False)


class _Emitter:
    """Writes the rules of a tree.

    Attributes:
        normalized: Whether some string is verbatim up to normalisation only.
    """

    def __init__(self, definitions: Mapping[str, Node], cap: int | None) -> None:
        self.normalized = False
        self._definitions = definitions
        self._cap = cap
        self._names = {name: f"d{number}" for number, name in enumerate(definitions)}
        self._marked = _marked_definitions(definitions)
        self._plain = {name: node for name, node in definitions.items() if name not in self._marked}
        self._rules: dict[str, str] = {}
        self._wanted: dict[str, None] = {}
        self._written: set[str] = set()

    def grammar(self, tree: Node) -> str:
        """All rules, without the terminals EXACT and NORMALIZED."""
        named = [("start", self._emit(tree))]
        while self._wanted:
            name = self._wanted.popitem()[0]
            self._written.add(name)
            named.append((self._names[name], self._emit(self._definitions[name], spelled=True)))
        named += [(name, body) for body, name in self._rules.items()]
        return "\n".join(f"{name}: {body}" for name, body in named)

    def _named(self, body: str, prefix: str = "r") -> str:
        """A rule of its own for `body`; equal bodies share one."""
        return self._rules.setdefault(body, f"{prefix}{len(self._rules)}")

    def _emit(self, node: Node, *, spelled: bool = False) -> str:
        """Expression that stands for a node in a rule.

        With `spelled`, objects and arrays without verbatim strings are spelled out as well. Alternatives have to
        be of one kind: the lexer takes a key with its colon for one piece here and for two in a JSON schema.
        """
        marked = _is_marked(node, self._marked)
        if not marked and not (spelled and isinstance(node, _CONTAINERS)):
            return self._json(grammar_schema(node, self._plain, max_string_length=self._cap))
        match node:
            case StringNode():
                return self._string(node)
            case ArrayNode():
                return self._array(node, spelled)
            case MapNode():
                return self._map(node, spelled)
            case ObjectNode(fields=fields):
                return self._object(fields, spelled)
            case UnionNode(options=options):
                return self._named(" | ".join(self._emit(option, spelled=True) for option in options))
            case RefNode(name=name):
                if name not in self._written:
                    self._wanted[name] = None
                return self._names[name]
        raise AssertionError(node)

    def _json(self, schema: Mapping[str, Any]) -> str:
        whole = {**schema, "x-guidance": GUIDANCE}
        if "#/$defs/" not in json.dumps({key: value for key, value in schema.items() if key != "$defs"}):
            whole.pop("$defs", None)
        return self._named("%json " + json.dumps(whole, ensure_ascii=False))

    def _string(self, node: StringNode) -> str:
        self.normalized |= node.verbatim == "normalized"
        most = "" if node.max_length is None or node.max_length > _LONGEST else str(node.max_length)
        least = min(max(node.min_length, 1), _LONGEST)
        length = f"{_CHARACTER}{{{least},{most}}}" if most or least > 1 else "(?s:.+)"
        parts = [str(node.verbatim).upper(), f"/{length}/"]
        regex = format_regex(node)
        if regex is not None:
            parts.append("/" + re.sub(r"(?<!\\)/", r"\\/", regex) + "/")
        return self._named(rf'"\"" ({" & ".join(parts)}) "\""', "S")

    def _array(self, node: ArrayNode, spelled: bool) -> str:
        fixed = [self._emit(item, spelled=spelled) for item in node.prefix]
        if node.items is None:
            return self._named(_sequence('"["', ' "," '.join(fixed), '"]"'))
        item = self._emit(node.items, spelled=spelled)
        if not fixed:
            return self._named(_sequence('"["', self._repeated(item, node.min_items, node.max_items), '"]"'))
        least, most = node.min_items - len(fixed), _less(node.max_items, len(fixed))
        more = f'("," {item}){{{max(least, 0)},{"" if most is None else most}}}'
        return self._named(_sequence('"["', ' "," '.join(fixed), more if most != 0 else "", '"]"'))

    def _map(self, node: MapNode, spelled: bool) -> str:
        if isinstance(node.keys, LiteralNode):
            keys = [Field(str(key), str(key), node.values, required=False) for key in node.keys.values]
            return self._object(keys, spelled, some=node.min_items > 0)
        if isinstance(node.keys, IntegerNode):
            key = self._json({"type": "string", "pattern": f"^{INTEGER_KEY}$"})
        else:
            key = self._emit(node.keys)
        pair = self._named(f'{key} ":" {self._emit(node.values, spelled=spelled)}')
        return self._named(_sequence('"{"', self._repeated(pair, node.min_items, node.max_items), '"}"'))

    @staticmethod
    def _repeated(item: str, least: int, most: int | None) -> str:
        if most is not None and most <= 0:
            return ""
        more = "" if most is None else str(most - 1)
        some = f'{item} ("," {item}){{{max(least - 1, 0)},{more}}}'
        return some if least > 0 else f"({some})?"

    def _object(self, fields: Sequence[Field], spelled: bool, *, some: bool = False) -> str:
        """A chain of rules, linear in the number of fields: what may follow the fields before, with or without one.

        With `some`, there is at least one of them.
        """
        pairs = []
        for field in fields:
            node = offered(field, self._definitions)
            if node is not None:
                pairs.append((self._pair(field.key, self._emit(node, spelled=spelled)), field.required))
        first = rest = ""
        for pair, required in reversed(pairs):
            begun = _sequence(pair, rest)
            first = begun if required or not first else f"{begun} | {self._named(first)}"
            rest = self._named(_sequence(f'"," {pair}' if required else f'("," {pair})?', rest))
        optional = not some and not any(required for _, required in pairs)
        return self._named(f'"{{" ({first}){"?" if optional else ""} "}}"' if pairs else '"{}"')

    def _pair(self, key: str, value: str) -> str:
        name = json.dumps(json.dumps(key, ensure_ascii=False) + ":", ensure_ascii=False)
        return self._named(f"{name} {value}")


def _is_marked(node: Node, marked: set[str]) -> bool:
    """True if there is a verbatim string somewhere in the node."""
    match node:
        case StringNode(verbatim=verbatim):
            return verbatim is not None
        case RefNode(name=name):
            return name in marked
        case MapNode(keys=StringNode(verbatim=str())):
            return True
    return any(_is_marked(child, marked) for child in children(node))


def _marked_definitions(definitions: Mapping[str, Node]) -> set[str]:
    """The definitions with a verbatim string in them or in what they refer to."""
    marked: set[str] = set()
    while True:
        more = {name for name, node in definitions.items() if _is_marked(node, marked)}
        if more == marked:
            return marked
        marked = more


def _sequence(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _less(number: int | None, taken: int) -> int | None:
    return None if number is None else number - taken
