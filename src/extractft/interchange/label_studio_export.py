"""Rows out of what Label Studio exports as JSON, or of tasks with predictions. Knows Label Studio's JSON, no files.

What people decided counts: the annotation that is the ground truth, else the one that was changed last. Cancelled ones
and tasks without any say nothing. Configs of other projects are read as well, if their labels, choices and words are
named as the fields of the schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from extractft.data.example_loader import validate_text
from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow, RawRow
from extractft.data.strict_json import InvalidJson, parse_json
from extractft.interchange.label_studio_tasks import PLACES
from extractft.interchange.labelled_row import METHODS, LabelledRow, confidence_of, parsed_record
from extractft.interchange.marked_text import Mark, MarkedText, unmark
from extractft.interchange.record_pieces import label_of, node_at, read_cell
from extractft.interchange.studio_config import CHOICE, ITEM, OTHER, TEXT, WORDS, choices_of
from extractft.schema import Schema
from extractft.text.offset_units import OffsetMap

__all__ = ["UNLABELLED", "row_of_task"]

UNLABELLED = "unlabelled"
"""Kind of issue of a task that nobody has labelled."""


def row_of_task(
    row: RawRow, parser: OutputParser[Any], *, text_column: str = TEXT, predictions: bool = False
) -> LabelledRow:
    """The row of a task.

    Args:
        row: The task.
        parser: Parses records of the schema.
        text_column: The key of the text in the task's data.
        predictions: Take the first prediction of a task that nobody has labelled.

    Raises:
        InvalidRow: It is no task, nobody has labelled it, or its record is none of the schema.
    """
    task = row.value
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping):
        raise InvalidRow.one("invalid_row", "expected a task with data (export it as JSON, not as JSON-MIN or CSV)")
    if text_column not in data:
        raise InvalidRow.one("missing_text", "the data of the task has no such column for the text")
    text = validate_text(data[text_column])
    decision = _annotation(task)
    confidence: dict[str, Any] | None = None
    if decision is None and predictions:
        decision = next((found for found in task.get("predictions") or () if isinstance(found, Mapping)), None)
        confidence = None if decision is None else _confidence(task, decision)
    if decision is None:
        raise InvalidRow.one(UNLABELLED, "the task has no annotation that counts")
    marked = _marked(decision.get("result") or (), text, parser.schema)
    raw, spans, scores = unmark(marked, text, parser.schema)
    if confidence is not None and not confidence["fields"]:
        confidence["fields"] = scores
    return LabelledRow(
        number=row.number,
        text=text,
        record=parsed_record(raw, parser),
        id=data.get("id", task.get("id")),
        spans=spans,
        confidence=confidence,
        extra={key: value for key, value in data.items() if key not in (text_column, "id")},
    )


def _annotation(task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The annotation that counts; `None` if there is none."""
    found = [one for one in task.get("annotations") or () if isinstance(one, Mapping) and not one.get("was_cancelled")]
    latest = sorted(found, key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or "")))
    return latest[-1] if latest else None


def _confidence(task: Mapping[str, Any], prediction: Mapping[str, Any]) -> dict[str, Any] | None:
    """The confidence of a prediction: as we wrote it, if it is that, else its score."""
    score, meta = prediction.get("score"), task.get("meta")
    known = meta.get("confidence") if isinstance(meta, Mapping) else None
    ours = confidence_of(known)
    if ours is not None and (score is None or abs(float(ours["record"]) - float(score)) <= 10**-PLACES):
        return ours
    return None if score is None else {"record": score, "fields": {}, "calibrated": False}


def _marked(results: Any, text: str, schema: Schema[Any]) -> MarkedText:
    found = [one for one in results if isinstance(one, Mapping) and isinstance(one.get("value"), Mapping)]
    words = {name: _words_by_place(found, name) for name in (WORDS, ITEM)}
    marks = []
    values: dict[str, Any] = {}
    offsets = OffsetMap(text, "utf-16")
    for one in found:
        kind, name, value = one.get("type"), str(one.get("from_name") or ""), one["value"]
        if kind in ("labels", "hypertextlabels"):
            marks += [_mark(one, label, text, offsets, words) for label in value.get(kind, ())]
        elif kind == "choices":
            values |= _chosen(name.removeprefix(CHOICE), value.get("choices") or (), schema)
        elif kind in ("textarea", "number") and name not in (WORDS, ITEM):
            values |= _written(name, value.get("text", value.get("number")), schema)
    return MarkedText(tuple(marks), values)


def _words_by_place(results: list[Mapping[str, Any]], name: str) -> dict[Any, str]:
    """The words that people wrote to places, by the name of the place."""
    written = {one.get("id"): one["value"].get("text") for one in results if one.get("from_name") == name}
    return {own: "\n".join(text) if isinstance(text, list) else str(text) for own, text in written.items() if text}


def _mark(
    one: Mapping[str, Any], label: str, text: str, offsets: OffsetMap, words: Mapping[str, Mapping[Any, str]]
) -> Mark:
    value = one["value"]
    start, end = _place(value, text, offsets)
    notes = one.get("meta", {}).get("text") if isinstance(one.get("meta"), Mapping) else None
    method = next((known for known in METHODS if known in (notes or ())), METHODS[0])
    score = one.get("score")
    return Mark(
        start=start,
        end=end,
        label=str(label),
        items=words[ITEM].get(one.get("id"), "").strip(),
        words=words[WORDS].get(one.get("id")),
        method=method,
        score=score if isinstance(score, int | float) else None,
    )


def _place(value: Mapping[str, Any], text: str, offsets: OffsetMap) -> tuple[int, int]:
    """Start and end in characters; of tools that count these themselves, as they are.

    Raises:
        InvalidRow: There is no such place in the text.
    """
    first, last, said = value.get("start"), value.get("end"), value.get("text")
    if isinstance(first, int) and isinstance(last, int):
        for start, end in _readings(first, last, text, offsets):
            if start is None or end is None or not 0 <= start < end <= len(text):
                continue
            if not isinstance(said, str) or text[start:end] in (said, said.replace("\n", "\r\n")):
                return start, end
    raise InvalidRow.one(
        "invalid_span", "expected a place in the text whose words are those that it says, found others"
    )


def _readings(first: int, last: int, text: str, offsets: OffsetMap) -> Iterator[tuple[int | None, int | None]]:
    """The places that two numbers may mean: in UTF-16, in characters, or in UTF-16 with line ends as one character."""
    yield offsets.to_characters(first), offsets.to_characters(last)
    yield first, last
    if "\r\n" in text:
        lines = text.replace("\r\n", "\n")
        places = OffsetMap(lines, "utf-16")
        start, end = places.to_characters(first), places.to_characters(last)
        if start is not None and end is not None:
            kept = [len(lines[:at].replace("\n", "\r\n")) for at in (start, end)]
            if text == lines.replace("\n", "\r\n"):  # line ends of one kind
                yield kept[0], kept[1]


def _chosen(path: str, choices: Any, schema: Schema[Any]) -> dict[str, Any]:
    """The value of a field that was chosen.

    Raises:
        InvalidRow: There is no such field, several were chosen, or none of its allowed values.
    """
    label = label_of(path, schema)
    if len(choices) != 1:
        raise InvalidRow.one("invalid_output", f"expected one choice, found {len(choices)}", path)
    allowed = choices_of(label, node_at(label, schema), schema)
    return {path: allowed[choices[0]] if choices[0] in allowed else read_cell(str(choices[0]), label, schema)}


def _written(name: str, text: Any, schema: Schema[Any]) -> dict[str, Any]:
    """Values out of words: lines of `field = JSON`, or what stands in the form of a field."""
    if name == OTHER:
        lines = text if isinstance(text, list) else str(text).splitlines()
        return dict(_line(line) for line in lines if line.strip())
    path = name.removeprefix(CHOICE)
    words = "\n".join(map(str, text)) if isinstance(text, list) else str(text)
    return {path: read_cell(words, label_of(path, schema), schema)}


def _line(line: str) -> tuple[str, Any]:
    path, equals, value = line.partition("=")
    if not equals:
        raise InvalidRow.one("invalid_output", 'expected lines such as note = "none" in the words for other values')
    try:
        return path.strip(), parse_json(value.strip())
    except InvalidJson as problem:
        raise InvalidRow.one("invalid_json", f"the words for other values: {problem}") from problem
