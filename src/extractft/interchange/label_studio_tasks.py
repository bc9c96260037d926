"""Rows as tasks of Label Studio. Knows Label Studio's JSON, no files.

Positions are UTF-16 code units, as browsers count. A row with a confidence becomes a prediction, any other an
annotation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from extractft.interchange.labelled_row import LabelledRow
from extractft.interchange.marked_text import Mark, MarkedText, mark_row
from extractft.interchange.record_pieces import label_of, node_at
from extractft.interchange.studio_config import CHOICE, ITEM, LABEL, OTHER, TEXT, WORDS, choice_words, choices_of
from extractft.schema import MISSING, Schema
from extractft.text.offset_units import OffsetMap

__all__ = ["MODEL_VERSION", "label_studio_task"]

MODEL_VERSION = "extractft"
PLACES = 4
Result = dict[str, Any]


def label_studio_task(row: LabelledRow, schema: Schema[Any], *, model_version: str = MODEL_VERSION) -> dict[str, Any]:
    """The task of a row.

    Args:
        row: The row.
        schema: The schema of its record.
        model_version: The name of the predictions' model.
    """
    data = {key: value for key, value in row.extra.items() if key != TEXT}
    task: dict[str, Any] = {"data": {TEXT: row.text, **data}}
    if row.id is not None:
        task["data"]["id"] = row.id
    if row.record is MISSING:
        return task | {"annotations": [], "predictions": []}
    marked, choices = _with_choices(mark_row(row, schema), row, schema)
    results = [*_places(marked, row.text), *choices, *_others(marked)]
    if row.confidence is None:
        annotation = {"result": results, "was_cancelled": False, "ground_truth": False}
        return task | {"annotations": [annotation], "predictions": []}
    task["meta"] = {"confidence": dict(row.confidence)}
    score = round(float(row.confidence["record"]), PLACES)
    prediction = {"model_version": model_version, "score": score, "result": results}
    return task | {"annotations": [], "predictions": [prediction]}


def _with_choices(marked: MarkedText, row: LabelledRow, schema: Schema[Any]) -> tuple[MarkedText, list[Result]]:
    """Fields of few allowed values as choices, and all others, which no choice says."""
    values = dict(marked.values)
    chosen = {mark.label: mark.said(row.text) for mark in marked.marks}
    scores = {} if row.confidence is None else row.confidence["fields"]
    results: list[Result] = []
    for path in [*chosen, *marked.values]:
        label = label_of(path, schema)
        found = choices_of(label, node_at(label, schema), schema)
        words = choice_words(values[path]) if path in values else chosen[path]
        if words not in found or (path in values and type(found[words]) is not type(values[path])):
            continue
        values.pop(path, None)
        results.append(_result(f"{CHOICE}{path}", "choices", {"choices": [words]}, scores.get(path)))
    return MarkedText(marked.marks, values), results


def _places(marked: MarkedText, text: str) -> Iterator[Result]:
    offsets = OffsetMap(text, "utf-16")
    for number, mark in enumerate(marked.marks):
        place = {"start": offsets.from_characters(mark.start), "end": offsets.from_characters(mark.end)}
        own = _id(number, mark)
        region = {**place, "text": text[mark.start : mark.end], "labels": [mark.label]}
        meta = {} if mark.method == "exact" else {"meta": {"text": [mark.method]}}
        yield _result(LABEL, "labels", region, mark.score, own) | meta
        for name, words in ((WORDS, mark.words), (ITEM, mark.items)):
            if words:
                yield _result(name, "textarea", {**place, "text": [words]}, None, own)


def _others(marked: MarkedText) -> Iterator[Result]:
    lines = [f"{path} = {json.dumps(value, ensure_ascii=False)}" for path, value in marked.values.items()]
    if lines:
        yield _result(OTHER, "textarea", {"text": lines}, None, "other")


def _result(name: str, kind: str, value: Result, score: float | None, own: str = "") -> Result:
    known = {} if score is None else {"score": score}
    return {"id": own or name, "from_name": name, "to_name": TEXT, "type": kind, "value": value, **known}


def _id(number: int, mark: Mark) -> str:
    """A name for a place, the same whenever the row is written."""
    return hashlib.blake2b(f"{number} {mark.start} {mark.end} {mark.label}".encode(), digest_size=6).hexdigest()
