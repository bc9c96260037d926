"""A text with its record and all that is known of both: the one form between the formats. Knows no format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from extractft.data.example_loader import validate_text
from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow, RawRow, RowIssue
from extractft.data.row_format import RowFormat
from extractft.data.row_source import RowSource
from extractft.data.table_values import to_jsonable
from extractft.grounding import Span
from extractft.grounding.spans import Method
from extractft.schema import Schema

__all__ = ["LabelledRow", "labelled_rows", "parsed_record", "row_line"]

OWN_KEYS = ("id", "text", "output", "confidence", "spans")
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledRow:
    """A text with its record.

    Attributes:
        number: The row's number in its file.
        text: The text.
        record: The record in canonical form, as JSON value.
        id: Its name, `None` if it has none.
        spans: By path, the places of a value, the most likely first; `None` if nobody looked.
        confidence: `record`, `fields` and `calibrated`, as `extractft extract --explain` writes them; `None` for a
            record that is known to be right.
        extra: Other columns.
    """

    number: int
    text: str
    record: Any
    id: Any = None
    spans: Mapping[str, tuple[Span, ...]] | None = None
    confidence: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def labelled_rows(source: RowSource, row_format: RowFormat, schema: Schema[Any]) -> Iterator[LabelledRow | RowIssue]:
    """Rows in any form that `load_examples` reads; what stands beside text and output is kept.

    Args:
        source: The rows.
        row_format: Takes them apart.
        schema: The schema of the records.
    """
    parser = OutputParser(schema, padded=source.kind == "table")
    for row in source.rows:
        if isinstance(row, RowIssue):
            yield row
            continue
        try:
            yield _labelled(row, row_format, parser)
        except InvalidRow as problem:
            yield from problem.issues(row.number)


def parsed_record(raw: Any, parser: OutputParser[Any]) -> Any:
    """The canonical form of a record.

    Raises:
        InvalidRow: It is no record of the schema.
    """
    return parser.schema.canonical_value(parser.parse(raw))


def row_line(row: LabelledRow) -> dict[str, Any]:
    """A row as a line of JSON that `load_examples` and `labelled_rows` read."""
    line = {} if row.id is None else {"id": row.id}
    line |= {"text": row.text, "output": row.record}
    if row.confidence is not None:
        line["confidence"] = row.confidence
    if row.spans:
        line["spans"] = {path: [_span_value(span) for span in spans] for path, spans in row.spans.items()}
    return line | {key: value for key, value in row.extra.items() if key not in OWN_KEYS}


def _labelled(row: RawRow, row_format: RowFormat, parser: OutputParser[Any]) -> LabelledRow:
    text, output = row_format.split(row)
    text, record = validate_text(text), parsed_record(output, parser)
    value = row.value
    if not isinstance(value, Mapping):
        return LabelledRow(number=row.number, text=text, record=record)
    columns = {row_format.text_column, row_format.output_column}
    if not columns <= value.keys():
        return LabelledRow(number=row.number, text=text, record=record, id=to_jsonable(value.get("id")))
    return LabelledRow(
        number=row.number,
        text=text,
        record=record,
        id=to_jsonable(value.get("id")),
        spans=_spans(value.get("spans"), len(text)),
        confidence=_confidence(value.get("confidence")),
        extra={key: to_jsonable(item) for key, item in value.items() if key not in columns.union(OWN_KEYS)},
    )


def _span_value(span: Span) -> dict[str, Any]:
    return {"start": span.start, "end": span.end, "method": span.method}


def _spans(value: Any, length: int) -> dict[str, tuple[Span, ...]] | None:
    """Places as `row_line` writes them; those that the text does not have are left out."""
    if not isinstance(value, Mapping):
        return None
    found: dict[str, tuple[Span, ...]] = {}
    for path, places in value.items():
        spans = [_span(place, length) for place in places] if isinstance(places, list) else []
        found[path] = tuple(span for span in spans if span is not None)
    return found


def _span(place: Any, length: int) -> Span | None:
    try:
        start, end, method = int(place["start"]), int(place["end"]), place.get("method", "exact")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return Span(start, end, method) if 0 <= start < end <= length and method in METHODS else None


def _confidence(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("record"), int | float):
        return None
    fields = value.get("fields")
    return {
        "record": value["record"],
        "fields": dict(fields) if isinstance(fields, Mapping) else {},
        "calibrated": bool(value.get("calibrated")),
    }
