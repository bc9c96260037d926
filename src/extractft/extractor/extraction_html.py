"""An extraction as HTML for notebooks: the text with the places of its values, and a table of values.

Everything of the text and the record is escaped. Colours stand beside words, never alone, and follow the notebook's own
light or dark ground. Knows extractions; knows no notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from extractft.data.record_columns import json_text
from extractft.grounding import Span
from extractft.schema.record_paths import path_of

if TYPE_CHECKING:
    from extractft.extractor.extraction import Extraction

__all__ = ["extraction_html"]

MAX_TEXT, MAX_VALUE, MAX_ROWS = 4000, 200, 100
"""Most characters of a text and of a value, and most values that are shown."""
SURE, LIKELY = 0.9, 0.6
"""Confidences from which a value counts as sure and as likely."""
COLOURS = {"sure": "#2e7d32", "likely": "#b26a00", "doubtful": "#c62828", "unknown": "#5c6bc0"}
STYLE = "font-family:sans-serif;font-size:0.95em;line-height:1.6;max-width:60em"
CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0"


def extraction_html(extraction: Extraction[Any]) -> str:
    """A fragment of HTML that needs no style sheet and no script.

    Args:
        extraction: What `inspect` gave.
    """
    certain = {} if extraction.confidence is None else dict(extraction.confidence.fields)
    paths = list(dict.fromkeys([*extraction.spans, *certain]))
    values = dict(_values(extraction.output))
    rows = "".join(_row(extraction, path, values, certain.get(path)) for path in paths[:MAX_ROWS])
    more = f"<p>and {len(paths) - MAX_ROWS} more values</p>" if len(paths) > MAX_ROWS else ""
    names = ("field", "value", "in the text", "confidence")
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in names)
    return (
        f'<div style="{STYLE}"><p style="white-space:pre-wrap">{_marked(extraction, certain)}</p>'
        f"<p>{_summary(extraction)}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}</div>"
    )


def _summary(extraction: Extraction[Any]) -> str:
    """The record's own confidence, and what a reader should know."""
    found = [f"<b>{escape(type(extraction.output).__name__)}</b>"]
    if extraction.confidence is not None:
        kind = "calibrated" if extraction.confidence.calibrated else "not calibrated"
        found.append(f"confidence of the whole record {extraction.confidence.record:.2f} ({kind})")
    if extraction.truncated:
        found.append("closed early: the budget of tokens ran out")
    if extraction.explanation_error is not None:
        found.append(escape(extraction.explanation_error))
    return ", ".join(found)


def _values(output: Any) -> Iterator[tuple[str, Any]]:
    """The values of a record by their paths; none of a record whose own serialisers fail."""
    try:
        waiting: list[tuple[tuple[str | int, ...], Any]] = [((), to_jsonable_python(output, by_alias=True))]
    except Exception:
        return
    while waiting:
        route, value = waiting.pop()
        yield path_of(route), value
        if isinstance(value, dict):
            waiting += [((*route, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*route, number), inner) for number, inner in enumerate(value)]


def _row(extraction: Extraction[Any], path: str, values: Mapping[str, Any], certain: float | None) -> str:
    place = next(iter(extraction.spans.get(path, ())), None)
    where = "nowhere" if path in extraction.spans else ""
    if place is not None:
        written = _short(extraction.text[place.start : place.end])
        where = f"{written}, {place.start} to {place.end} ({place.method})"
    value = values.get(path)
    level = _level(certain)
    sure = "" if certain is None else f'<span style="color:{COLOURS[level]}">{certain:.2f} {level}</span>'
    shown = "absent" if value is None else _short(value if isinstance(value, str) else json_text(value))
    cells = (f"<code>{escape(path)}</code>", escape(shown), escape(where), sure)
    return "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"


def _short(text: str) -> str:
    """The beginning of a value."""
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _level(certain: float | None) -> str:
    """A confidence in a word."""
    if certain is None:
        return "unknown"
    return "sure" if certain >= SURE else "likely" if certain >= LIKELY else "doubtful"


def _marked(extraction: Extraction[Any], certain: dict[str, float]) -> str:
    """The text with the most likely places of its values; where places overlap, the first one stays."""
    parts, end = [], 0
    for place, path in _places(extraction):
        if place.start < end or place.start >= MAX_TEXT:
            continue
        colour = COLOURS[_level(certain.get(path))]
        mark = f"background:transparent;color:inherit;border-bottom:3px solid {colour}"
        stop = min(place.end, MAX_TEXT)
        shown = escape(extraction.text[place.start : stop])
        parts += [escape(extraction.text[end : place.start])]
        parts += [f'<mark title="{escape(path, quote=True)}" style="{mark}">{shown}</mark>']
        end = stop
    rest = extraction.text[end:MAX_TEXT]
    return "".join([*parts, escape(rest), "…" if len(extraction.text) > MAX_TEXT else ""])


def _places(extraction: Extraction[Any]) -> list[tuple[Span, str]]:
    """The most likely place of each value, in the order of the text, the longer of two that begin together first."""
    found = [(spans[0], path) for path, spans in extraction.spans.items() if spans]
    return sorted(found, key=lambda pair: (pair[0].start, -pair[0].end))
