"""Wrong records, made ready to be looked at: values side by side, their spans marked in the text.

Knows differences and texts; knows no markup. Nothing here is escaped: that is the template's part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, groupby, pairwise
from typing import Any

from extractft.evaluation.html.error_causes import ErrorCause, ExplainedDifference, common_start, explain
from extractft.evaluation.results import Difference

__all__ = ["DifferenceRow", "TextSegment", "WrongRecord", "wrong_records"]

WHOLE_TEXT = 4000
"""Longer texts are shown around the marked places only."""
CONTEXT = 240
LONGEST_VALUE = 2000


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A stretch of the text.

    Attributes:
        text: Its characters.
        gold: Numbers of the rows whose gold value it belongs to.
        prediction: Numbers of the rows whose prediction it belongs to.
        ends: Numbers of the rows of which a value ends here.
        left_out: If not 0, the segment stands for so many characters that are not shown.
    """

    text: str
    gold: tuple[int, ...] = ()
    prediction: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class DiffPart:
    """A stretch of a value; `differs` is true if the other value has none like it."""

    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """One difference. `gold` and `prediction` are `None` where there is no value; an empty string has no parts."""

    number: int
    path: str
    field: str
    kind: str
    cause: str
    gold: tuple[DiffPart, ...] | None
    prediction: tuple[DiffPart, ...] | None


@dataclass(frozen=True, slots=True)
class WrongRecord:
    """A record with differences, or one that failed as a whole.

    Attributes:
        row: Its number, as in `Difference.row`.
        failure: The reason why there is no prediction; empty if there is one.
        rows: Its differences.
        segments: Its text; `None` if it was not kept.
        explained: The differences with their causes.
    """

    row: int
    failure: str
    rows: tuple[DifferenceRow, ...]
    segments: tuple[TextSegment, ...] | None
    explained: tuple[ExplainedDifference, ...]


def wrong_records(
    errors: Sequence[Difference], texts: Sequence[str] | None, numbers: Sequence[int] | None = None
) -> list[WrongRecord]:
    """Gather differences by record, in the order of their numbers.

    Args:
        errors: The differences.
        texts: The text of each record, if they were kept.
        numbers: The number of each of these; counted from 1 if `None`.
    """
    ordered = sorted(errors, key=lambda error: error.row)
    text_of = dict(zip(count(1) if numbers is None else numbers, texts or (), strict=False))
    return [
        _record(row, list(differences), text_of.get(row))
        for row, differences in groupby(ordered, key=lambda error: error.row)
    ]


def _record(row: int, differences: list[Difference], text: str | None) -> WrongRecord:
    explained = explain(differences)
    failed = next((item.difference.kind for item in explained if item.cause is ErrorCause.FAILED), "")
    rows = [_row(number, item) for number, item in enumerate(explained, 1) if item.cause is not ErrorCause.FAILED]
    segments = None if text is None else tuple(_segments(text, differences))
    return WrongRecord(row, failed, tuple(rows), segments, tuple(explained))


def _row(number: int, item: ExplainedDifference) -> DifferenceRow:
    difference = item.difference
    gold, prediction = _side_by_side(difference)
    return DifferenceRow(
        number=number,
        path=difference.path,
        field=difference.field,
        kind=difference.kind,
        cause=_phrase(item),
        gold=gold,
        prediction=prediction,
    )


def _phrase(item: ExplainedDifference) -> str:
    if item.cause is ErrorCause.OTHER_FIELD:
        missed = item.difference.kind == "missed"
        return f"it stands in {item.other}" if missed else f"it is the value of {item.other}"
    return "" if item.cause in (ErrorCause.MISSED, ErrorCause.INVENTED, ErrorCause.OTHER) else str(item.cause)


def _side_by_side(difference: Difference) -> tuple[tuple[DiffPart, ...] | None, tuple[DiffPart, ...] | None]:
    gold, prediction = difference.gold, difference.prediction
    if isinstance(gold, str) and isinstance(prediction, str) and max(len(gold), len(prediction)) <= LONGEST_VALUE:
        return _diff_parts(gold, prediction), _diff_parts(prediction, gold)
    has_gold, has_prediction = difference.kind != "invented", difference.kind != "missed"
    return (_value(gold) if has_gold else None), (_value(prediction) if has_prediction else None)


def _value(value: Any) -> tuple[DiffPart, ...]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > LONGEST_VALUE:
        text = f"{text[:LONGEST_VALUE]} … ({len(text) - LONGEST_VALUE} more characters)"
    return (DiffPart(text),) if text else ()


def _diff_parts(value: str, other: str) -> tuple[DiffPart, ...]:
    """A value cut where it departs from the other one; whole if the two have little in common."""
    if value in other:
        cuts = [(value, False)]
    elif other and (start := value.find(other)) >= 0:
        cuts = [(value[:start], True), (other, False), (value[start + len(other) :], True)]
    else:
        head = common_start(value, other)
        tail = common_start(value[head:][::-1], other[head:][::-1])
        if 3 * (head + tail) < max(len(value), len(other)):
            head = tail = 0
            cuts = [(value, False)]
        else:
            end = len(value) - tail
            cuts = [(value[:head], False), (value[head:end], True), (value[end:], False)]
    return tuple(DiffPart(text, differs) for text, differs in cuts if text)


def _segments(text: str, differences: Sequence[Difference]) -> list[TextSegment]:
    """Cut the text at the borders of all marked places."""
    gold = _SpanSweep([(n, d.gold_span) for n, d in enumerate(differences, 1) if d.gold_span], len(text))
    prediction = _SpanSweep([(n, d.span) for n, d in enumerate(differences, 1) if d.span], len(text))
    borders = sorted({0, len(text), *gold.borders, *prediction.borders})
    segments = []
    for start, end in pairwise(borders):
        inside = gold.at(start), prediction.at(start)
        segments.append(
            TextSegment(text[start:end], *inside, tuple(sorted({*gold.ending(end), *prediction.ending(end)})))
        )
    return _shortened(segments) if len(text) > WHOLE_TEXT else segments


class _SpanSweep:
    """Numbered places in a text, asked for from left to right."""

    def __init__(self, places: Sequence[tuple[int, tuple[int, int]]], length: int) -> None:
        self._begins: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        self._open: set[int] = set()
        for number, (start, end) in places:
            if min(start, length) < min(end, length):
                self._begins.setdefault(start, []).append(number)
                self._ends.setdefault(min(end, length), []).append(number)

    @property
    def borders(self) -> set[int]:
        """The positions at which spans begin and end."""
        return {*self._begins, *self._ends}

    def at(self, border: int) -> tuple[int, ...]:
        """The places that hold what is right behind a border; every border is asked for once, in order."""
        self._open.difference_update(self._ends.get(border, ()))
        self._open.update(self._begins.get(border, ()))
        return tuple(sorted(self._open))

    def ending(self, border: int) -> list[int]:
        """The places that end at a border."""
        return self._ends.get(border, [])


def _shortened(segments: Sequence[TextSegment]) -> list[TextSegment]:
    """Leave out what is far from every marked place."""
    if len(segments) == 1:
        text = segments[0].text
        return [TextSegment(text[:WHOLE_TEXT]), TextSegment("", left_out=len(text) - WHOLE_TEXT)]
    shown: list[TextSegment] = []
    for index, segment in enumerate(segments):
        before = 0 if index == 0 else CONTEXT
        after = 0 if index == len(segments) - 1 else CONTEXT
        left_out = len(segment.text) - before - after
        if segment.gold or segment.prediction or left_out <= CONTEXT:
            shown.append(segment)
            continue
        end = len(segment.text) - after
        shown += [
            TextSegment(segment.text[:before]),
            TextSegment("", left_out=left_out),
            TextSegment(segment.text[end:]),
        ]
    return [segment for segment in shown if segment.text or segment.left_out]
