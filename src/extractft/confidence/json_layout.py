"""Layout of the JSON that a model wrote: places of values, gaps and turns. Knows canonical JSON and the field tree.

Works on bytes, one character each (latin-1), since tokens may split a character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from extractft.schema import ArrayNode, MapNode, Node, ObjectNode, Schema
from extractft.schema.record_paths import join_path
from extractft.schema.records import choose_option
from extractft.schema.scalar_writers import dumps

__all__ = ["CLOSERS", "Gap", "Layout", "Turn", "layout_of"]

CLOSERS = ",}]"
"""Characters that may stand behind a number, `true`, `false` or `null`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A place in an object where the next key, or the closing bracket, was chosen.

    Attributes:
        start: Where it begins: behind the value before, or behind the opening bracket.
        continuations: What could follow, in the order of the schema: the path of a field and how its key begins,
            and at last `None` and the closing bracket.
        chosen: Which of them follows.
    """

    start: int
    continuations: tuple[tuple[str | None, str], ...]
    chosen: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A place in a list or a map, behind an item or the opening bracket, where it went on or was closed."""

    at: int
    closed: bool


@dataclass(slots=True)
class Layout:
    """Places in one record.

    Attributes:
        values: Start and end of each scalar by path, quotes included.
        gaps: The choices between fields.
        turns: By path, the choices of lists and maps to go on or to end.
    """

    values: dict[str, tuple[int, int]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    turns: dict[str, list[Turn]] = field(default_factory=dict)


def layout_of(line: str, schema: Schema[Any]) -> Layout:
    """Find everything in the JSON text of a record.

    Args:
        line: The text's bytes, each as one character.
        schema: The schema of the record.
    """
    reader = _Reader(line, schema)
    reader.value(0, json.loads(line.encode("latin-1")), schema.tree, "")
    return reader.layout


class _Reader:
    """Walks text, value and field tree side by side; each step returns where it ends in the text."""

    def __init__(self, line: str, schema: Schema[Any]) -> None:
        self.layout = Layout()
        self._line = line
        self._schema = schema

    def value(self, at: int, value: Any, node: Node, path: str) -> int:
        node = choose_option(node, value, self._schema)
        if isinstance(value, dict):
            if isinstance(node, ObjectNode):
                return self._object(at, value, node, path)
            return self._entries(at, value, node, path)
        if isinstance(value, list):
            return self._array(at, value, node, path)
        end = self._scalar(at)
        self.layout.values[path] = (at, end)
        return end

    def _scalar(self, at: int) -> int:
        if self._line[at] == '"':
            return int(scanstring(self._line, at + 1)[1])
        while at < len(self._line) and self._line[at] not in CLOSERS:
            at += 1
        return at

    def _object(self, at: int, value: Mapping[str, Any], node: ObjectNode, path: str) -> int:
        known = {item.key: (index, item) for index, item in enumerate(node.fields)}
        end, first = at + 1, 0
        for key, member in value.items():
            index, item = known[key]
            self._gap(end, node, path, first, index)
            start = self._scalar(end + (self._line[end] == ",")) + 1
            end, first = self.value(start, member, item.node, join_path(path, item.name)), index + 1
        self._gap(end, node, path, first, len(node.fields))
        return end + 1

    def _gap(self, at: int, node: ObjectNode, path: str, first: int, chosen: int) -> None:
        comma = "" if self._line[at - 1] == "{" else ","
        fields = [
            (join_path(path, item.name), comma + dumps(item.key).encode().decode("latin-1") + ":")
            for item in node.fields[first:]
        ]
        self.layout.gaps.append(Gap(at, (*fields, (None, "}")), chosen - first))

    def _entries(self, at: int, value: Mapping[str, Any], node: Node, path: str) -> int:
        end, turns = at + 1, []
        for key, member in value.items():
            turns.append(Turn(end, closed=False))
            start = self._scalar(end + (self._line[end] == ",")) + 1
            inner = node.values if isinstance(node, MapNode) else node
            end = self.value(start, member, inner, join_path(path, key))
        self.layout.turns[path] = [*turns, Turn(end, closed=True)]
        return end + 1

    def _array(self, at: int, value: list[Any], node: Node, path: str) -> int:
        prefix, items = (node.prefix, node.items) if isinstance(node, ArrayNode) else ((), node)
        end, turns = at + 1, []
        for index, member in enumerate(value):
            turns.append(Turn(end, closed=False))
            inner = prefix[index] if index < len(prefix) else items
            end = self.value(end + (self._line[end] == ","), member, inner or node, join_path(path, str(index)))
        if items is not None:
            self.layout.turns[path] = [*turns, Turn(end, closed=True)]
        return end + 1
