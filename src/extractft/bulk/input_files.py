"""Rows out of the files of a bulk run, read as a stream and always in the same order. Knows no records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from extractft.bulk.batch_requests import CUSTOM_ID, request_text
from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.exact_times import require_whole_microseconds, written_whole
from extractft.bulk.input_row import MISSING, InputRow, cell_of
from extractft.data.column_names import closest_name, describe_columns, display_name
from extractft.data.data_files import TEXT_ENDINGS, file_ending, find_data_files
from extractft.data.json_reader import read_lines
from extractft.data.raw_row import RawRow, RowIssue
from extractft.data.row_source import RowSource, file_row_source
from extractft.errors import DatasetError
from extractft.storage import file_digest, tree_digests

__all__ = ["InputFile", "InputFiles"]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input.

    Attributes:
        path: Where it is.
        name: Its name in the output and in messages; empty if there is no other.
    """

    path: Path
    name: str

    def identity(self) -> dict[str, Any]:
        """Name, size and hash."""
        try:
            if self.path.is_dir():
                return {"name": self.path.name, "files": tree_digests(self.path)}
            size, digest = self.path.stat().st_size, file_digest(self.path)
        except OSError as error:
            raise DatasetError(f"{self.path.name}: cannot be read ({error.strerror})") from error
        return {"name": self.name or self.path.name, "size": size, "sha256": digest}


class InputFiles:
    """The rows of one or several files.

    Args:
        files: The files, in order.
        config: Columns and encoding.
    """

    def __init__(self, files: Sequence[InputFile], config: BulkConfig) -> None:
        self.files = tuple(files)
        self._config = config
        self._known: list[dict[str, Any]] | None = None

    @classmethod
    def find(cls, inputs: Any, config: BulkConfig) -> InputFiles:
        """The files that paths, folders and patterns name.

        Raises:
            DatasetError: One does not exist, is named twice, or has an unknown ending.
        """
        paths = find_data_files(inputs, TEXT_ENDINGS)
        if not paths:
            raise DatasetError("expected files, folders or patterns, or a DatabaseQuery, found something else").hint(
                "Rows in memory need no bulk run: give their texts to extract_many."
            )
        real = [Path(os.path.realpath(path)) for path in paths]
        twice = [path for number, path in enumerate(real) if path in real[:number]]
        if twice:
            raise DatasetError(f"{twice[0].name}: expected each file once, found it twice")
        for path in real:
            file_ending(path, TEXT_ENDINGS)
        above = Path(os.path.commonpath([path.parent for path in real]))
        names = ["" if len(real) == 1 else path.relative_to(above).as_posix() for path in real]
        return cls([InputFile(path, name) for path, name in zip(real, names, strict=True)], config)

    def identity(self) -> list[dict[str, Any]]:
        """Names, sizes and hashes of the files."""
        found = [file.identity() for file in self.files]
        self._known = found if self._known is None else self._known
        return found

    def are_changed(self) -> bool:
        """True if the files are not what they were when they were first looked at."""
        try:
            return self._known is not None and self._known != self.identity()
        except DatasetError:
            return True

    def arrow_types(self) -> dict[str, Any]:
        """Arrow types of the columns that are kept, where all files are Parquet and of one mind."""
        if not self._config.keep_columns or any(file.path.suffix.lower() != ".parquet" for file in self.files):
            return {}
        import pyarrow.parquet

        schemas = [pyarrow.parquet.read_schema(file.path) for file in self.files]
        types = {
            column: {schema.field(column).type for schema in schemas if column in schema.names}
            for column in self._config.keep_columns
        }
        return {column: found.pop() for column, found in types.items() if len(found) == 1}

    def rows(self) -> Iterator[InputRow]:
        """The rows, file by file; a row that cannot be read has a problem in place of its text.

        Raises:
            DatasetError: A file as a whole cannot be read, or no row of any file has a column that is to be kept.
        """
        unseen, last = set(self._config.keep_columns), None
        for file in self.files:
            for row in self._opened(file).rows:
                if unseen and isinstance(row, RawRow):
                    last = row.value
                    unseen = {column for column in unseen if cell_of(last, column) is MISSING}
                yield self._input_row(file, row)
        for column in sorted(unseen if last is not None else ()):
            name = self.files[0].path.name if len(self.files) == 1 else "all files"
            _require_column(name, [str(key) for key in last] if isinstance(last, Mapping) else [], column)

    def _opened(self, file: InputFile) -> RowSource:
        config = self._config
        if file_ending(file.path, TEXT_ENDINGS) == ".txt":
            return RowSource(_lines(file.path, config.encoding), name=file.path.name)
        if file_ending(file.path, TEXT_ENDINGS) == ".parquet":
            require_whole_microseconds(file.path, config.keep_columns)
        opened = file_row_source(file.path, config.encoding, self._wanted)
        if opened.columns is not None:
            for column in (config.text_column, config.id_column, *config.keep_columns):
                if column is not None:
                    _require_column(file.path.name, opened.columns, column)
        return opened

    def _input_row(self, file: InputFile, row: RawRow | RowIssue) -> InputRow:
        if isinstance(row, RowIssue):
            return self._without_text(file, row.row, row.message)
        if self._config.format == "batch":
            name, (text, problem) = _name_cell(row.value, CUSTOM_ID), request_text(row.value)
        elif isinstance(row.value, str):
            name, text, problem = _name_cell(row.value, self._config.id_column), row.value, ""
        else:
            name = _name_cell(row.value, self._config.id_column)
            text, problem = _text(row.value, self._config)
        return self._named(file, row, name, text, problem)

    def _named(self, file: InputFile, row: RawRow, name: Any, text: str | None, problem: str) -> InputRow:
        kept = {column: self._kept(column, row.value) for column in self._config.keep_columns}
        found = self._default_id(file, row.number) if name is None else name
        known = _as_name(found)
        if not known:
            message = f"expected a name for the row under {display_name(self._id_column)}, found none"
            message += _proposal(self._id_column, row.value) if isinstance(row.value, Mapping) else ""
            return self._without_text(file, row.number, message, kept)
        return InputRow(known, row.number, file.name, text, problem, kept)

    def _kept(self, column: str, values: Any) -> Any:
        """The value of a column that is kept, as whole as the output can have it."""
        value = _present(cell_of(values, column))
        return value if column in self._typed else written_whole(value)

    @cached_property
    def _wanted(self) -> frozenset[str] | None:
        """Columns that are needed, and what `a.b` may be a field of; `None` if a row is needed as a whole."""
        config = self._config
        if config.format == "batch":
            return None
        named = [config.text_column, *config.keep_columns, *filter(None, [config.id_column])]
        return frozenset(named) | {name.partition(".")[0] for name in named}

    @cached_property
    def _typed(self) -> frozenset[str]:
        """Columns that go from Arrow to Arrow, with all that their types hold."""
        return frozenset(self.arrow_types() if self._config.format == "parquet" else ())

    @property
    def _id_column(self) -> str:
        return CUSTOM_ID if self._config.format == "batch" else self._config.id_column or ""

    def _without_text(self, file: InputFile, number: int, problem: str, kept: Any = None) -> InputRow:
        missing = dict.fromkeys(self._config.keep_columns)
        number_name = self._default_id(file, number)
        name = f"row {number_name}" if self._id_column else number_name  # apart from names that are numbers
        return InputRow(name, number, file.name, None, problem, kept or missing)

    def _default_id(self, file: InputFile, number: int) -> str:
        return f"{file.name}:{number}" if file.name else str(number)


def _name_cell(value: Any, column: str | None) -> Any:
    """The name of a row, empty if it has none; `None` if none was asked for."""
    if column is None:
        return None
    found = cell_of(value, column)
    return "" if found is None else found


def _as_name(value: Any) -> str:
    """A value as a name; empty if it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value != value:  # not a number, and not a name
        return ""
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, int | float | Decimal | UUID) else ""


def _text(value: Any, config: BulkConfig) -> tuple[str | None, str]:
    found = cell_of(value, config.text_column)
    if isinstance(found, str):
        return found, ""
    kind = "no such key" if found is MISSING else "nothing" if found is None else type(found).__name__
    proposal = _proposal(config.text_column, value) if found is MISSING and isinstance(value, Mapping) else ""
    return None, f"expected a text under {display_name(config.text_column)}, found {kind}{proposal}"


def _present(value: Any) -> Any:
    return None if value is MISSING else value


def _require_column(name: str, columns: Sequence[str], wanted: str) -> None:
    if wanted in columns or wanted.partition(".")[0] in columns:
        return
    found = f"expected a column {display_name(wanted)}, found only {describe_columns(columns, {wanted})}"
    raise DatasetError(f"{name}: {found}{_proposal(wanted, columns)}")


def _proposal(wanted: str, names: Iterable[Any]) -> str:
    """A question after the name that a mistyped one may mean; empty if there is none."""
    meant = None if wanted in (columns := [str(name) for name in names]) else closest_name(wanted, columns)
    return f"; is {display_name(meant)} it?" if meant else ""


def _lines(path: Path, encoding: str | None) -> Iterable[RawRow | RowIssue]:
    """The lines of a text file that are not blank, each a text."""
    for number, line in read_lines(path, encoding):
        if isinstance(line, RowIssue):
            yield line
        elif line.strip():
            yield RawRow(number, line.rstrip("\r\n"))
