"""A record as places marked in its text, and as values that have none: the form that annotation tools know.

A mark is a place with the label of a field. It says more where it has to: the item of a list, and the value, if that
is not what the words mean. What has no place, or could not be read back from one, is a value by its path. Knows schemas
and records; knows no tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from extractft.data.raw_row import InvalidRow
from extractft.grounding import Span, ground
from extractft.grounding.spans import Method
from extractft.interchange.labelled_row import LabelledRow
from extractft.interchange.record_pieces import (
    Piece,
    label_of,
    node_at,
    read_cell,
    record_of,
    record_pieces,
    write_cell,
)
from extractft.schema import Schema
from extractft.text.offset_units import OffsetMap

__all__ = ["ROOT_LABEL", "Mark", "MarkedText", "mark_row", "shown_label", "unmark"]

ROOT_LABEL = "record"
"""The label of a record that is a single value and so has no field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A place in a text that is marked as a field.

    Attributes:
        start: First character.
        end: Character after the last one.
        label: The field, `lines.*.total`.
        items: Which items of lists it belongs to, `1` or `1.0`; empty if there are no lists, or nobody said.
        words: The value in words, `None` if it is that of the words in the text.
        method: How the place was found.
        score: How sure the model was of the value, `None` if it is known or nobody asked.
    """

    start: int
    end: int
    label: str
    items: str = ""
    words: str | None = None
    method: Method = "exact"
    score: float | None = None

    def said(self, text: str) -> str:
        """The words for the value: those that somebody wrote, else those in the text."""
        return text[self.start : self.end] if self.words is None else self.words


@dataclass(frozen=True, slots=True)
class MarkedText:
    """The places of a record, and its other values.

    Attributes:
        marks: In the order of the record.
        values: By path, values that no mark says; they count where a mark says another.
    """

    marks: tuple[Mark, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


def shown_label(label: str) -> str:
    """A label as tools show it."""
    return label or ROOT_LABEL


def mark_row(row: LabelledRow, schema: Schema[Any], offsets: OffsetMap | None = None) -> MarkedText:
    """Mark the values of a row where they stand; places are looked up if the row has none.

    Args:
        row: The row.
        schema: The schema of its record.
        offsets: The positions that the tool has; a place that they do not reach is not marked.
    """
    spans = ground(schema, row.record, row.text) if row.spans is None else row.spans
    scores = {} if row.confidence is None else row.confidence["fields"]
    marks: list[Mark] = []
    values: dict[str, Any] = {}
    for piece in record_pieces(row.record, schema):
        place = next(iter(spans.get(piece.path, ())), None) if piece.is_text else None
        if place is not None and offsets is not None and not _reached(place, offsets):
            place = None
        mark = None if place is None else _mark(piece, place, row.text, schema, scores.get(piece.path))
        if mark is None:
            values[piece.path] = piece.value
            continue
        marks.append(mark)
    return MarkedText(tuple(marks), values)


def _reached(place: Span, offsets: OffsetMap) -> bool:
    return None not in (offsets.from_characters(place.start), offsets.from_characters(place.end))


def _mark(piece: Piece, place: Span, text: str, schema: Schema[Any], score: float | None) -> Mark | None:
    """The mark of a value; `None` if it could not be read back from one."""
    words = None
    if not _same(_read(text[place.start : place.end], piece.label, schema), piece.value):
        words = write_cell(piece.value, piece.label, schema)
        if words is None or not words.strip():
            return None
    steps = zip(piece.path.split("."), piece.label.split("."), strict=True)
    return Mark(
        start=place.start,
        end=place.end,
        label=shown_label(piece.label),
        items=".".join(step for step, general in steps if general == "*" and step != general),
        words=words,
        method=place.method,
        score=score,
    )


def unmark(
    marked: MarkedText, text: str, schema: Schema[Any]
) -> tuple[Any, dict[str, tuple[Span, ...]], dict[str, float]]:
    """The record, the places and the scores that marks and values say, for a parser to validate.

    A mark in a list that does not say which item it belongs to goes to the item of the mark before it, or to the next
    one, if that has the field already.

    Raises:
        InvalidRow: A label is no field of the schema, or a mark says nothing that the field can be.
    """
    values = dict(marked.values)
    spans: dict[str, tuple[Span, ...]] = {}
    scores: dict[str, float] = {}
    for path, mark in _paths(marked.marks, schema):
        if path in spans:
            spans[path] = (*spans[path], _span(mark, text, exact=False))
            continue
        value = values[path] if path in values else read_cell(mark.said(text), label_of(path, schema), schema)
        values[path] = value
        spans[path] = (_span(mark, text, exact=text[mark.start : mark.end] == value),)
        if mark.score is not None:
            scores[path] = mark.score
    return record_of(values, schema), spans, scores


def _span(mark: Mark, text: str, *, exact: bool) -> Span:
    method = mark.method if mark.method != "exact" or exact else "normalized"
    return Span(mark.start, mark.end, "exact" if exact else method)


def _paths(marks: Iterable[Mark], schema: Schema[Any]) -> list[tuple[str, Mark]]:
    """Marks with the paths that they mean; those that say their items first."""
    found: list[tuple[str, Mark]] = []
    open_marks: list[tuple[str, Mark]] = []
    for mark in marks:
        label = _known_label(mark.label, schema)
        if label.count("*") == (mark.items.count(".") + 1 if mark.items else 0):
            found.append((_filled(label, mark.items.split(".") if mark.items else []), mark))
        elif mark.items:
            message = f"expected the numbers of {label.count('*')} items at the label, found another form"
            raise InvalidRow.one("invalid_output", message, label)
        else:
            open_marks.append((label, mark))
    taken = {path for path, _ in found}
    before: dict[str, str] = {}
    for label, mark in sorted(open_marks, key=lambda pair: pair[1].start):
        of_list = label.partition("*")[0]
        path = _next_path(label, before.get(of_list, ""), taken)
        taken.add(path)
        found.append((path, mark))
        before[of_list] = path
    return found


def _known_label(shown: str, schema: Schema[Any]) -> str:
    label = label_of(shown, schema) if node_at(shown, schema) is not None else shown
    if node_at(label, schema) is not None:
        return label
    if shown == ROOT_LABEL:
        return ""
    raise InvalidRow.one("unknown_key", "expected labels that are fields of the schema, found another", value=shown)


def _filled(label: str, items: list[str]) -> str:
    numbers = iter(items)
    path = ".".join(next(numbers) if step == "*" else step for step in label.split("."))
    if not all(item.isdecimal() for item in items):
        raise InvalidRow.one("invalid_output", "expected the number of an item at the label, found another text", label)
    return path


def _next_path(label: str, before: str, taken: set[str]) -> str:
    """The path of a mark that does not say its items: those of the mark before in the list, or the next free ones."""
    steps, last = label.split("."), before.split(".")
    path = list(steps)
    same = True
    for count, step in enumerate(steps):
        fits = same and count < len(last) and (step == "*" or step == last[count])
        if step == "*":
            path[count] = last[count] if fits and last[count].isdigit() else "0"
        same = fits
    stars = [count for count, step in enumerate(steps) if step == "*"]
    while ".".join(path) in taken and stars:
        path[stars[-1]] = str(int(path[stars[-1]]) + 1)
    return ".".join(path)


def _read(words: str, label: str, schema: Schema[Any]) -> Any:
    try:
        return read_cell(words, label, schema)
    except InvalidRow:
        return None


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
