"""Raw rows out of CSV and TSV files, as spreadsheet programs and databases write them. Knows no schema."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from extractft.data.column_names import describe_columns, duplicate_names
from extractft.data.compression import open_bytes
from extractft.data.json_reader import read_lines
from extractft.data.raw_row import RawRow, RawTable, RowIssue
from extractft.data.text_encoding import LONGEST_LINE, encoding_hint
from extractft.errors import DatasetError

__all__ = ["read_csv", "table_row"]

DELIMITERS = ",;\t|"
NAMED_DELIMITER = re.compile(r'"?sep=([^"\r\n])"?\r?\n?')
"""The line before the header that sets the delimiter for Excel."""
SAMPLE_BYTES = 2**16
# Common writers leave a carriage return without quotes where lines end with a line feed, and the csv module ends the
# row there. It is hidden behind half of a surrogate pair, which no file can hold.
LONE_RETURN = re.compile(r"\r(?!\n)")
HIDDEN_RETURN = "\udc0d"


def read_csv(path: Path, *, delimiter: str, encoding: str | None = None) -> RawTable:
    """The header, and the rows below it as mappings of strings; a row's number is that of its first line.

    Blank lines, rows of blank cells and columns without a name are skipped.

    Args:
        path: The file.
        delimiter: What stands between cells, unless the header is one cell and splits at a semicolon, tab or the like.
        encoding: How it is written, see `decode_lines`.

    Raises:
        DatasetError: No header, a column named twice, or (while reading) quotes or bytes after which nothing can be
            trusted.
    """
    # The limit belongs to the process and is meant for small cells; texts are longer. It is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    lines = _CountedLines(path, encoding)
    first = lines.first()
    named = NAMED_DELIMITER.fullmatch(first)
    if named:
        delimiter = named[1]
    else:
        lines.put_back(first)
        delimiter = _guess_delimiter(first, delimiter)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, ()))
    except csv.Error as error:
        raise DatasetError(f"{path.name}: the header cannot be read: {error}") from error
    if not any(header):
        raise DatasetError(f"{path.name}: expected a header with the column names, found an empty file")
    columns = [name for name in header if name]
    twice = duplicate_names(columns)
    if twice:
        raise DatasetError(f"{path.name}: expected each column once, found several named {describe_columns(twice)}")
    return RawTable(tuple(columns), _csv_rows(path, header, reader, lines))


class _CountedLines(Iterator[str]):
    """The lines of a file as the csv module wants them, counted."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self.path, self.encoding = path, encoding
        self.number = 0
        self._lines = self._decoded()
        self._waiting: list[str] = []

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.number += 1
        return line

    def first(self) -> str:
        """The first line that is not blank, or an empty string."""
        return next((line for line in self if line.strip()), "")

    def put_back(self, line: str) -> None:
        """Give a line out again."""
        self._waiting.append(line)
        self.number -= 1

    def _decoded(self) -> Iterator[str]:
        with open_bytes(self.path) as stream:
            sample = stream.read(SAMPLE_BYTES)
        old_mac = b"\r" in sample and b"\n" not in sample
        doubled = sample.partition(b"\n")[0].endswith(b"\r\r")  # Windows line ends, translated to Windows line ends
        for _, line in read_lines(self.path, self.encoding):
            if isinstance(line, RowIssue):
                raise self._refusal(line, sample)
            if old_mac:
                yield from (f"{part}\n" for part in line.split("\r"))
            else:
                line = line.replace("\r\r\n", "\r\n") if doubled else line
                yield LONE_RETURN.sub(HIDDEN_RETURN, line)

    def _refusal(self, issue: RowIssue, sample: bytes) -> DatasetError:
        if issue.kind != "encoding":
            return DatasetError(f"{self.path.name}: cannot be read from line {issue.row} on", issues=[issue])
        message = f"{self.path.name}: line {issue.row} of the file is not {self.encoding or 'UTF-8'}"
        return DatasetError(message, issues=[issue]).hint(encoding_hint(issue.value if sample.isascii() else sample))


def _guess_delimiter(line: str, usual: str) -> str:
    """The usual delimiter, or the one that splits a header which the usual one leaves whole."""
    cells = {mark: len(next(csv.reader([line], delimiter=mark), ())) for mark in {usual, *DELIMITERS}}
    return usual if cells[usual] > 1 else max((usual, *DELIMITERS), key=lambda mark: cells[mark])


def _csv_rows(
    path: Path, header: tuple[str, ...], reader: Iterator[list[str]], lines: _CountedLines
) -> Iterator[RawRow | RowIssue]:
    while True:
        number = lines.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            issue = RowIssue(number, "invalid_row", f"the cells cannot be told apart: {error}")
            raise DatasetError(f"{path.name}: broken from row {number} on", issues=[issue]).hint(
                'Cells with commas, quotes or line ends are quoted, and quotes in them doubled: "he said ""no""".'
            ) from error
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield table_row(number, header, [cell.replace(HIDDEN_RETURN, "\r") for cell in cells])


def table_row(number: int, header: tuple[str, ...], cells: list[str]) -> RawRow | RowIssue:
    """A row under a header; cells without a column name are skipped."""
    if len(cells) != len(header):
        return RowIssue(number, "invalid_row", f"expected {len(header)} cells as in the header, found {len(cells)}")
    return RawRow(number, {name: cell for name, cell in zip(header, cells, strict=True) if name})
