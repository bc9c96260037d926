"""Texts to extract from, one after another, and examples written down. Knows files, not what is in the texts."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from extractft.data.example import Example
from extractft.data.files import ENDINGS, decode_lines, jsonl_rows, read_lines, split_ending
from extractft.data.jsontext import column_list, shown_name
from extractft.data.loaders import valid_text
from extractft.data.row import Row, RowIssue, RowProblem
from extractft.data.source import file_source
from extractft.errors import DatasetError
from extractft.schema import Schema

__all__ = ["iter_text_rows", "iter_texts", "write_jsonl"]

T = TypeVar("T")


def iter_texts(source: str | Path | IO[bytes], column: str = "text") -> Iterator[str]:
    """The texts of a file or stream, lazily and in order; see `iter_text_rows`.

    Raises:
        DatasetError: At once, if the file cannot be read; on the way, at a row without a usable text.
    """
    return (_text_or_raise(number, text) for number, text in iter_text_rows(source, column))


def iter_text_rows(source: str | Path | IO[bytes], column: str = "text") -> Iterator[tuple[int, str | RowIssue]]:
    """Row numbers and texts; a row without a usable text gives an issue and spoils only itself.

    Args:
        source: A path ending in one of those that `load_examples` takes, or in `.txt` (a text a line); or a binary
            stream, which is JSONL if its first line that is not blank begins with `{`, else a text a line. Blank
            lines are passed over. Rows of JSON may also be bare strings.
        column: Key or column of the text.

    Raises:
        DatasetError: The file as a whole cannot be read.
    """
    if not isinstance(source, str | Path):
        return _usable(_stream_rows(source), column)
    path = Path(source)
    if split_ending(path, (*ENDINGS, ".txt")) == ".txt":
        return _usable(_line_rows(read_lines(path)), column)
    opened = file_source(path)
    if opened.columns is not None and column not in opened.columns:
        raise DatasetError(
            f"{path.name}: expected a column {shown_name(column)}, found only {column_list(opened.columns)}"
        )
    return _usable(opened.rows, column)


def _stream_rows(stream: Iterable[bytes]) -> Iterator[Row | RowIssue]:
    lines = decode_lines(stream, "the stream")
    head: list[tuple[int, str | RowIssue]] = []
    for number, line in lines:
        head.append((number, line))
        if isinstance(line, str) and line.strip():
            break
    is_json = bool(head) and isinstance(head[-1][1], str) and head[-1][1].lstrip().startswith("{")
    rows = jsonl_rows if is_json else _line_rows
    yield from rows(iter(head))
    yield from rows(lines)


def _line_rows(lines: Iterable[tuple[int, str | RowIssue]]) -> Iterator[Row | RowIssue]:
    for number, line in lines:
        if isinstance(line, RowIssue):
            yield line
        elif line.strip():
            yield Row(number, line.removesuffix("\n").removesuffix("\r"))


def _usable(rows: Iterable[Row | RowIssue], column: str) -> Iterator[tuple[int, str | RowIssue]]:
    for row in rows:
        if isinstance(row, RowIssue):
            yield row.row, row
            continue
        try:
            yield row.number, valid_text(_text_of(row.value, column))
        except RowProblem as problem:
            yield row.number, problem.issues(row.number)[0]


def _text_of(value: Any, column: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    if column not in value:
        raise RowProblem.one("missing_column", f"expected {shown_name(column)}, found only {column_list(value)}")
    return value[column]


def _text_or_raise(number: int, text: str | RowIssue) -> str:
    if isinstance(text, RowIssue):
        raise DatasetError(f"row {number} has no usable text", issues=[text])
    return text


def write_jsonl(path: str | Path, examples: Iterable[Example[T]], schema: Schema[T]) -> int:
    """Write examples as JSONL that `load_examples` reads back to equal ones; compressed if the name ends in `.gz`.

    The file appears when it is complete: an interrupted run leaves the old one.

    Returns:
        The number of rows written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with unfinished.open("wb") as raw, _maybe_zipped(raw, path) as out:
            for example in examples:
                row = {"text": example.text, "output": schema.canonical_value(example.output)}
                out.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n")
                count += 1
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _maybe_zipped(raw: IO[bytes], path: Path) -> AbstractContextManager[IO[bytes]]:
    if path.suffix.lower() == ".gz":
        zipped = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        return cast("AbstractContextManager[IO[bytes]]", zipped)
    return nullcontext(raw)
