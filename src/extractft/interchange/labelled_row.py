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
from extractft.schema import MISSING, ObjectNode, Schema

__all__ = ["LabelledRow", "confidence_of", "labelled_rows", "parsed_record", "row_line"]

OWN_KEYS = ("id", "text", "output", "confidence", "spans")
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledRow:
    """A text with its record.

    Attributes:
        number: The row's number in its file.
        text: The text.
        record: The record in canonical form, as JSON value; `MISSING` if nobody has labelled the row.
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


def labelled_rows(
    source: RowSource, schema: Schema[Any], columns: Mapping[str, str] | None = None, *, unlabelled: bool = False
) -> Iterator[LabelledRow | RowIssue]:
    """Rows in any form that `load_examples` reads; what stands beside text and output is kept.

    Args:
        source: The rows.
        schema: The schema of the records.
        columns: Our names to those of the rows.
        unlabelled: Take rows that have a text and nothing of a record as well.

    Raises:
        DatasetError: A table has no such columns.
    """
    parser, shape = OutputParser(schema, padded=source.kind == "table"), _Shape.of(schema, columns)
    plain = unlabelled and source.columns is not None and shape.has_no_record(dict.fromkeys(source.columns))
    row_format = None if plain else RowFormat(schema, source, columns)
    for row in source.rows:
        if isinstance(row, RowIssue):
            yield row
            continue
        try:
            if unlabelled and isinstance(row.value, Mapping) and shape.has_no_record(row.value):
                yield _described(row, validate_text(row.value[shape.text]), MISSING, shape)
            elif row_format is not None:
                text, output = row_format.split(row)
                yield _described(row, validate_text(text), parsed_record(output, parser), shape)
        except InvalidRow as problem:
            yield from problem.issues(row.number)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The names of columns.

    Attributes:
        text: That of the text.
        output: That of the record.
        fields: Those of fields, in rows that have a column for each.
    """

    text: str
    output: str
    fields: frozenset[str]

    @classmethod
    def of(cls, schema: Schema[Any], columns: Mapping[str, str] | None) -> _Shape:
        names = dict(columns or {})
        root = schema.resolve(schema.tree)
        fields = (
            {name for field in root.fields for name in (field.key, field.name)} if isinstance(root, ObjectNode) else ()
        )
        found = {names.get(name, name) for name in fields}
        return cls(names.get("text", "text"), names.get("output", "output"), frozenset(found))

    def has_no_record(self, value: Mapping[str, Any]) -> bool:
        """True if a row has a text and nothing of a record."""
        return self.text in value and value.get(self.output) is None and not (self.fields - {self.text}) & value.keys()


def parsed_record(raw: Any, parser: OutputParser[Any]) -> Any:
    """The canonical form of a record.

    Raises:
        InvalidRow: It is no record of the schema.
    """
    return parser.schema.canonical_value(parser.parse(raw))


def row_line(row: LabelledRow) -> dict[str, Any]:
    """A row as a line of JSON that `load_examples` and `labelled_rows` read."""
    line = {} if row.id is None else {"id": row.id}
    line |= {"text": row.text} | ({} if row.record is MISSING else {"output": row.record})
    if row.confidence is not None:
        line["confidence"] = row.confidence
    if row.spans:
        line["spans"] = {path: [_span_value(span) for span in spans] for path, spans in row.spans.items()}
    return line | {key: value for key, value in row.extra.items() if key not in OWN_KEYS}


def _described(row: RawRow, text: str, record: Any, shape: _Shape) -> LabelledRow:
    """A row with what stands beside text and record, where these have columns of their own."""
    value = row.value if isinstance(row.value, Mapping) else {}
    columns = {shape.text, shape.output}
    known = {"number": row.number, "text": text, "record": record, "id": to_jsonable(value.get("id"))}
    if shape.text not in value or (shape.output not in value and record is not MISSING):
        return LabelledRow(**known)
    return LabelledRow(
        **known,
        spans=_spans(value.get("spans"), len(text)),
        confidence=confidence_of(value.get("confidence")) if record is not MISSING else None,
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


def confidence_of(value: Any) -> dict[str, Any] | None:
    """A confidence as `row_line` writes it; `None` if it is none."""
    if not isinstance(value, Mapping) or not isinstance(value.get("record"), int | float):
        return None
    fields = value.get("fields")
    return {
        "record": value["record"],
        "fields": dict(fields) if isinstance(fields, Mapping) else {},
        "calibrated": bool(value.get("calibrated")),
    }
