"""A record taken apart into its values with their paths, and put together again. Knows the field tree, no format.

A piece is a scalar, an empty list or object, or a whole map, whose keys are data and would be no path. Within the path
of a piece, the positions in lists are its items: `lines.1.total` is the item 1 of `lines.*.total`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from extractft.data.raw_row import InvalidRow
from extractft.data.table_values import parse_cell
from extractft.schema import ArrayNode, Field, MapNode, Node, ObjectNode, Schema
from extractft.schema.nodes import options_of
from extractft.schema.records import Visit, field_of, walk

__all__ = ["Piece", "label_of", "node_at", "read_cell", "record_of", "record_pieces", "write_cell"]


class Piece(NamedTuple):
    """A value of a record.

    Attributes:
        path: Its path, `lines.1.total`.
        label: The same for all records, `lines.*.total`.
        value: The JSON value.
        is_text: True if it is a scalar, and not null: it may stand in the text.
    """

    path: str
    label: str
    value: Any
    is_text: bool = True


def record_pieces(record: Any, schema: Schema[Any]) -> Iterator[Piece]:
    """The pieces of a record, in the order in which it is written."""
    for visit in walk(record, schema):
        if _in_map(visit) or (_is_open(visit) and not isinstance(visit.node, MapNode)):
            continue
        scalar = visit.value is not None and not isinstance(visit.value, dict | list)
        yield Piece(visit.path, visit.pattern, visit.value, scalar)


def record_of(pieces: Mapping[str, Any], schema: Schema[Any]) -> Any:
    """The record that pieces make, by path, for a parser to validate; items of lists close up where some are missing.

    Raises:
        InvalidRow: A path is none of the schema.
    """
    if "" in pieces:
        return pieces[""]
    tree: dict[str, Any] = {}
    for path, value in pieces.items():
        *above, last = path.split(".")
        inner = tree
        for step in above:
            inner = inner.setdefault(step, _Inner())
            if not isinstance(inner, _Inner):
                raise InvalidRow.one("invalid_output", "a value stands where another has values inside", path)
        inner.setdefault(last, value)
    return _assembled(_Inner(tree), schema.tree, schema, "")


def node_at(label: str, schema: Schema[Any]) -> Node | None:
    """The node of a label or a path; `None` if the schema has none there."""
    nodes: list[Node] = [schema.tree]
    for step in label.split(".") if label else ():
        nodes = [found for node in nodes for found in _inside(node, step, schema)]
    return nodes[0] if nodes else None


def label_of(path: str, schema: Schema[Any]) -> str:
    """The label of a path: positions in lists as `*`."""
    steps, labels = path.split(".") if path else [], []
    for count, step in enumerate(steps):
        above = node_at(".".join(steps[:count]), schema)
        arrays = [] if above is None else _arrays(above, schema)
        free = any(step.isdigit() and int(step) >= len(array.prefix) for array in arrays)
        labels.append("*" if free else step)
    return ".".join(labels)


def read_cell(text: str, label: str, schema: Schema[Any]) -> Any:
    """The value that words in a text or a form mean for a field, as in a cell of a table.

    Raises:
        InvalidRow: The schema has no such field.
    """
    node = node_at(label, schema)
    if node is None:
        raise InvalidRow.one("unknown_key", "expected a label that is a field of the schema, found another", label)
    return parse_cell(text, Field(label, label, node, required=True), schema)


def write_cell(value: Any, label: str, schema: Schema[Any]) -> str | None:
    """The words for a value that `read_cell` reads again; `None` if there are none."""
    for words in (value,) if isinstance(value, str) else (json.dumps(value, ensure_ascii=False), str(value)):
        try:
            read = read_cell(words, label, schema)
        except InvalidRow:
            continue
        if read == value and type(read) is type(value):
            return words
    return None


class _Inner(dict[str, Any]):
    """Values inside of a value, by step; apart from a value that is an object."""


def _in_map(visit: Visit) -> bool:
    above = visit.parent
    while above is not None:
        if isinstance(above.node, MapNode):
            return True
        above = above.parent
    return False


def _is_open(visit: Visit) -> bool:
    """True if there are values inside that are met on the way."""
    return not visit.is_leaf and bool(visit.value)


def _inside(node: Node, step: str, schema: Schema[Any]) -> Iterator[Node]:
    """The nodes one step further, by the name of a field, a position or `*`."""
    for option in options_of(node, schema.definitions):
        if isinstance(option, ObjectNode):
            field = field_of(option, step)
            if field is not None:
                yield field.node
        elif isinstance(option, ArrayNode) and (step == "*" or step.isdigit()):
            item = option.items if step == "*" else option.item_node(int(step))
            if item is not None:
                yield item


def _arrays(node: Node, schema: Schema[Any]) -> list[ArrayNode]:
    return [option for option in options_of(node, schema.definitions) if isinstance(option, ArrayNode)]


def _assembled(inner: Mapping[str, Any], node: Node, schema: Schema[Any], path: str) -> Any:
    """The list or the object of values that are inside of it."""
    if all(step.isdigit() for step in inner) and inner and _arrays(node, schema):
        steps: Iterable[str] = sorted(inner, key=int)
        return [_value(inner[step], node, step, schema, f"{path}.{step}") for step in steps]
    if not inner and _arrays(node, schema):
        return []
    made: dict[str, Any] = {}
    for step, value in inner.items():
        key = _key(node, step, schema)
        if key is None:
            raise InvalidRow.one("unknown_key", "expected a field of the schema, found another", path.lstrip("."))
        made[key] = _value(value, node, step, schema, f"{path}.{step}")
    return made


def _value(value: Any, node: Node, step: str, schema: Schema[Any], path: str) -> Any:
    if not isinstance(value, _Inner):
        return value
    below = list(_inside(node, step, schema))
    steps = list(value)
    fitting = [found for found in below if all(any(True for _ in _inside(found, inner, schema)) for inner in steps)]
    if not below:
        raise InvalidRow.one("unknown_key", "expected a field of the schema, found another", path.lstrip("."))
    return _assembled(value, (fitting or below)[0], schema, path)


def _key(node: Node, step: str, schema: Schema[Any]) -> str | None:
    for option in options_of(node, schema.definitions):
        field = field_of(option, step) if isinstance(option, ObjectNode) else None
        if field is not None:
            return field.key
    return None
