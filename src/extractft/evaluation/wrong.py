"""Wrong records, made ready to be looked at: values side by side, their places marked in the text.

Knows differences and texts; knows no markup. Nothing here is escaped: that is the template's part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, groupby, pairwise
from typing import Any

from extractft.evaluation.causes import Cause, Explained, common_start, explain
from extractft.evaluation.results import Difference

__all__ = ["Piece", "Row", "WrongRecord", "wrong_records"]

WHOLE_TEXT = 4000
"""Longer texts are shown around the marked places only."""
CONTEXT = 240
LONGEST_VALUE = 2000


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text.

    Attributes:
        text: Its characters.
        gold: Numbers of the rows whose gold value it belongs to.
        prediction: Numbers of the rows whose prediction it belongs to.
        ends: Numbers of the rows of which a value ends here.
        left_out: If not 0, the piece stands for so many characters that are not shown.
    """

    text: str
    gold: tuple[int, ...] = ()
    prediction: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a value, and whether the other value has none like it."""

    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One difference. `gold` and `prediction` are `None` where there is no value; an empty string has no parts."""

    number: int
    path: str
    field: str
    kind: str
    cause: str
    gold: tuple[Part, ...] | None
    prediction: tuple[Part, ...] | None


@dataclass(frozen=True, slots=True)
class WrongRecord:
    """A record with differences, or one that failed as a whole.

    Attributes:
        row: Its number, as in `Difference.row`.
        failure: Why there is no prediction; empty if there is one.
        rows: Its differences.
        pieces: Its text; `None` if it was not kept.
        explained: The differences with their causes.
    """

    row: int
    failure: str
    rows: tuple[Row, ...]
    pieces: tuple[Piece, ...] | None
    explained: tuple[Explained, ...]


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
    failed = next((item.difference.kind for item in explained if item.cause is Cause.FAILED), "")
    rows = [_row(number, item) for number, item in enumerate(explained, 1) if item.cause is not Cause.FAILED]
    pieces = None if text is None else tuple(_pieces(text, differences))
    return WrongRecord(row, failed, tuple(rows), pieces, tuple(explained))


def _row(number: int, item: Explained) -> Row:
    difference = item.difference
    gold, prediction = _side_by_side(difference)
    return Row(
        number=number,
        path=difference.path,
        field=difference.field,
        kind=difference.kind,
        cause=_phrase(item),
        gold=gold,
        prediction=prediction,
    )


def _phrase(item: Explained) -> str:
    if item.cause is Cause.OTHER_FIELD:
        missed = item.difference.kind == "missed"
        return f"it stands in {item.other}" if missed else f"it is the value of {item.other}"
    return "" if item.cause in (Cause.MISSED, Cause.INVENTED, Cause.OTHER) else str(item.cause)


def _side_by_side(difference: Difference) -> tuple[tuple[Part, ...] | None, tuple[Part, ...] | None]:
    gold, prediction = difference.gold, difference.prediction
    if isinstance(gold, str) and isinstance(prediction, str) and max(len(gold), len(prediction)) <= LONGEST_VALUE:
        return _parts(gold, prediction), _parts(prediction, gold)
    has_gold, has_prediction = difference.kind != "invented", difference.kind != "missed"
    return (_value(gold) if has_gold else None), (_value(prediction) if has_prediction else None)


def _value(value: Any) -> tuple[Part, ...]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > LONGEST_VALUE:
        text = f"{text[:LONGEST_VALUE]} … ({len(text) - LONGEST_VALUE} more characters)"
    return (Part(text),) if text else ()


def _parts(value: str, other: str) -> tuple[Part, ...]:
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
    return tuple(Part(text, differs) for text, differs in cuts if text)


def _pieces(text: str, differences: Sequence[Difference]) -> list[Piece]:
    """Cut the text at the borders of all marked places."""
    gold = _Marks([(n, d.gold_span) for n, d in enumerate(differences, 1) if d.gold_span], len(text))
    prediction = _Marks([(n, d.span) for n, d in enumerate(differences, 1) if d.span], len(text))
    borders = sorted({0, len(text), *gold.borders, *prediction.borders})
    pieces = []
    for start, end in pairwise(borders):
        inside = gold.at(start), prediction.at(start)
        pieces.append(Piece(text[start:end], *inside, tuple(sorted({*gold.ending(end), *prediction.ending(end)}))))
    return _shortened(pieces) if len(text) > WHOLE_TEXT else pieces


class _Marks:
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
        """Where places begin and end."""
        return {*self._begins, *self._ends}

    def at(self, border: int) -> tuple[int, ...]:
        """The places that hold what is right behind a border; every border is asked for once, in order."""
        self._open.difference_update(self._ends.get(border, ()))
        self._open.update(self._begins.get(border, ()))
        return tuple(sorted(self._open))

    def ending(self, border: int) -> list[int]:
        """The places that end at a border."""
        return self._ends.get(border, [])


def _shortened(pieces: Sequence[Piece]) -> list[Piece]:
    """Leave out what is far from every marked place."""
    if len(pieces) == 1:
        text = pieces[0].text
        return [Piece(text[:WHOLE_TEXT]), Piece("", left_out=len(text) - WHOLE_TEXT)]
    shown: list[Piece] = []
    for index, piece in enumerate(pieces):
        before = 0 if index == 0 else CONTEXT
        after = 0 if index == len(pieces) - 1 else CONTEXT
        left_out = len(piece.text) - before - after
        if piece.gold or piece.prediction or left_out <= CONTEXT:
            shown.append(piece)
            continue
        end = len(piece.text) - after
        shown += [Piece(piece.text[:before]), Piece("", left_out=left_out), Piece(piece.text[end:])]
    return [piece for piece in shown if piece.text or piece.left_out]
