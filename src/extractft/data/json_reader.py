"""Raw rows out of JSONL and JSON files. Knows no schema.

JSONL is read line by line, so that a large file costs no memory. A line that cannot be read becomes an issue; a file is
refused where reading cannot go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from extractft.data.column_names import describe_columns
from extractft.data.compression import open_bytes
from extractft.data.raw_row import NumberedText, RawRow, RowIssue, numbered_rows
from extractft.data.strict_json import InvalidJson, parse_json
from extractft.data.text_encoding import decode_bytes, decode_lines, encoding_doubt, encoding_hint
from extractft.errors import DatasetError

__all__ = [
    "LARGEST_JSON",
    "is_json_list",
    "parse_json_lines",
    "parse_json_list",
    "read_json",
    "read_jsonl",
    "read_lines",
    "take_first_lines",
]

LARGEST_JSON = 2**29
"""Most bytes of a file that has to be read whole: 512 MiB."""


def read_lines(path: Path, encoding: str | None = None) -> Iterator[NumberedText]:
    """The numbered lines of a file; see `decode_lines`."""
    with open_bytes(path) as stream:
        yield from decode_lines(stream, path.name, encoding)


def read_jsonl(path: Path, encoding: str | None = None) -> Iterator[RawRow | RowIssue]:
    """One JSON value a line; blank lines are passed over, bad ones become issues. A JSON list is read as its rows.

    Raises:
        DatasetError: The objects are spread over lines.
    """
    lines = read_lines(path, encoding)
    head = take_first_lines(lines)
    if any(isinstance(line, str) and line.strip() == "{" for _, line in head[:1]):
        raise DatasetError(f"{path.name}: expected one JSON object a line, found objects over several lines").hint(
            "Write each on one line (jq -c . FILE), or all in one list: [{...}, {...}]."
        )
    if is_json_list(head):
        return read_json(path, encoding)
    return parse_json_lines(chain(head, lines))


def take_first_lines(lines: Iterator[NumberedText]) -> list[NumberedText]:
    """The lines up to the second that is not blank, taken off `lines`."""
    head: list[NumberedText] = []
    filled = 0
    for line in lines:
        head.append(line)
        filled += isinstance(line.text, RowIssue) or bool(line.text.strip())
        if filled == 2:
            break
    return head


def is_json_list(head: Iterable[NumberedText]) -> bool:
    """True if lines that begin like this are one JSON list rather than a JSON value each.

    A line may hold a list of its own, a pair of text and output. So a list is that of all rows if it goes on over the
    line's end, or if it is the only one and no such pair.
    """
    filled = [line for _, line in head if isinstance(line, RowIssue) or line.strip()]
    if not filled or isinstance(filled[0], RowIssue) or not filled[0].lstrip().startswith("["):
        return False
    first = filled[0].strip()
    try:
        value = parse_json(first)
    except InvalidJson:
        return len(filled) == 1 or not first.endswith("]")
    return len(filled) == 1 and not _is_pair(value)


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return False
    return not isinstance(value[1], str) or value[1].lstrip().startswith(("{", "["))


def parse_json_lines(lines: Iterable[NumberedText]) -> Iterator[RawRow | RowIssue]:
    """The values of JSON lines; lines that are none give issues."""
    for number, line in lines:
        if isinstance(line, RowIssue):
            yield line
        elif line.strip():
            try:
                yield RawRow(number, parse_json(line))
            except InvalidJson as problem:
                yield RowIssue(number, "invalid_json", str(problem), value=line)


def read_json(path: Path, encoding: str | None = None) -> Iterator[RawRow | RowIssue]:
    """The rows of a JSON list, or of the list under `data`; a file with a JSON object a line is read as such.

    Raises:
        DatasetError: The file is none of these, or too large to be read whole.
    """
    with open_bytes(path) as stream:
        content = stream.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise DatasetError(f"{path.name}: expected at most {LARGEST_JSON >> 20} MiB of JSON, found more").hint(
            "Write one JSON object a line and name it .jsonl: that is read piece by piece."
        )
    try:
        text = decode_bytes(content, encoding)
    except UnicodeError as error:
        line = content.count(b"\n", 0, error.start if isinstance(error, UnicodeDecodeError) else 0) + 1
        raise DatasetError(f"{path.name}: expected {encoding or 'UTF-8'}, found something else in line {line}").hint(
            encoding_hint(content)
        ) from error
    try:
        return parse_json_list(text, path.name)
    except DatasetError as error:
        if doubt := encoding_doubt(content, encoding):
            error.hint(doubt)
        raise


def parse_json_list(text: str, name: str) -> Iterator[RawRow | RowIssue]:
    """The rows of a JSON text.

    Raises:
        DatasetError: It is no list of rows.
    """
    try:
        value = parse_json(text)
    except InvalidJson as problem:
        lines = [NumberedText(number, line) for number, line in enumerate(text.split("\n"), 1)]
        if _starts_with_object(lines):
            return parse_json_lines(lines)
        raise DatasetError(f"{name}: {problem}").hint(
            "A file with one JSON object a line is named .jsonl."
        ) from problem
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        _refuse_other_lists(value, name)
        value = _named_cells(value["data"], value.get("columns"))
    if not isinstance(value, list):
        found = (
            f"an object with the keys {describe_columns(value)}" if isinstance(value, dict) else type(value).__name__
        )
        raise DatasetError(f'{name}: expected a list of rows, or {{"data": [...]}}, found {found}')
    return numbered_rows(value)


def _refuse_other_lists(value: dict[str, Any], name: str) -> None:
    """Refuse lists beside `data` that may hold rows as well: they would vanish in silence."""
    kinds = {type(row) for row in value["data"]} or {dict}
    others = [part for key, part in value.items() if key not in ("data", "columns", "index") and isinstance(part, list)]
    lists = sum(any(type(item) in kinds for item in part) for part in others)
    if lists:
        found = f"{lists} more list{'s' if lists > 1 else ''} beside it"
        raise DatasetError(f"{name}: expected all rows in the list under data, found {found}").hint(
            "Put all rows in one list, or write a file for each list."
        )


def _named_cells(rows: list[Any], columns: Any) -> list[Any]:
    """Rows as mappings where the columns are named once for all of them, as pandas does with `orient="split"`."""
    if not isinstance(columns, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
        return rows
    return [dict(zip(map(str, columns), row, strict=True)) for row in rows]


def _starts_with_object(lines: list[NumberedText]) -> bool:
    """True if the first line that is not blank is a whole JSON object, and more lines follow."""
    filled = [line for _, line in take_first_lines(iter(lines)) if isinstance(line, str) and line.strip()]
    if len(filled) < 2:
        return False
    try:
        return isinstance(parse_json(filled[0]), dict)
    except InvalidJson:
        return False
