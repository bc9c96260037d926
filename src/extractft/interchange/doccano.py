"""Rows as doccano's JSONL for sequence labelling, and back. Knows doccano's rows, no files.

doccano knows places with labels, and keeps other columns as they are. What a label does not say goes into the column
`values`: the items of lists, and values that are not the marked words or stand nowhere. doccano counts UTF-16 code
units, and grapheme clusters in projects that say so; PaddleNLP and other scripts count characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from extractft.data.example_loader import validate_text
from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow, RawRow
from extractft.interchange.labelled_row import LabelledRow, confidence_of, parsed_record
from extractft.interchange.marked_text import Mark, MarkedText, mark_row, unmark
from extractft.schema import MISSING, Schema
from extractft.text.offset_units import OffsetMap, OffsetUnit

__all__ = ["doccano_row", "row_of_doccano"]

OWN_COLUMNS = ("id", "text", "data", "label", "labels", "entities", "relations", "values", "confidence", "Comments")


def doccano_row(row: LabelledRow, schema: Schema[Any], *, unit: OffsetUnit = "utf-16") -> dict[str, Any]:
    """The line of a row.

    Args:
        row: The row.
        schema: The schema of its record.
        unit: What the tool counts.
    """
    offsets = OffsetMap(row.text, unit)
    marked = MarkedText() if row.record is MISSING else mark_row(row, schema, offsets)
    labels: list[list[Any]] = []
    values: list[dict[str, Any]] = [{"path": path, "value": value} for path, value in marked.values.items()]
    for mark in marked.marks:
        start, end = offsets.from_characters(mark.start), offsets.from_characters(mark.end)
        labels.append([start, end, mark.label])
        more = {"items": mark.items, "words": mark.words, "method": mark.method}
        said = {key: item for key, item in more.items() if item not in (None, "", "exact")}
        if said:
            values.append({"start": start, "end": end, "label": mark.label, **said})
    line = {} if row.id is None else {"id": row.id}
    line |= {"text": row.text, "label": labels}
    line |= {"values": values} if values else {}
    line |= {} if row.confidence is None else {"confidence": dict(row.confidence)}
    return line | {key: value for key, value in row.extra.items() if key not in OWN_COLUMNS}


def row_of_doccano(row: RawRow, parser: OutputParser[Any], *, unit: OffsetUnit = "utf-16") -> LabelledRow:
    """The row of a line, in the form with `label` or with `entities`.

    Args:
        row: The line.
        parser: Parses records of the schema.
        unit: What the tool counts.

    Raises:
        InvalidRow: It is no such line, or its record is none of the schema.
    """
    line = row.value
    if not isinstance(line, Mapping) or not {"label", "labels", "entities"} & line.keys():
        raise InvalidRow.one("invalid_row", "expected a line of doccano with text and label, or text and entities")
    text = validate_text(line.get("text", line.get("data")))
    offsets = OffsetMap(text, unit)
    marks = tuple(_marks(line, text, offsets))
    raw, spans, _ = unmark(MarkedText(marks, dict(_values(line))), text, parser.schema)
    return LabelledRow(
        number=row.number,
        text=text,
        record=parsed_record(raw, parser),
        id=line.get("id"),
        spans=spans,
        confidence=confidence_of(line.get("confidence")),
        extra={key: value for key, value in line.items() if key not in OWN_COLUMNS},
    )


def _marks(line: Mapping[str, Any], text: str, offsets: OffsetMap) -> Iterator[Mark]:
    """The places, each with what the column `values` says of it, once."""
    known: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in _entries(line):
        if "path" not in entry:
            known.setdefault((entry.get("start"), entry.get("end"), entry.get("label")), []).append(entry)
    for first, last, label in _triples(line):
        start, end = offsets.to_characters(first), offsets.to_characters(last)
        if start is None or end is None or not 0 <= start < end <= len(text):
            raise InvalidRow.one("invalid_span", "expected a place in the text, found one that is none")
        said = known.get((first, last, label)) or [{}]
        more = said.pop(0) if said[0] else {}
        yield Mark(
            start=start,
            end=end,
            label=label,
            items=str(more.get("items", "")),
            words=more.get("words"),
            method=more.get("method", "exact"),
        )


def _triples(line: Mapping[str, Any]) -> Iterator[tuple[int, int, str]]:
    for found in line.get("label") or line.get("labels") or line.get("entities") or ():
        place = found
        if isinstance(found, Mapping):
            place = (found.get("start_offset"), found.get("end_offset"), found.get("label"))
        if not isinstance(place, list | tuple) or len(place) != 3 or not all(isinstance(at, int) for at in place[:2]):
            raise InvalidRow.one("invalid_span", "expected start, end and label of each place, found another form")
        yield place[0], place[1], str(place[2])


def _values(line: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((entry["path"], entry.get("value")) for entry in _entries(line) if isinstance(entry.get("path"), str))


def _entries(line: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = line.get("values")
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
