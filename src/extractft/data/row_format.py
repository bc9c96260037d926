"""Take a raw row apart into its text and its output. Knows the formats of rows, parses no output.

Rows are pairs, mappings with `text` and `output`, mappings with a column for each field of the schema, instruction
rows (`instruction`, `input`, `output`), chats (`messages`, `conversations`) or `prompt` and `completion`. System
prompts in them are ignored: the prompt is made from the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from extractft.data.chat_rows import find_chat_column, split_chat
from extractft.data.column_names import closest_name, describe_columns, display_name, format_names
from extractft.data.example import Example
from extractft.data.instruction_rows import InstructionRows
from extractft.data.raw_row import InvalidRow, RawExample, RawRow
from extractft.data.row_source import RowSource
from extractft.data.table_values import parse_cell, to_jsonable
from extractft.errors import DatasetError
from extractft.schema import Field, ObjectNode, Schema
from extractft.schema.nodes import accepts_null
from extractft.text import is_blank

__all__ = ["RowFormat"]

RowReader = Callable[[Mapping[str, Any], int], RawExample]


class RowFormat:
    """The format of the rows of a source; takes them apart.

    Args:
        schema: The schema of the outputs.
        source: Where the rows come from.
        columns: Our names (`text`, `output`, a field's key or name) to the names that the rows have.
        instructions: Takes instruction rows apart; one for all sources of a data set.

    Raises:
        DatasetError: `columns` maps a name that is not one of ours.
    """

    def __init__(
        self,
        schema: Schema[Any],
        source: RowSource,
        columns: Mapping[str, str] | None = None,
        instructions: InstructionRows | None = None,
    ) -> None:
        self.schema = schema
        self.kind = source.kind
        self.name = source.name
        self.columns = _require_name_mapping(columns)
        self.instructions = instructions or InstructionRows()
        root = schema.resolve(schema.tree)
        self.fields: tuple[Field, ...] = root.fields if isinstance(root, ObjectNode) else ()
        self.field_names = {field.key for field in self.fields} | {field.name for field in self.fields}
        self._check_names()
        self.text_column = self.columns.get("text", "text")
        self.output_column = self.columns.get("output", "output")
        self.mapped_fields = any(name not in ("text", "output") for name in self.columns)
        if source.columns is not None:
            self._check_table(source.name, source.columns)

    def _check_names(self) -> None:
        names = {"text", "output"} | self.field_names
        unknown = [name for name in self.columns if name not in names]
        if unknown:
            meant = closest_name(unknown[0], names)
            problem = f"columns maps {format_names(unknown)}, expected only {format_names(sorted(names))}"
            raise DatasetError(f"{problem}; is {display_name(meant)} meant?" if meant else problem).hint(
                'The direction is our name -> your column: columns={"text": "complaint"}.'
            )
        if "output" in self.columns and len(self.columns) > 1 + ("text" in self.columns):
            raise DatasetError("columns maps both output and single fields, expected one of the two").hint(
                "The record stands either in one column or in a column for each field."
            )

        text = self.columns.get("text", "text")
        both = [name for name, column in self.columns.items() if name != "text" and column == text]
        if both:
            raise DatasetError(
                f"columns maps text and {format_names(both)} to one column: the text would hold the answer"
            )

    def _check_table(self, name: str, columns: Sequence[str]) -> None:
        try:
            reader = self._reader_for(columns)
            if reader == self._read_fields:
                self._check_field_columns(columns)
        except InvalidRow as problem:
            raise DatasetError(f"{name}: {problem.faults[0].message}").hint(
                'Map the columns, our name -> yours: columns={"text": "complaint", "output": "label"}.'
            ) from problem

    def split(self, row: RawRow) -> RawExample:
        """The text and the raw output of a row.

        Raises:
            InvalidRow: The row has none of the formats.
        """
        value = row.value
        if isinstance(value, Example):
            return RawExample(value.text, value.output)
        if isinstance(value, Mapping):
            return self._reader_for(value)(value, row.number)
        if isinstance(value, tuple | list) and len(value) == 2:
            return RawExample(value[0], value[1])
        found = f"{len(value)} items" if isinstance(value, tuple | list) else f"a {type(value).__name__}"
        raise InvalidRow.one("invalid_row", f"expected text and output as a pair or a mapping, found {found}")

    def id_of(self, row: RawRow) -> str | None:
        """The `id` that stands beside the text and the output of a row, if there is one."""
        value = row.value
        if not isinstance(value, Mapping) or self.output_column not in value or self.mapped_fields:
            return None
        found = value.get("id")
        return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and found != "" else None

    def _reader_for(self, columns: Iterable[str]) -> RowReader:
        """The method that reads rows with these column names."""
        names = dict.fromkeys(columns)
        has_output = self.output_column in names and not self.mapped_fields
        has_fields = "output" not in self.columns and any(self._column_of(field, names) for field in self.fields)
        other = (
            None
            if "text" in self.columns
            else self._chat_or_instruction_reader(names, has_record=has_output or has_fields)
        )
        if other is not None:
            return other
        if self.text_column not in names:
            raise self._missing_column(self.text_column, names)
        if has_output:
            return self._read_pair
        if has_fields:
            return self._read_fields
        raise self._missing_column(self.output_column, names)

    def _chat_or_instruction_reader(self, names: Collection[str], *, has_record: bool) -> RowReader | None:
        """The method for chats and instruction rows, `None` if the row is neither.

        A `text` beside them is usually the whole prompt, rendered from them together with the answer.
        """
        has_text = "text" in names
        if find_chat_column(names) and not (has_text and has_record):
            return self._read_chat
        if self.output_column in names and not self.mapped_fields and not self.field_names & {"instruction", "input"}:
            given = {"instruction", "input"}.intersection(names)
            if len(given) == 2 or (given and not has_text):
                return self._read_instruction
        if not has_text and not has_record and {"prompt", "completion"} <= set(names):
            return self._read_completion
        return None

    def _missing_column(self, column: str, names: Collection[str]) -> InvalidRow:
        meant = closest_name(column, names)
        expected = f"expected {display_name(column)}, found only {describe_columns(names, self._known_names())}"
        return InvalidRow.one("missing_column", f"{expected}; is {display_name(meant)} it?" if meant else expected)

    def _known_names(self) -> set[str]:
        return {*self.field_names, *self.columns.values()}

    def _column_of(self, field: Field, names: Collection[str]) -> str | None:
        """The column of a field, `None` if there is none. The text's column belongs to the text."""
        mapped = self.columns.get(field.key) or self.columns.get(field.name)
        wanted = (mapped,) if mapped else (field.key, field.name)
        return next((name for name in wanted if name in names and name != self.text_column), None)

    def _check_field_columns(self, columns: Sequence[str]) -> None:
        names = dict.fromkeys(columns)
        without = [field.key for field in self.fields if self._column_of(field, names) is None]
        if without:
            found = f"found only {describe_columns(columns, self._known_names())}"
            used = {self.text_column, *(self._column_of(field, names) for field in self.fields)}
            meant = closest_name(without[0], (name for name in columns if name not in used))
            ask = f"; is {display_name(meant)} the column of {display_name(without[0])}?" if meant else ""
            raise InvalidRow.one("missing_column", f"no column for the fields {format_names(without)}, {found}{ask}")

    def _read_pair(self, row: Mapping[str, Any], _: int) -> RawExample:
        return RawExample(row[self.text_column], row[self.output_column])

    def _read_fields(self, row: Mapping[str, Any], _: int) -> RawExample:
        """A column for each field. Other columns of a table are ignored; other keys of an object are not."""
        record: dict[str, Any] = {}
        used = {self.text_column}
        for field in self.fields:
            column = self._column_of(field, row)
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
        return RawExample(row[self.text_column], record)

    def _from_cell(self, value: Any, field: Field) -> Any:
        if self.kind == "table":
            value = to_jsonable(value)
        elif is_blank(value):
            return None
        return parse_cell(value, field, self.schema) if isinstance(value, str) else value

    def _keeps_null(self, field: Field) -> bool:
        """True if an empty cell means null rather than a missing key; a blank cell is null only if it must be."""
        if self.kind == "objects":
            return True
        return (field.required or self.kind == "table") and accepts_null(field.node, self.schema.definitions)

    def _read_instruction(self, row: Mapping[str, Any], number: int) -> RawExample:
        output = row[self.output_column]
        return RawExample(self.instructions.choose_text(row, output, number, self.name), output)

    def _read_chat(self, row: Mapping[str, Any], _: int) -> RawExample:
        column = find_chat_column(row)
        return split_chat(row[column] if column else [])

    def _read_completion(self, row: Mapping[str, Any], _: int) -> RawExample:
        prompt, completion = to_jsonable(row["prompt"]), to_jsonable(row["completion"])
        if isinstance(prompt, list) and isinstance(completion, list):
            return split_chat(prompt, completion)
        return RawExample(prompt, completion)


def _require_name_mapping(columns: Mapping[str, str] | None) -> dict[str, str]:
    """The mapping, if it is one of names to names."""
    if columns is None:
        return {}
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for pair in columns.items() for name in pair):
        raise DatasetError(f"columns: expected a mapping of names to names, found {type(columns).__name__}").hint(
            'Our name -> your column: columns={"text": "complaint", "output": "label"}.'
        )
    return dict(columns)
