"""Token budget of a record: generous to every honest record, finite for a model that never stops.

Reads the schema's tree. Knows no tokenizer beyond a function that counts, and no model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    StringNode,
    UnionNode,
)

__all__ = ["RecordSize", "TokenCounter", "token_budget"]

TokenCounter = Callable[[str], int]

# What is granted beyond the text's own tokens, which values are mostly copied from.
_MARGIN = 96
_FREE_VALUE = 8
_NUMBER = 10
_FORMATTED = 24
_UUID = 40
_CONSTANT = 3

# What a text of n tokens can hold: n tokens copied twice over (escaped, in two fields, or retold), and one value of a
# list item in every two tokens.
_COPIES = 2
_TOKENS_PER_VALUE = 2
_SURE_ITEMS = 4


def _utf8_length(text: str) -> int:
    """No byte-level tokenizer takes more tokens than bytes."""
    return len(text.encode())


@dataclass(frozen=True, slots=True)
class _Extent:
    """Tokens of one value, and how many scalars it is made of."""

    tokens: int
    scalars: int = 1

    def __add__(self, other: _Extent) -> _Extent:
        return _Extent(self.tokens + other.tokens, self.scalars + other.scalars)

    def __mul__(self, times: int) -> _Extent:
        return _Extent(self.tokens * times, self.scalars * times)


def _marks(tokens: int) -> _Extent:
    """Keys and punctuation."""
    return _Extent(tokens, scalars=0)


@dataclass(frozen=True, slots=True)
class RecordSize:
    """Length that a schema's records may have.

    Attributes:
        fixed: Tokens of one record with every field there and one item in every list.
        item: Tokens of the largest thing that may be repeated: a list item, a map entry, a level of recursion. 0 if
            nothing repeats.
        item_rate: The most tokens that a repeated thing takes for each scalar in it.
    """

    fixed: int
    item: int
    item_rate: float

    @classmethod
    def of(cls, schema: Schema[Any], count: TokenCounter = _utf8_length) -> RecordSize:
        """Measure a schema.

        Args:
            schema: The schema.
            count: Tokens of a string; without it one token a byte is assumed, which no byte-level tokenizer exceeds.
        """
        measure = _Measure(schema, count)
        fixed = measure.extent(schema.tree, ()).tokens
        return cls(
            fixed=fixed,
            item=max((extent.tokens for extent in measure.repeated), default=0),
            item_rate=max((extent.tokens / max(1, extent.scalars) for extent in measure.repeated), default=0.0),
        )

    def budget(self, text_tokens: int) -> int:
        """New tokens for the record of a text of `text_tokens` tokens, the end token included."""
        repeated = _SURE_ITEMS * self.item + round(self.item_rate * text_tokens / _TOKENS_PER_VALUE)
        return _MARGIN + self.fixed + _COPIES * text_tokens + repeated


class _Measure:
    """Walks a tree once, adding up tokens and noting what may be repeated."""

    def __init__(self, schema: Schema[Any], count: TokenCounter) -> None:
        self._schema = schema
        self._count = count
        self._recursive: set[str] = set()
        self._known: dict[str, _Extent] = {}
        self.repeated: list[_Extent] = []

    def extent(self, node: Node, inside: tuple[str, ...]) -> _Extent:
        """Tokens and text that one value of `node` takes; `inside` names the definitions around it."""
        match node:
            case RefNode():
                return self._reference(node, inside)
            case ObjectNode():
                return self._object(node, inside)
            case ArrayNode():
                return self._array(node, inside)
            case MapNode():
                entry = _marks(2) + _Extent(_FREE_VALUE) + self.extent(node.values, inside)
                return _marks(2) + self._repeat(entry, node.min_items)
            case UnionNode():
                return max((self.extent(option, inside) for option in node.options), key=lambda extent: extent.tokens)
            case LiteralNode():
                return _Extent(max(self._count(json.dumps(value, ensure_ascii=False)) for value in node.values))
            case StringNode():
                return _Extent(2 + _string_tokens(node))
            case IntegerNode() | NumberNode():
                return _Extent(_NUMBER)
            case BooleanNode() | NullNode():
                return _Extent(_CONSTANT)

    def _reference(self, node: RefNode, inside: tuple[str, ...]) -> _Extent:
        if node.name in inside:
            # A deeper level of recursion: counted with the outermost one, when that has been walked.
            self._recursive.add(node.name)
            return _marks(0)
        if node.name in self._known:
            return self._known[node.name]
        extent = self._known[node.name] = self.extent(self._schema.resolve(node), (*inside, node.name))
        if node.name in self._recursive:
            self.repeated.append(extent)
        return extent

    def _object(self, node: ObjectNode, inside: tuple[str, ...]) -> _Extent:
        total = _marks(2)
        for field in node.fields:
            key = json.dumps(field.key, ensure_ascii=False)
            total += _marks(self._count(f",{key}:")) + self.extent(field.node, inside)
        return total

    def _array(self, node: ArrayNode, inside: tuple[str, ...]) -> _Extent:
        total = _marks(2)
        for item in node.prefix:
            total += _marks(1) + self.extent(item, inside)
        if node.items is not None:
            total += self._repeat(_marks(1) + self.extent(node.items, inside), node.min_items)
        return total

    def _repeat(self, extent: _Extent, at_least: int) -> _Extent:
        self.repeated.append(extent)
        return extent * max(1, at_least)


def _string_tokens(node: StringNode) -> int:
    if node.format == "uuid":
        return _UUID
    if node.format is not None:
        return _FORMATTED
    # Rare characters take up to four tokens.
    return max(_FREE_VALUE, 4 * node.min_length)


def token_budget(schema: Schema[Any], text_tokens: int, *, count: TokenCounter = _utf8_length) -> int:
    """New tokens that the record of one text may take, the end token included.

    The keys and fixed values of the schema once, two copies of the text, and as many list items as the text can
    speak of. `RecordSize.of(schema, count).budget(text_tokens)` is the same, cheaper for many texts.

    Args:
        schema: The schema.
        text_tokens: Length of the text.
        count: Tokens of a string; without it one token a byte is assumed, which no byte-level tokenizer exceeds.
    """
    return RecordSize.of(schema, count).budget(text_tokens)
