"""Columns of a table for the records of a schema: Arrow types where the tree has one for a field, JSON text elsewhere.

Knows field trees and Arrow; knows no rows of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from extractft.schema import Schema
from extractft.schema.nodes import (
    ArrayNode,
    BooleanNode,
    IntegerNode,
    LiteralNode,
    Node,
    NullNode,
    NumberNode,
    ObjectNode,
    RefNode,
    StringNode,
    options_of,
)

__all__ = ["ColumnKind", "RecordColumn", "input_column_name", "json_text", "record_columns"]

INPUT_PREFIX = "input_"
"""Before the name of a column of the input that a new column has as well."""
WHOLE = "record"
"""The one column of records that are no objects."""


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """A kind of column.

    Attributes:
        arrow: The Arrow type.
        write: Turns a JSON value into one that the type takes; `None` if it does as it is.
    """

    arrow: Any
    write: Callable[[Any], Any] | None = None

    def written(self, value: Any) -> Any:
        """A value as the type takes it."""
        return value if value is None or self.write is None else self.write(value)


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A column for a part of the record.

    Attributes:
        name: Its name.
        key: The key in the record, `None` for the record as a whole.
        kind: Its kind.
    """

    name: str
    key: str | None
    kind: ColumnKind

    def value(self, record: Any) -> Any:
        """The column's value of a record."""
        return self.kind.written(record if self.key is None else record.get(self.key))


def input_column_name(name: str, taken: Collection[str]) -> str:
    """The name of a column of the input beside new ones: its own, or with `input_` before it where that is taken."""
    while name in taken:
        name = f"{INPUT_PREFIX}{name}"
    return name


def json_text(value: Any) -> str:
    """A value as JSON text."""
    return to_json(value, inf_nan_mode="strings").decode("utf-8")


def record_columns(schema: Schema[Any]) -> list[RecordColumn]:
    """The columns of a schema's records, in the order of its fields."""
    root = schema.resolve(schema.tree)
    if not isinstance(root, ObjectNode) or not root.fields:
        return [RecordColumn(WHOLE, None, _json())]
    return [RecordColumn(field.key, field.key, _kind(field.node, schema, ())) for field in root.fields]


def _json() -> ColumnKind:
    import pyarrow

    return ColumnKind(pyarrow.string(), json_text)


def _kind(node: Node, schema: Schema[Any], above: tuple[str, ...]) -> ColumnKind:
    """The kind of column for the values of a node; `above` are the definitions that it stands in."""
    import pyarrow

    if isinstance(node, RefNode):
        if node.name in above:
            return _json()
        above = (*above, node.name)
    options = [option for option in options_of(node, schema.definitions) if not isinstance(option, NullNode)]
    if options and all(isinstance(option, IntegerNode | NumberNode) for option in options):
        whole = all(isinstance(option, IntegerNode) for option in options)
        return ColumnKind(pyarrow.int64()) if whole else ColumnKind(pyarrow.float64(), _exact_float)
    if len(options) != 1:
        return _json()
    match options[0]:
        case StringNode():
            return ColumnKind(pyarrow.string())
        case BooleanNode():
            return ColumnKind(pyarrow.bool_())
        case LiteralNode(values=values):
            return _literal_kind(values)
        case ArrayNode(items=items, prefix=()) if items is not None:
            return _list_kind(_kind(items, schema, above))
        case ObjectNode() as found if found.fields:
            return _struct_kind({field.key: _kind(field.node, schema, above) for field in found.fields})
    return _json()


def _exact_float(value: Any) -> float:
    """A number as a float.

    Raises:
        ValueError: It is an integer that none is equal to.
    """
    found = float(value)
    if found != value and found == found:  # not a number is equal to nothing
        raise ValueError("an integer that no float is equal to")
    return found


def _literal_kind(values: Sequence[Any]) -> ColumnKind:
    import pyarrow

    types = {type(value) for value in values if value is not None}
    for kind, arrow in ((str, pyarrow.string()), (bool, pyarrow.bool_()), (int, pyarrow.int64())):
        if types == {kind}:
            return ColumnKind(arrow)
    return _json()


def _list_kind(item: ColumnKind) -> ColumnKind:
    import pyarrow

    if item.write is None:
        return ColumnKind(pyarrow.list_(item.arrow))
    return ColumnKind(pyarrow.list_(item.arrow), lambda values: [item.written(value) for value in values])


def _struct_kind(fields: Mapping[str, ColumnKind]) -> ColumnKind:
    import pyarrow

    def write(value: Any) -> Any:
        return {key: kind.written(value.get(key)) for key, kind in fields.items()}

    return ColumnKind(pyarrow.struct([(key, kind.arrow) for key, kind in fields.items()]), write)
