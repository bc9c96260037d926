"""Which part of a raw row is the text and which is the output. Knows the shapes rows come in, parses no output.

Rows are pairs, mappings with `text` and `output`, mappings with a column for each field of the schema, instruction
rows (`instruction`, `input`, `output`) or chats (`messages`). System prompts in them are left aside: the prompt is
made from the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from extractft.data.cells import cell_value, plain
from extractft.data.example import Example
from extractft.data.jsontext import column_list, shown_name
from extractft.data.row import RowProblem
from extractft.data.source import Source
from extractft.data.walk import takes_null
from extractft.errors import DatasetError
from extractft.schema import Field, ObjectNode, Schema

__all__ = ["Layout"]

Parts = tuple[Any, Any]


class Layout:
    """Takes raw rows apart.

    Args:
        schema: What the outputs will be.
        source: Where the rows come from.
        columns: Our names (`text`, `output`, a field's key or name) to the names that the rows have.

    Raises:
        DatasetError: `columns` maps a name that is none of ours.
    """

    def __init__(self, schema: Schema[Any], source: Source, columns: Mapping[str, str] | None = None) -> None:
        self.schema = schema
        self.kind = source.kind
        self.columns = dict(columns or {})
        root = schema.resolve(schema.tree)
        self.fields: tuple[Field, ...] = root.fields if isinstance(root, ObjectNode) else ()
        self._check_names()
        self.text = self.columns.get("text", "text")
        self.output = self.columns.get("output", "output")
        self.mapped_fields = any(name not in ("text", "output") for name in self.columns)
        if source.columns is not None:
            self._check_table(source.name, source.columns)

    def _check_names(self) -> None:
        names = {"text", "output"} | {field.key for field in self.fields} | {field.name for field in self.fields}
        unknown = [name for name in self.columns if name not in names]
        if unknown:
            raise DatasetError(f"columns maps {column_list(unknown)}, expected only {column_list(sorted(names))}").hint(
                'The direction is our name -> your column: columns={"text": "complaint"}.'
            )
        if "output" in self.columns and len(self.columns) > 1 + ("text" in self.columns):
            raise DatasetError("columns maps both output and single fields, expected one of the two").hint(
                "The record stands either in one column or in a column for each field."
            )

    def _check_table(self, name: str, columns: Sequence[str]) -> None:
        try:
            reader = self._reader(columns)
            if reader == self._flat:
                self._check_field_columns(columns)
        except RowProblem as problem:
            raise DatasetError(f"{name}: {problem.problems[0][1]}").hint(
                'Map the columns, our name -> yours: columns={"text": "complaint", "output": "label"}.'
            ) from problem

    def split(self, row: Any) -> Parts:
        """The text and the raw output of a row.

        Raises:
            RowProblem: The row has no such shape.
        """
        if isinstance(row, Example):
            return row.text, row.output
        if isinstance(row, Mapping):
            return self._reader(row)(row)
        if isinstance(row, tuple | list) and len(row) == 2:
            return row[0], row[1]
        found = f"{len(row)} items" if isinstance(row, tuple | list) else f"a {type(row).__name__}"
        raise RowProblem.one("invalid_row", f"expected text and output as a pair or a mapping, found {found}")

    def _reader(self, names: Iterable[str]) -> Callable[[Mapping[str, Any]], Parts]:
        """The method that reads rows with these column names."""
        names = list(names)
        if "text" not in self.columns and "text" not in names:
            if "messages" in names:
                return self._chat
            if "instruction" in names and self.output in names:
                return self._instruction
        if self.text not in names:
            raise self._missing(self.text, names)
        if self.output in names and not self.mapped_fields:
            return self._pair
        if "output" not in self.columns and any(self._column(field, names) for field in self.fields):
            return self._flat
        raise self._missing(self.output, names)

    @staticmethod
    def _missing(column: str, names: list[str]) -> RowProblem:
        return RowProblem.one("missing_column", f"expected {shown_name(column)}, found only {column_list(names)}")

    def _column(self, field: Field, names: Iterable[str]) -> str | None:
        """The column of a field, `None` if there is none. The text's column belongs to the text."""
        mapped = self.columns.get(field.key) or self.columns.get(field.name)
        wanted = (mapped,) if mapped else (field.key, field.name)
        return next((name for name in wanted if name in names and name != self.text), None)

    def _check_field_columns(self, columns: Sequence[str]) -> None:
        without = [field.key for field in self.fields if self._column(field, columns) is None]
        if without:
            message = f"no column for the fields {column_list(without)}, found only {column_list(columns)}"
            raise RowProblem.one("missing_column", message)

    def _pair(self, row: Mapping[str, Any]) -> Parts:
        return row[self.text], row[self.output]

    def _flat(self, row: Mapping[str, Any]) -> Parts:
        """A column for each field. Other columns of a table are left aside; other keys of an object are not."""
        record: dict[str, Any] = {}
        used = {self.text}
        for field in self.fields:
            column = self._column(field, row)
            if column is None:
                continue
            used.add(column)
            value = row[column]
            if self.kind != "objects":
                value = self._from_cell(value, field)
            if value is not None or self._keeps_null(field):
                record[field.key] = value
        if self.kind == "objects":
            record.update({key: value for key, value in row.items() if key not in used})
        return row[self.text], record

    def _from_cell(self, value: Any, field: Field) -> Any:
        if self.kind == "table":
            value = plain(value)
        elif not value.strip():
            return None
        return cell_value(value, field, self.schema) if isinstance(value, str) else value

    def _keeps_null(self, field: Field) -> bool:
        """Whether nothing means null, not that the key is not there. A blank cell is null only if it must be."""
        if self.kind == "objects":
            return True
        return (field.required or self.kind == "table") and takes_null(field.node, self.schema)

    def _instruction(self, row: Mapping[str, Any]) -> Parts:
        given = row.get("input")
        return given if isinstance(given, str) and given.strip() else row["instruction"], row[self.output]

    def _chat(self, row: Mapping[str, Any]) -> Parts:
        turns = plain(row["messages"])
        if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
            raise RowProblem.one("invalid_row", "expected messages to be a list of role and content")
        answer = max((i for i, turn in enumerate(turns) if turn.get("role") == "assistant"), default=-1)
        asked = max((i for i, turn in enumerate(turns[: max(answer, 0)]) if turn.get("role") == "user"), default=-1)
        if asked < 0:
            raise RowProblem.one("invalid_row", "expected a user turn and after it an assistant turn in messages")
        return _content(turns[asked]), _content(turns[answer])


def _content(turn: Mapping[str, Any]) -> Any:
    """The text of a turn, written as a string or as parts."""
    content = turn.get("content")
    if isinstance(content, list) and all(isinstance(part, Mapping) for part in content):
        return "".join(str(part.get("text") or "") for part in content)
    return content
