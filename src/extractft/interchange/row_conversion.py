"""Files of one format read, and rows written in another, each read back to say what the format does not hold.

Knows the formats by name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from extractft.config import PromptConfig
from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow, RawRow, RowIssue
from extractft.data.row_source import RowSource, open_row_sources
from extractft.errors import DatasetError
from extractft.interchange.chat_formats import ChatWriter
from extractft.interchange.doccano import doccano_row, row_of_doccano
from extractft.interchange.label_studio_export import UNLABELLED, row_of_task
from extractft.interchange.label_studio_tasks import MODEL_VERSION, label_studio_task
from extractft.interchange.labelled_row import LabelledRow, labelled_rows, row_line
from extractft.interchange.record_pieces import record_pieces
from extractft.schema import MISSING, Schema
from extractft.storage import publish_text
from extractft.text.offset_units import OffsetUnit

__all__ = [
    "FORMATS",
    "FormatName",
    "InterchangeOptions",
    "ReadRows",
    "WrittenRows",
    "labels_of",
    "read_rows",
    "rows_content",
    "write_rows",
]

FormatName = Literal["rows", "label-studio", "doccano", "openai", "alpaca", "sharegpt"]
"""Names of the formats that rows are written in and read from."""
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
"""All of them."""
LineWriter = Callable[[LabelledRow], dict[str, Any]]
RowReader = Callable[[RawRow], LabelledRow]


@dataclass(frozen=True, kw_only=True, slots=True)
class InterchangeOptions:
    """Settings of the formats.

    Attributes:
        columns: Our names to those of the rows; for Label Studio, that of the text in a task's data.
        encoding: How text files are written; UTF-8 if `None`.
        offsets: What doccano counts.
        predictions: Take predictions of tasks that nobody has labelled.
        model_version: The name of the model in predictions.
        unlabelled: Take rows without a record, to be labelled by people.
        prompt: Language and template of the system prompt in chats and instructions.
    """

    columns: Mapping[str, str] | None = None
    encoding: str | None = None
    offsets: OffsetUnit = "utf-16"
    predictions: bool = False
    unlabelled: bool = False
    model_version: str = MODEL_VERSION
    prompt: PromptConfig = field(default_factory=PromptConfig)


DEFAULTS = InterchangeOptions()


@dataclass(slots=True)
class ReadRows:
    """Rows that were read.

    Attributes:
        rows: The rows.
        unlabelled: Number of tasks that nobody has labelled, which are left out.
    """

    rows: list[LabelledRow] = field(default_factory=list)
    unlabelled: int = 0


@dataclass(slots=True)
class WrittenRows:
    """Rows that were written.

    Attributes:
        rows: Number of rows.
        unlabelled: Of these, those without a record.
        lost: By what it is, the number of rows of which the format did not hold it.
    """

    rows: int = 0
    unlabelled: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def read_rows(
    data: Any, schema: Schema[Any], source_format: FormatName = "rows", options: InterchangeOptions = DEFAULTS
) -> ReadRows:
    """Read rows, all of them or none.

    Args:
        data: Files, folders or patterns, or rows in memory, as `load_examples` takes them.
        schema: The schema of the records.
        source_format: Their format; `rows`, `openai`, `alpaca` and `sharegpt` are all that `load_examples` reads.
        options: Settings of the format.

    Raises:
        DatasetError: No rows, or bad ones; `.issues` lists every bad row.
    """
    read, total = ReadRows(), 0
    issues: list[RowIssue] = []
    for source in open_row_sources(data, options.encoding):
        for found in _rows_of(source, schema, source_format, options):
            total += 1
            if isinstance(found, LabelledRow):
                read.rows.append(found)
            elif found.kind == UNLABELLED:
                read.unlabelled += 1
            else:
                issues.append(replace(found, file=source.name))
    if issues:
        if len({issue.file for issue in issues}) == 1:
            issues = [replace(issue, file="") for issue in issues]
        bad = len({(issue.file, issue.row) for issue in issues})
        raise DatasetError(f"{bad} of {total} rows cannot be used as {source_format}", issues=issues)
    if not read.rows:
        instead = f"{read.unlabelled} tasks that nobody has labelled" if read.unlabelled else "none"
        raise DatasetError(f"expected rows of {source_format}, found {instead}")
    return read


def write_rows(
    rows: Sequence[LabelledRow],
    schema: Schema[Any],
    target_format: FormatName,
    path: str | Path,
    options: InterchangeOptions = DEFAULTS,
) -> WrittenRows:
    """Write rows to a file, which is there as a whole or not at all, and say what it does not hold.

    Args:
        rows: The rows.
        schema: The schema of their records.
        target_format: The format; `rows` is the JSONL that `fit` reads.
        path: The file.
        options: Settings of the format.

    Raises:
        DatasetError: A text or a record would not come back as it is; nothing is written.
    """
    content, written = rows_content(rows, schema, target_format, options)
    publish_text(Path(path), content)
    return written


def rows_content(
    rows: Sequence[LabelledRow], schema: Schema[Any], target_format: FormatName, options: InterchangeOptions = DEFAULTS
) -> tuple[str, WrittenRows]:
    """The content of a file of rows, and what it does not hold; see `write_rows`."""
    write = _writer(schema, target_format, options)
    read = _line_reader(schema, target_format, replace(options, predictions=True, columns=None))
    lines, issues, written = [], [], WrittenRows()
    for row in rows:
        try:
            line = _spelled(write(row))
            back = row if row.record is MISSING else read(RawRow(row.number, json.loads(line)))
        except InvalidRow as problem:
            issues += problem.issues(row.number)
            continue
        if back.text != row.text or back.record != row.record:
            issues.append(RowIssue(row.number, "not_held", f"{target_format} does not hold this record"))
        lines.append(line)
        written.rows += 1
        written.unlabelled += row.record is MISSING
        written.lost.update(_lost(row, back))
    if issues:
        raise DatasetError(f"{len(issues)} rows would not come back from {target_format} as they are", issues=issues)
    if target_format == "label-studio":
        return "[\n" + ",\n".join(lines) + "\n]\n", written
    return "".join(f"{line}\n" for line in lines), written


def _spelled(line: dict[str, Any]) -> str:
    """A line as JSON.

    Raises:
        InvalidRow: It holds what JSON in UTF-8 cannot.
    """
    try:
        written = json.dumps(line, ensure_ascii=False, allow_nan=False)
        written.encode("utf-8")
    except ValueError as error:
        raise InvalidRow.one("invalid_row", f"a column holds what JSON cannot ({type(error).__name__})") from error
    return written


def labels_of(rows: Sequence[LabelledRow], schema: Schema[Any]) -> list[str]:
    """The labels that rows have, in the order in which they come."""
    records = (row.record for row in rows if row.record is not MISSING)
    pieces = (piece for record in records for piece in record_pieces(record, schema))
    return list(dict.fromkeys(piece.label for piece in pieces if piece.is_text))


def _rows_of(
    source: RowSource, schema: Schema[Any], name: FormatName, options: InterchangeOptions
) -> Iterator[LabelledRow | RowIssue]:
    if name not in ("label-studio", "doccano"):
        columns = options.columns if name == "rows" else None
        yield from labelled_rows(source, schema, columns, unlabelled=options.unlabelled)
        return
    read = _line_reader(schema, name, options)
    for row in source.rows:
        if isinstance(row, RowIssue):
            yield row
            continue
        try:
            yield read(row)
        except InvalidRow as problem:
            yield from problem.issues(row.number)
        except (TypeError, AttributeError, LookupError, ValueError) as error:  # foreign JSON may have any shape
            yield RowIssue(row.number, "invalid_row", f"expected a row of {name}, found a {type(error).__name__} in it")


def _line_reader(schema: Schema[Any], name: FormatName, options: InterchangeOptions) -> RowReader:
    """A function that reads one row of a format."""
    parser = OutputParser(schema)
    if name == "label-studio":
        column = (options.columns or {}).get("text", "text")
        return lambda row: row_of_task(row, parser, text_column=column, predictions=options.predictions)
    if name == "doccano":
        return lambda row: row_of_doccano(row, parser, unit=options.offsets)

    def read(row: RawRow) -> LabelledRow:
        (found,) = labelled_rows(RowSource([row]), schema)
        if isinstance(found, RowIssue):
            raise InvalidRow.one(found.kind, found.message, found.field)
        return found

    return read


def _writer(schema: Schema[Any], name: FormatName, options: InterchangeOptions) -> LineWriter:
    if name == "rows":
        return row_line
    if name == "label-studio":
        return lambda row: label_studio_task(row, schema, model_version=options.model_version)
    if name == "doccano":
        return lambda row: doccano_row(row, schema, unit=options.offsets)
    writer = ChatWriter(schema, options.prompt)
    forms = {"openai": writer.openai, "sharegpt": writer.sharegpt, "alpaca": writer.alpaca}

    def write(row: LabelledRow) -> dict[str, Any]:
        if row.record is MISSING:
            raise InvalidRow.one("missing_output", f"{name} needs a record for each text, found none")
        return forms[name](row)

    return write


def _lost(row: LabelledRow, back: LabelledRow) -> Iterator[str]:
    """The kinds of things that a row had and that did not come back."""
    if row.id is not None and back.id != row.id:
        yield "id"
    if row.confidence is not None and back.confidence != row.confidence:
        yield "confidence"
    if any(back.extra.get(key) != value for key, value in row.extra.items()):
        yield "other columns"
    after = back.spans or {}
    pairs = [(_bare(spans), after.get(path, ())) for path, spans in (row.spans or {}).items() if spans]
    if any(found[:1] != spans[:1] for spans, found in pairs):
        yield "places"
    elif any(found != spans for spans, found in pairs):
        yield "further places of a value"


def _bare(spans: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(replace(span, score=1.0) for span in spans)
