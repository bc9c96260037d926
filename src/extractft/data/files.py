"""Raw rows out of files: JSONL, JSON, CSV, TSV, Parquet, text lines. Knows file formats, no schema.

JSONL, CSV and Parquet are read row by row, so that a large file costs no memory. A row that cannot be read becomes
an issue and reading goes on; where it cannot go on, the file is refused.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from extractft.data.jsontext import JsonProblem, column_list, parse_json
from extractft.data.row import Row, RowIssue
from extractft.errors import DatasetError, MissingDependencyError

__all__ = [
    "ENDINGS",
    "decode_lines",
    "jsonl_rows",
    "open_bytes",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_lines",
    "read_parquet",
    "split_ending",
]

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
UTF8_MARK = b"\xef\xbb\xbf"
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
ENCODING_HINT = 'Save the file as UTF-8 (in spreadsheet programs: "CSV UTF-8").'
LONGEST_CELL = 2**31 - 1
# Common writers leave a carriage return without quotes where lines end with a line feed, and the csv module ends the
# row there. It is hidden behind half of a surrogate pair, which no UTF-8 file can hold.
LONE_RETURN = re.compile(r"\r(?!\n)")
HIDDEN_RETURN = "\udc0d"


def split_ending(path: Path, endings: tuple[str, ...] = ENDINGS) -> str:
    """The lower-case ending that tells the format of an existing file, `.gz` taken off.

    Raises:
        DatasetError: No such file, a directory, or an unknown ending.
    """
    name = path.name if len(path.name) <= 255 and path.name.isprintable() else f"<{len(path.name)} characters>"
    known = ", ".join(endings)
    try:
        is_dir, exists = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a name too long or with a NUL: most likely a text, not a path
        is_dir = exists = False
    if is_dir:
        raise DatasetError(f"expected a file, found the directory {name}").hint(f"Name a file in it: {known}.")
    if not exists:
        raise DatasetError(f"no such file: {name}").hint(f"Expected the path of a file ({known}) or a list of rows.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    ending = (suffixes[-2:-1] if zipped else suffixes[-1:]) or [""]
    if ending[0] not in endings or (zipped and ending[0] == ".parquet"):
        raise DatasetError(f"{name}: unknown file ending {''.join(suffixes[-2:]) or '(none)'}").hint(
            f"Expected one of {known}; all but .parquet may be compressed (.gz)."
        )
    return ending[0]


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file, decompressed.

    Raises:
        DatasetError: It cannot be read, or the compressed data is broken.
    """
    try:
        zipped = path.suffix.lower() == ".gz"
        with cast("IO[bytes]", gzip.open(path, "rb") if zipped else path.open("rb")) as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path.name}: the compressed file is broken or cut short") from error
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be read ({error.strerror or type(error).__name__})") from error


def read_lines(path: Path) -> Iterator[tuple[int, str | RowIssue]]:
    """The numbered lines of a file; see `decode_lines`."""
    with open_bytes(path) as stream:
        yield from decode_lines(stream, path.name)


def decode_lines(stream: Iterable[bytes], name: str) -> Iterator[tuple[int, str | RowIssue]]:
    """Numbered lines without a byte order mark, line ends kept; a line that is not UTF-8 gives an issue.

    Lines are those of a binary stream, which end with a line feed alone: texts may well hold the other separators
    that `str.splitlines` knows.
    """
    for number, line in enumerate(stream, 1):
        try:
            yield number, _decode(line, name, first=number == 1)
        except UnicodeDecodeError as error:
            message = f"expected UTF-8, found something else at byte {error.start + 1} of the line"
            yield number, RowIssue(number, "encoding", message)


def _decode(data: bytes, name: str, *, first: bool = True) -> str:
    if first and data.startswith(WIDE_MARKS):
        raise DatasetError(f"{name}: expected UTF-8, found UTF-16").hint(ENCODING_HINT)
    return (data.removeprefix(UTF8_MARK) if first else data).decode("utf-8")


def read_jsonl(path: Path) -> Iterator[Row | RowIssue]:
    """One JSON value a line; blank lines are passed over, bad ones become issues.

    Raises:
        DatasetError: The file is one JSON list over many lines.
    """
    with open_bytes(path) as stream:
        first = stream.readline().removeprefix(UTF8_MARK).strip()
    if first == b"[":
        raise DatasetError(f"{path.name}: expected one JSON object a line, found a JSON list over many lines").hint(
            "Name it .json."
        )
    return jsonl_rows(read_lines(path))


def jsonl_rows(lines: Iterable[tuple[int, str | RowIssue]]) -> Iterator[Row | RowIssue]:
    """The values of JSON lines; lines that are none give issues."""
    for number, line in lines:
        if isinstance(line, RowIssue):
            yield line
        elif line.strip():
            try:
                yield Row(number, parse_json(line))
            except JsonProblem as problem:
                yield RowIssue(number, "invalid_json", str(problem))


def read_json(path: Path) -> Iterator[Row]:
    """The rows of a JSON list, or of the list under `data`."""
    with open_bytes(path) as stream:
        content = stream.read()
    try:
        value = parse_json(_decode(content, path.name))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(f"{path.name}: expected UTF-8, found something else in line {line}").hint(
            ENCODING_HINT
        ) from error
    except JsonProblem as problem:
        raise DatasetError(f"{path.name}: {problem}").hint("A file with one JSON object a line is named .jsonl.") from (
            problem
        )
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list):
        found = f"an object with the keys {column_list(value)}" if isinstance(value, dict) else type(value).__name__
        raise DatasetError(f'{path.name}: expected a list of rows, or {{"data": [...]}}, found {found}')
    return iter([Row(number, row) for number, row in enumerate(value, 1)])


def read_csv(path: Path, *, delimiter: str) -> tuple[tuple[str, ...], Iterator[Row | RowIssue]]:
    """The header, and the rows below it as mappings of strings; the first row below the header is row 1.

    Raises:
        DatasetError: No header, a column named twice, or (while reading) quotes or bytes after which nothing can be
            trusted.
    """
    # The limit belongs to the process and is meant for small cells; texts are longer. It is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    reader = csv.reader(_csv_lines(path), delimiter=delimiter, strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, ()))
    except csv.Error as error:
        raise DatasetError(f"{path.name}: the header cannot be read: {error}") from error
    if not header:
        raise DatasetError(f"{path.name}: expected a header with the column names, found an empty file")
    if len(header) == 1 and any(other in header[0] for other in ";\t,"):
        raise DatasetError(f"{path.name}: expected columns separated by {delimiter!r}, found another separator").hint(
            "Save the file with commas, or with tabs and the ending .tsv."
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DatasetError(f"{path.name}: expected each column once, found several named {column_list(twice)}")
    return header, _csv_rows(path, header, reader)


def _csv_lines(path: Path) -> Iterator[str]:
    for _, line in read_lines(path):
        if isinstance(line, RowIssue):
            raise DatasetError(f"{path.name}: line {line.row} of the file is not UTF-8", issues=[line]).hint(
                ENCODING_HINT
            )
        yield LONE_RETURN.sub(HIDDEN_RETURN, line)


def _csv_rows(path: Path, header: tuple[str, ...], reader: Iterator[list[str]]) -> Iterator[Row | RowIssue]:
    number = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            issue = RowIssue(number + 1, "invalid_row", f"the cells cannot be told apart: {error}")
            raise DatasetError(f"{path.name}: broken from row {number + 1} on", issues=[issue]).hint(
                'Cells with commas, quotes or line ends are quoted, and quotes in them doubled: "he said ""no""".'
            ) from error
        if cells is None:
            return
        if not cells:
            continue
        number += 1
        if len(cells) == len(header):
            values = (cell.replace(HIDDEN_RETURN, "\r") for cell in cells)
            yield Row(number, dict(zip(header, values, strict=True)))
        else:
            yield RowIssue(number, "invalid_row", f"expected {len(header)} cells as in the header, found {len(cells)}")


def read_parquet(path: Path) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The columns and the rows of a Parquet file, read in batches.

    Raises:
        DatasetError: The file is not Parquet.
        MissingDependencyError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError("reading .parquet needs pyarrow").hint("pip install pyarrow") from error
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DatasetError(f"{path.name}: expected a Parquet file, found something else") from error
    batches: Iterator[Any] = file.iter_batches(batch_size=1024)
    values = (value for batch in batches for value in batch.to_pylist())
    return tuple(file.schema_arrow.names), (Row(number, value) for number, value in enumerate(values, 1))
