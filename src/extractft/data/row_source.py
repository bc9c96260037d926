"""Sources of rows (files, tables, iterables) in one shape: numbered raw rows, read lazily. Knows no schema.

Tables are recognised by their methods, so that a table of pandas, polars, pyarrow or `datasets` needs no import here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from extractft.data.arrow_reader import read_parquet, read_saved_dataset
from extractft.data.column_names import describe_columns, duplicate_names
from extractft.data.compression import open_bytes
from extractft.data.csv_reader import read_csv
from extractft.data.data_files import SAVED_DATASET, file_ending, find_data_files
from extractft.data.excel_reader import EXCEL_ENDINGS, read_excel
from extractft.data.json_reader import read_json, read_jsonl
from extractft.data.raw_row import RawRow, RowIssue, numbered_rows
from extractft.data.text_encoding import encoding_doubt, normalize_encoding
from extractft.errors import DatasetError

__all__ = ["IN_MEMORY", "RowSource", "file_row_source", "open_row_sources"]

IN_MEMORY = "the data"
"""Name in messages of rows that are in no file."""
DOUBT_BYTES = 2**16
"""Bytes of a file that are looked at to guess how it is written."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows to be read once.

    Attributes:
        rows: Raw rows, and issues in place of rows that could not even be read.
        kind: `objects` are as their author wrote them; a `table` has the same columns in every row and writes
            absence as null; `cells` is a table of strings, in which absence is a blank.
        columns: The columns of a table, `None` for objects.
        name: What messages call it.
        doubt: A hint for when a column is not found: the text may have been decoded to garbage. Empty without reason.
    """

    rows: Iterable[RawRow | RowIssue]
    kind: Literal["objects", "table", "cells"] = "objects"
    columns: tuple[str, ...] | None = None
    name: str = IN_MEMORY
    doubt: str = ""


def open_row_sources(data: Any, encoding: str | None = None) -> Iterator[RowSource]:
    """The rows of a table or an iterable, or of each file that is named, one after another.

    Raises:
        DatasetError: The files or the object are none that rows can be read from.
    """
    encoding = normalize_encoding(encoding)
    files = find_data_files(data)
    if files is None:
        return iter([_memory_source(data)])
    opened = (file_row_source(file, encoding) for file in files)
    if len(files) == 1:
        return opened
    return (replace(source, name=file.as_posix()) for file, source in zip(files, opened, strict=True))


def file_row_source(path: Path, encoding: str | None = None, wanted: Collection[str] | None = None) -> RowSource:
    """Rows of a file, read by its ending; text is UTF-8 unless a byte order mark or `encoding` says otherwise.

    Args:
        path: The file.
        encoding: Encoding of a text file.
        wanted: Columns that are needed; of a Parquet file the others are not read.

    Raises:
        DatasetError: An unknown ending, or a file that is broken as a whole.
    """
    ending = file_ending(path)
    if ending in (".csv", ".tsv"):
        table = read_csv(path, delimiter="\t" if ending == ".tsv" else ",", encoding=encoding)
        return RowSource(table.rows, "cells", table.columns, path.name, _encoding_doubt(path, encoding))
    if ending in EXCEL_ENDINGS:
        table = read_excel(path)
        return RowSource(table.rows, "cells", table.columns, path.name)
    if ending in (".parquet", SAVED_DATASET):
        table = read_parquet(path, wanted) if ending == ".parquet" else read_saved_dataset(path)
        return RowSource(table.rows, "table", _column_names(table.columns), path.name)
    rows = read_json(path, encoding) if ending == ".json" else read_jsonl(path, encoding)
    return RowSource(rows, name=path.name, doubt=_encoding_doubt(path, encoding))


def _encoding_doubt(path: Path, encoding: str | None) -> str:
    """Reason to doubt the encoding that the user gave, by the beginning of the file."""
    if encoding is None:
        return ""
    with open_bytes(path) as stream:
        return encoding_doubt(stream.read(DOUBT_BYTES), encoding)


def _memory_source(data: Any) -> RowSource:
    """Rows that are in memory: a table, or an iterable of rows."""
    if isinstance(data, Mapping):
        raise DatasetError(f"expected rows, found one mapping with the keys {describe_columns(data)}").hint(
            'Pass a list of rows, one split of a dataset (data["train"]), or for lists by column '
            "pandas.DataFrame(data)."
        )
    table = _table_source(data)
    if table is not None:
        return table
    if hasattr(data, "read"):
        raise DatasetError("expected a path or rows, found an open file").hint("Pass its path.")
    if isinstance(data, Iterable) and not isinstance(data, bytes | bytearray):
        return RowSource(numbered_rows(data))
    raise DatasetError(f"expected a path, a table or an iterable of rows, found {type(data).__name__}")


def _table_source(data: Any) -> RowSource | None:
    """Rows of a table in memory, `None` if it is no table."""
    if hasattr(data, "to_pylist") and hasattr(data, "column_names"):  # pyarrow
        return RowSource(numbered_rows(data.to_pylist()), "table", _column_names(data.column_names))
    if hasattr(data, "to_dicts") and hasattr(data, "columns"):  # polars
        return RowSource(numbered_rows(data.to_dicts()), "table", _column_names(data.columns))
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        columns = _column_names(data.columns)
        records = data.to_dict(orient="records")
        return RowSource(
            numbered_rows({str(key): value for key, value in row.items()} for row in records), "table", columns
        )
    if hasattr(data, "column_names"):  # datasets
        rows = data.with_format(None) if hasattr(data, "with_format") else data
        if data.column_names is None:  # a streamed set may not know its columns yet
            return RowSource(numbered_rows(rows))
        return RowSource(numbered_rows(rows), "table", _column_names(data.column_names))
    return None


def _column_names(columns: Iterable[Any]) -> tuple[str, ...]:
    """The names of a table's columns, each of which may be there once."""
    names = tuple(str(column) for column in columns)
    twice = duplicate_names(names)
    if twice:
        raise DatasetError(f"expected each column once, found several named {describe_columns(twice)}")
    return names
