"""The places of one value in a text, by what the schema says about it; and the most similar place where there is none.

Free text is looked up by `extractft.text.occurrences`, as everywhere. Here stand the other kinds: choices, numbers,
dates, times and durations. Each place has a cost: 0 where a whole word or number stands for itself, more where it is
less plausible. Which of several places is meant is decided for the whole record elsewhere. Knows one value at a time.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Final

from pydantic import TypeAdapter, ValidationError

from extractft.data.free_text import find_free_text
from extractft.grounding.fuzzy_search import find_similar
from extractft.grounding.spans import Method
from extractft.schema import BooleanNode, LiteralNode, StringFormat, StringNode
from extractft.schema.records import Visit
from extractft.text import IndexedText, Occurrence, Rung, SearchBudget
from extractft.text.folding import fold_value
from extractft.text.occurrence_search import (
    FOLDED_COST,
    MAX_PLACES,
    SHORT_LENGTH,
    folded_places,
    in_order,
    written_places,
)
from extractft.text.other_notations import date_places, form_rung, number_places

__all__ = ["SpanCandidate", "find_places", "find_similar_place"]

MAX_NUMBER_LENGTH = 400
"""Characters of a number; floats have up to 309 digits before the point."""
_WITH_SIMILAR = (None, "email")
"""Formats of which a similar text may be a slip of the pen; of all others it is another value."""
_BETWEEN_DATE_AND_TIME = re.compile(r"[^0-9。！？!?;；\n]{0,12}")
_ZONE = re.compile(r"\s?(Z\b|[+-][0-9]{2}:?[0-9]{2}(?![0-9])|UTC|GMT)")
_DURATION: Final = TypeAdapter(timedelta)


@dataclass(frozen=True, slots=True)
class SpanCandidate:
    """A place where a value may stand; `start` and `end` count characters of the text in NFC."""

    start: int
    end: int
    method: Method = "normalized"
    score: float = 1.0
    cost: float = 0.0


def find_places(leaf: Visit, text: IndexedText, budget: SearchBudget) -> list[SpanCandidate]:
    """The places of a value, from left to right and each once; none for a boolean, whose word says too little."""
    return [
        SpanCandidate(place.start, place.end, "exact" if place.rung is Rung.EXACT else "normalized", cost=place.cost)
        for place in in_order(islice(_places(leaf, text, budget), MAX_PLACES))
    ]


def find_similar_place(leaf: Visit, text: IndexedText, budget: SearchBudget) -> list[SpanCandidate]:
    """The place of free text that is most like a value which stands nowhere."""
    node = leaf.node
    if not isinstance(node, StringNode) or not isinstance(leaf.value, str) or node.format not in _WITH_SIMILAR:
        return []
    found = find_similar(text.folded, fold_value(leaf.value), budget=budget)
    if found is None or text.cuts_cluster(found.start, found.end):
        return []
    return [SpanCandidate(found.start, found.end, "fuzzy", found.similarity)]


def _places(leaf: Visit, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence]:
    node, value = leaf.node, leaf.value
    if isinstance(value, bool) or isinstance(node, BooleanNode):
        return ()
    if isinstance(value, int | float):
        return _number(value, text, budget)
    if isinstance(node, LiteralNode):
        return _choice(value, text, budget)
    if not isinstance(node, StringNode):
        return ()
    formatted = _FORMATS[node.format] if node.format else None
    places = formatted(value, text, budget) if formatted else None
    return find_free_text(node, value, text, budget) if places is None else places


def _choice(value: str, text: IndexedText, budget: SearchBudget) -> Iterator[Occurrence]:
    """A word of a `Literal` or an `Enum`: only whole, and a single character only where it stands alone."""
    if len(value) == 1:
        if value in "aAiI":
            return
        for place in written_places(value, text, budget):
            sides = text.text[max(0, place.start - 1) : place.start] + text.text[place.end : place.end + 1]
            if not any(map(str.isalnum, sides)):
                yield place
        return
    exact = [place for place in written_places(value, text, budget) if not place.cost]
    yield from exact
    if not exact and len(value) >= SHORT_LENGTH - 1:
        yield from (place for place in folded_places(value, text, budget) if place.cost <= FOLDED_COST)


# -- other forms


def _number(value: float, text: IndexedText, budget: SearchBudget) -> Iterator[Occurrence]:
    if isinstance(value, int) and abs(value) >= 10**MAX_NUMBER_LENGTH:
        return iter(())
    return number_places(Decimal(repr(value)), text, spelled=repr(value), budget=budget)


def _decimal(value: str, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence] | None:
    if len(value) > MAX_NUMBER_LENGTH:
        return ()
    try:
        return number_places(Decimal(value), text, spelled=value, budget=budget)
    except InvalidOperation:
        return None


def _date(value: str, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence] | None:
    try:
        return date_places(date.fromisoformat(value), text, spelled=value, budget=budget)
    except ValueError:
        return None


def _time(value: str, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence] | None:
    try:
        return _clock(time.fromisoformat(value), text, spelled=value, budget=budget)
    except ValueError:
        return None


def _clock(moment: time, text: IndexedText, *, spelled: str, budget: SearchBudget) -> Iterator[Occurrence]:
    for start, end in text.times.get(moment.replace(tzinfo=None), ()):
        after = _with_zone(moment.strftime("%z"), text.plain, end)
        if after is not None and budget.allows_try(len(spelled)) and not text.cuts_cluster(start, after):
            yield Occurrence(start, after, form_rung(spelled, text, start, after))


def _with_zone(offset: str, plain: str, end: int) -> int | None:
    """The end of a time with its zone; `None` if the text has another zone. A text without one is taken at its word."""
    said = _ZONE.match(plain, end)
    if said is None:
        return end
    zone = "+0000" if said[1] in ("Z", "UTC", "GMT") else said[1].replace(":", "")
    return said.end() if offset in ("", zone) else None


def _datetime(value: str, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence] | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    days = list(date_places(moment.date(), text, spelled="", budget=budget))
    times = sorted(_clock(moment.timetz(), text, spelled="", budget=budget), key=lambda place: place.start)
    found = [pair for day in days for pair in _beside(day, times, text, spelled=value)]
    return found if found or moment.time() != time(0) else days


def _beside(day: Occurrence, times: list[Occurrence], text: IndexedText, *, spelled: str) -> Iterator[Occurrence]:
    """A date together with the time right before or behind it."""
    at = bisect_left(times, day.start, key=lambda place: place.start)
    for clock in times[max(0, at - 1) : at + 1]:
        first, second = (clock, day) if clock.start < day.start else (day, clock)
        if first.end <= second.start and _BETWEEN_DATE_AND_TIME.fullmatch(text.plain, first.end, second.start):
            yield Occurrence(first.start, second.end, form_rung(spelled, text, first.start, second.end), day.cost)


def _duration(value: str, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence] | None:
    try:
        length = _DURATION.validate_python(value)
    except ValidationError:
        return None
    return (
        Occurrence(start, end, Rung.FORM)
        for start, end in text.durations.get(length, ())
        if budget.allows_try(len(value)) and not text.cuts_cluster(start, end)
    )


_Formatted = Callable[[str, IndexedText, SearchBudget], Iterable[Occurrence] | None]
_FORMATS: Final[Mapping[StringFormat, _Formatted | None]] = {
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "duration": _duration,
    "decimal": _decimal,
    "uuid": None,
    "email": None,
    "uri": None,
}
"""The finder of each format; `None` where texts spell values as records do, so that they are looked up as free text."""
