"""Where rows come from, as one shape: numbered raw rows, lazily. Knows no schema.

Nothing is imported for the sake of a type: tables are told by what they can do, so that pandas, polars, pyarrow and
`datasets` are needed only by those who use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from extractft.data.files import read_csv, read_json, read_jsonl, read_parquet, split_ending
from extractft.data.jsontext import column_list
from extractft.data.row import Row, RowIssue
from extractft.errors import DatasetError

__all__ = ["Source", "file_source", "open_source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Rows to be read once.

    Attributes:
        rows: Raw rows, and issues in place of rows that could not even be read.
        kind: `objects` are as their author wrote them; a `table` has the same columns in every row and writes
            absence as null; `cells` is a table of strings, in which absence is a blank.
        columns: The columns of a table, `None` for objects.
        name: What messages call it.
    """

    rows: Iterable[Row | RowIssue]
    kind: Literal["objects", "table", "cells"] = "objects"
    columns: tuple[str, ...] | None = None
    name: str = "the data"


def open_source(data: Any) -> Source:
    """Rows of a path, a table or an iterable.

    Raises:
        DatasetError: The file or object is none that rows can be read from.
    """
    if isinstance(data, str | Path):
        return file_source(Path(data))
    if isinstance(data, Mapping):
        raise DatasetError(f"expected rows, found one mapping with the keys {column_list(data)}").hint(
            'Pass a list of rows, or one split of a dataset: data["train"].'
        )
    table = _table(data)
    if table is not None:
        return table
    if isinstance(data, Iterable) and not isinstance(data, bytes | bytearray):
        return Source(_numbered(data))
    raise DatasetError(f"expected a path, a table or an iterable of rows, found {type(data).__name__}")


def file_source(path: Path) -> Source:
    """Rows of a file, told by its ending; files are read as UTF-8, with or without a byte order mark.

    Raises:
        DatasetError: No such file, an unknown ending, or a file that is broken as a whole.
    """
    ending = split_ending(path)
    if ending in (".csv", ".tsv"):
        columns, rows = read_csv(path, delimiter="\t" if ending == ".tsv" else ",")
        return Source(rows, "cells", columns, path.name)
    if ending == ".parquet":
        columns, rows = read_parquet(path)
        return Source(rows, "table", columns, path.name)
    return Source(read_json(path) if ending == ".json" else read_jsonl(path), name=path.name)


def _table(data: Any) -> Source | None:
    if hasattr(data, "to_pylist") and hasattr(data, "column_names"):  # pyarrow
        return Source(_numbered(data.to_pylist()), "table", _names(data.column_names))
    if hasattr(data, "to_dicts") and hasattr(data, "columns"):  # polars
        return Source(_numbered(data.to_dicts()), "table", _names(data.columns))
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas
        columns = _names(data.columns)
        records = data.to_dict(orient="records")
        return Source(_numbered({str(key): value for key, value in row.items()} for row in records), "table", columns)
    if hasattr(data, "column_names"):  # datasets
        rows = data.with_format(None) if hasattr(data, "with_format") else data
        if data.column_names is None:  # a streamed set may not know its columns yet
            return Source(_numbered(rows))
        return Source(_numbered(rows), "table", _names(data.column_names))
    return None


def _names(columns: Iterable[Any]) -> tuple[str, ...]:
    names = tuple(str(column) for column in columns)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"expected each column once, found several named {column_list(twice)}")
    return names


def _numbered(rows: Iterable[Any]) -> Iterator[Row]:
    return (Row(number, value) for number, value in enumerate(rows, 1))
