"""Read texts to extract from, one after another, and write examples. Knows files, not the content of the texts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from extractft.data.column_names import closest_name, describe_columns, display_name
from extractft.data.data_files import TEXT_ENDINGS, file_ending, find_data_files
from extractft.data.example import Example
from extractft.data.example_loader import parse_examples, validate_text
from extractft.data.json_reader import LARGEST_JSON, parse_json_lines, parse_json_list, read_lines, take_first_lines
from extractft.data.raw_row import InvalidRow, NumberedText, RawRow, RowIssue
from extractft.data.row_source import file_row_source
from extractft.data.strict_json import InvalidJson, parse_json
from extractft.data.text_encoding import SAY_THE_ENCODING, SUSPICIOUS_ISSUES, decode_lines, normalize_encoding
from extractft.errors import DatasetError
from extractft.schema import Schema
from extractft.storage import published_file

__all__ = ["iter_text_rows", "iter_texts", "write_jsonl"]

T = TypeVar("T")
Texts = str | Path | Sequence[str | Path] | IO[bytes]

ARRAY_STARTS = ("[{", '["')


def iter_texts(source: Texts, column: str = "text", *, encoding: str | None = None) -> Iterator[str]:
    """The texts of files or of a stream, lazily and in order; see `iter_text_rows`.

    Raises:
        DatasetError: At once, if a file cannot be read; on the way, at a row without a usable text.
    """
    return (_text_or_raise(number, text) for number, text in iter_text_rows(source, column, encoding=encoding))


def iter_text_rows(source: Texts, column: str = "text", *, encoding: str | None = None) -> Iterator[NumberedText]:
    """Texts with their row numbers; a row without a usable text gives an issue, and reading goes on.

    A row's number is that of its own file (see `RowIssue.row`); of several files, rows are counted through from 1, and
    issues name the file and the number in it.

    Args:
        source: A path with an ending that `load_examples` takes, or `.txt` (a text a line); a folder, a pattern or a
            list of such paths; or a binary stream, which is JSONL if its first line that is not blank begins with `{`,
            a JSON list if it begins like one, else a text a line. Blank lines are skipped. Rows of JSON may also be
            bare strings.
        column: Key or column of the text.
        encoding: How text files are written; UTF-8 if not given.

    Raises:
        DatasetError: A file as a whole cannot be read.
    """
    encoding = normalize_encoding(encoding)
    if hasattr(source, "readline"):
        return _usable_texts(_stream_rows(cast("IO[bytes]", source), encoding), column)
    files = find_data_files(source, TEXT_ENDINGS)
    if files is None:
        raise DatasetError("expected a path, a list of paths or a binary stream, found something else").hint(
            "Texts in memory need no reading: pass them to extract_many as they are."
        )
    opened = [_file_rows(file, column, encoding) for file in files]
    if len(files) == 1:
        return opened[0]
    return (NumberedText(number, text) for number, text in enumerate(_texts_of_files(files, opened), 1))


def _texts_of_files(files: Sequence[Path], opened: Sequence[Iterable[NumberedText]]) -> Iterator[str | RowIssue]:
    for file, rows in zip(files, opened, strict=True):
        for _, text in rows:
            yield replace(text, file=file.as_posix()) if isinstance(text, RowIssue) else text


def _file_rows(path: Path, column: str, encoding: str | None) -> Iterator[NumberedText]:
    if file_ending(path, TEXT_ENDINGS) == ".txt":
        return _usable_texts(_line_rows(read_lines(path, encoding)), column)
    opened = file_row_source(path, encoding)
    if opened.columns is not None and column not in opened.columns:
        meant = closest_name(column, opened.columns)
        found = f"expected a column {display_name(column)}, found only {describe_columns(opened.columns, {column})}"
        error = DatasetError(f"{path.name}: {found}{f'; is {display_name(meant)} it?' if meant else ''}").hint(
            "Name the column: column=, on the command line --column."
        )
        raise error.hint(opened.doubt) if opened.doubt else error
    return _usable_texts(opened.rows, column, opened.doubt)


def _stream_rows(stream: IO[bytes], encoding: str | None) -> Iterator[RawRow | RowIssue]:
    lines = decode_lines(stream, "the stream", encoding)
    head = take_first_lines(lines)
    first = next((line.strip() for _, line in head if isinstance(line, str) and line.strip()), "")
    if first.startswith("[") and (first == "[" or _is_list(first) or first.replace(" ", "").startswith(ARRAY_STARTS)):
        yield from _array_rows(chain(head, lines))
    elif first.startswith("{"):
        yield from parse_json_lines(chain(head, lines))
    else:
        yield from _line_rows(chain(head, lines))


def _is_list(line: str) -> bool:
    try:
        value = parse_json(line)
    except InvalidJson:
        return False
    return isinstance(value, list) and all(isinstance(item, str | dict) for item in value)


def _array_rows(lines: Iterable[NumberedText]) -> Iterator[RawRow | RowIssue]:
    """The rows of a JSON list over all lines."""
    parts: list[str] = []
    size = 0
    for _, line in lines:
        if isinstance(line, RowIssue):
            raise DatasetError(f"the stream: line {line.row} of a JSON list cannot be read", issues=[line])
        parts.append(line)
        size += len(line)
        if size > LARGEST_JSON:
            raise DatasetError(f"the stream: expected at most {LARGEST_JSON >> 20} MiB of a JSON list").hint(
                "Write one JSON object a line."
            )
    yield from parse_json_list("".join(parts), "the stream")


def _line_rows(lines: Iterable[NumberedText]) -> Iterator[RawRow | RowIssue]:
    for number, line in lines:
        if isinstance(line, RowIssue):
            yield line
        elif line.strip():
            yield RawRow(number, line.removesuffix("\n").removesuffix("\r"))


def _usable_texts(rows: Iterable[RawRow | RowIssue], column: str, doubt: str = "") -> Iterator[NumberedText]:
    """The texts of rows; `doubt` is added where a row is no JSON or has no such column."""
    for row in rows:
        if isinstance(row, RowIssue):
            yield NumberedText(row.row, _with_doubt(row, doubt))
            continue
        try:
            yield NumberedText(row.number, validate_text(_text_of(row.value, column)))
        except InvalidRow as problem:
            yield NumberedText(row.number, _with_doubt(problem.issues(row.number)[0], doubt))


def _with_doubt(issue: RowIssue, doubt: str) -> RowIssue:
    suspicious = doubt and issue.kind in SUSPICIOUS_ISSUES
    return replace(issue, message=f"{issue.message}. {doubt}") if suspicious else issue


def _text_of(value: Any, column: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    if column not in value:
        meant = closest_name(column, map(str, value))
        found = f"expected {display_name(column)}, found only {describe_columns(value, {column})}"
        raise InvalidRow.one("missing_column", f"{found}; is {display_name(meant)} it?" if meant else found)
    return value[column]


def _text_or_raise(number: int, text: str | RowIssue) -> str:
    if isinstance(text, RowIssue):
        error = DatasetError(f"row {number} has no usable text", issues=[text])
        raise error.hint(f"{SAY_THE_ENCODING}.") if text.kind == "encoding" else error
    return text


def write_jsonl(path: str | Path, examples: Iterable[Example[T]], schema: Schema[T]) -> int:
    """Write examples as JSONL that `load_examples` reads back to equal ones; compressed if the name ends in `.gz`.

    The file appears when it is complete: an interrupted run leaves the old one.

    Returns:
        The number of rows written.

    Raises:
        DatasetError: The file cannot be written, or an output is none that the schema takes.
    """
    path = Path(path)
    count = 0
    try:
        with published_file(path) as raw, _maybe_zipped(raw, path) as out:
            for example in examples:
                (parsed,) = parse_examples([example], schema)
                row = {"text": parsed.text, "output": schema.canonical_value(parsed.output)}
                out.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n")
                count += 1
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be written ({error.strerror or type(error).__name__})") from error
    return count


def _maybe_zipped(raw: IO[bytes], path: Path) -> AbstractContextManager[IO[bytes]]:
    if path.suffix.lower() == ".gz":
        zipped = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        return cast("AbstractContextManager[IO[bytes]]", zipped)
    return nullcontext(raw)
