"""The places of one value in a text: as it is written, folded, in another form, or something similar.

Each place has a cost: 0 where a whole word or number stands for itself, more where it is less plausible. Which of
several places is meant is decided for the whole record elsewhere. Knows one value at a time.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from extractft.grounding.characters import cuts_word, splits_character, word_part
from extractft.grounding.fuzzy import find_similar, weight
from extractft.grounding.leaves import Leaf
from extractft.grounding.source import Source
from extractft.grounding.spans import Method
from extractft.grounding.views import fold_value
from extractft.schema import BooleanNode, LiteralNode, StringNode

__all__ = ["MOST_PLACES", "Candidate", "find_places"]

MOST_PLACES = 1000
"""Places of one value that are looked at, from the beginning of the text."""
CUT_CHARACTER, CUT_WORD, FOLDED, YEARLESS = 8.0, 4.0, 0.5, 1.0
"""Costs of a place that begins or ends within a reader's character or within a word, of one that is not written the
same, and of a date whose year stands elsewhere."""
_SHORT, _LONG = 4, 40
"""Words of fewer letters are no part of longer words: `am` is not in `team`. Longer values may begin or end within a
number."""
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIGURE = re.compile(r"-?(?:0|[1-9][0-9]{0,2}(?:,?[0-9]{3})*|[1-9][0-9]*)(?:\.[0-9]+)?")
_PHONE = re.compile(r"\+?[0-9][0-9 ()./\-]{4,}[0-9]")
_BETWEEN_DIGITS = r"[ ()./\-\u00a0]{0,2}"
_BETWEEN_DATE_AND_TIME = re.compile(r"[^0-9。！？!?;；\n]{0,12}")
_ZONE = re.compile(r"\s?(Z\b|[+-][0-9]{2}:?[0-9]{2}(?![0-9])|UTC|GMT)")
_DURATION: Final = TypeAdapter(timedelta)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where a value may stand; `start` and `end` count characters of the text in NFC."""

    start: int
    end: int
    method: Method = "normalized"
    score: float = 1.0
    cost: float = 0.0


def find_places(leaf: Leaf, source: Source) -> list[Candidate]:
    """The places of a value, from left to right and each once; none for a boolean, whose word says too little."""
    found: dict[tuple[int, int], Candidate] = {}
    for candidate in islice(_places(leaf, source), MOST_PLACES):
        known = found.get((candidate.start, candidate.end))
        if known is None or (candidate.method == "exact", -candidate.cost) > (known.method == "exact", -known.cost):
            found[candidate.start, candidate.end] = candidate
    return [found[place] for place in sorted(found)]


def _places(leaf: Leaf, source: Source) -> Iterable[Candidate]:
    node, value = leaf.node, leaf.value
    if isinstance(value, bool) or isinstance(node, BooleanNode):
        return ()
    if isinstance(value, int | float):
        return _number(Decimal(repr(value)), source, spelled=repr(value))
    if isinstance(node, LiteralNode):
        return _choice(value, source)
    format_ = node.format if isinstance(node, StringNode) else None
    formatted = _FORMATS.get(format_ or "")
    places: Iterable[Candidate] | None = formatted(value, source) if formatted else None
    if places is not None:
        return places
    verbatim = isinstance(node, StringNode) and node.verbatim is not None
    return _text(value, source, verbatim=verbatim, similar=format_ != "uuid" and format_ != "uri")


# -- text


def _text(value: str, source: Source, *, verbatim: bool = False, similar: bool = True) -> list[Candidate]:
    """Free text: the first of several ways of looking that finds something.

    Args:
        value: The text.
        source: Where to look.
        verbatim: Whether it is known to be a copy, so that it may well begin or end within a word or a number.
        similar: Whether something similar is worth showing.
    """
    exact = list(islice(_written(value, source, verbatim=verbatim), MOST_PLACES))
    if exact and (verbatim or any(not candidate.cost for candidate in exact)):
        return exact
    loose = fold_value(value, loose=True)
    if not verbatim and not any(map(str.isalnum, loose)):
        return exact
    found = exact + list(islice(_folded(value, source, verbatim=verbatim), MOST_PLACES))
    if not found and weight(loose, _SHORT) >= _SHORT - 1:
        found = list(islice(_folded(value, source, loose=True), MOST_PLACES))
    found = found or list(_other_forms(value, source))
    if found or not similar:
        return found
    place = find_similar(source.folded, fold_value(value))
    return [Candidate(place[0], place[1], "fuzzy", place[2])] if place else []


def _written(value: str, source: Source, *, verbatim: bool = False) -> Iterator[Candidate]:
    """Where the text has the value character by character."""
    value = unicodedata.normalize("NFC", value)
    if not value or (value.isspace() and not verbatim):
        return
    text = source.text
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        cost = CUT_CHARACTER * (splits_character(text, start) or splits_character(text, end))
        cut = _cut(text, start, end)
        if verbatim or cut != "wrong":
            yield Candidate(start, end, "exact", cost=cost + CUT_WORD * (cut is not None))
        start = text.find(value, start + 1)


def _folded(value: str, source: Source, *, loose: bool = False, verbatim: bool = False) -> Iterator[Candidate]:
    """Where the text has the value but for how it is written. `US` is not `us`, though `am` may be `AM`."""
    view = source.loose if loose else source.folded
    folded = fold_value(value, loose=loose)
    cased = len(folded) < _SHORT and not value.islower()
    for start, end in view.find(folded):
        cut = _cut(source.text, start, end)
        if verbatim or not (cut == "wrong" or (cased and source.text[start:end].islower())):
            yield Candidate(start, end, cost=FOLDED + CUT_WORD * (cut is not None))


def _cut(text: str, start: int, end: int) -> str | None:
    """Whether a place is a part of a longer word (`"part"`), and cannot be meant as such (`"wrong"`)."""
    edges = [at for at in (start, end) if cuts_word(text, at)]
    if not edges:
        return None
    if end - start < _LONG and any(text[at].isdecimal() for at in edges):
        return "wrong"
    return "wrong" if end - start < _SHORT and all(map(word_part, text[start:end])) else "part"


def _other_forms(value: str, source: Source) -> Iterable[Candidate]:
    """Text that spells a date, a number or a telephone number."""
    if _ISO_DATE.fullmatch(value):
        return _date(value, source) or ()
    if _FIGURE.fullmatch(value):
        number = list(_number(Decimal(value.replace(",", "")), source, spelled=value))
        if number:
            return number
    return _phone(value, source) if _PHONE.fullmatch(value) else ()


def _phone(value: str, source: Source) -> Iterator[Candidate]:
    """The same digits in the same order, grouped in another way."""
    digits = re.sub("[^0-9]", "", value)
    pattern = rf"(?<![0-9])[+(]?{_BETWEEN_DIGITS.join(digits)}(?![0-9])"
    for match in re.finditer(pattern, source.plain):
        yield Candidate(*match.span())


def _choice(value: str, source: Source) -> Iterator[Candidate]:
    """A word of a `Literal` or an `Enum`: only whole, and a single character only where it stands alone."""
    text = source.text
    if len(value) == 1:
        if value in "aAiI":
            return
        for candidate in _written(value, source):
            sides = text[max(0, candidate.start - 1) : candidate.start] + text[candidate.end : candidate.end + 1]
            if not any(map(str.isalnum, sides)):
                yield candidate
        return
    exact = [candidate for candidate in _written(value, source) if not candidate.cost]
    yield from exact
    if not exact and len(value) >= _SHORT - 1:
        yield from (candidate for candidate in _folded(value, source) if candidate.cost <= FOLDED)


# -- other forms


def _number(value: Decimal, source: Source, *, spelled: str) -> Iterator[Candidate]:
    """Numbers of the text; the 5 of 5月1日, 12:05 or 1-800-5-5 is none, the year of a date is."""
    small = abs(value) < 100 and value == value.to_integral_value()
    for numeral in source.numbers.get(value, ()):
        if small and source.within_figures(numeral.start, numeral.end):
            continue
        same = source.text[numeral.start : numeral.end] == spelled
        yield Candidate(numeral.start, numeral.end, "exact" if same else "normalized", cost=numeral.cost)


def _decimal(value: str, source: Source) -> Iterable[Candidate] | None:
    try:
        return _number(Decimal(value), source, spelled=value)
    except InvalidOperation:
        return None


def _date(value: str, source: Source) -> Iterable[Candidate] | None:
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return None
    return _day(day, source, spelled=value)


def _day(day: date, source: Source, *, spelled: str) -> Iterator[Candidate]:
    dates = source.dates
    for start, end in dates.whole.get(day, ()):
        yield Candidate(start, end, "exact" if source.text[start:end] == spelled else "normalized")
    yearless = dates.yearless.get((day.month, day.day), ())
    if yearless and (Decimal(day.year) in source.numbers or any(known.year == day.year for known in dates.whole)):
        for start, end in yearless:
            yield Candidate(start, end, cost=YEARLESS)


def _time(value: str, source: Source) -> Iterable[Candidate] | None:
    try:
        moment = time.fromisoformat(value)
    except ValueError:
        return None
    return _clock(moment, source, spelled=value)


def _clock(moment: time, source: Source, *, spelled: str) -> Iterator[Candidate]:
    for start, end in source.times.get(moment.replace(tzinfo=None), ()):
        after = _with_zone(moment.strftime("%z"), source.plain, end)
        if after is not None:
            same = source.text[start:after] == spelled
            yield Candidate(start, after, "exact" if same else "normalized")


def _with_zone(offset: str, plain: str, end: int) -> int | None:
    """The end of a time with its zone; `None` if the text has another zone. A text without one is taken at its word."""
    said = _ZONE.match(plain, end)
    if said is None:
        return end
    zone = "+0000" if said[1] in ("Z", "UTC", "GMT") else said[1].replace(":", "")
    return said.end() if offset in ("", zone) else None


def _datetime(value: str, source: Source) -> Iterable[Candidate] | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    days = list(_day(moment.date(), source, spelled=""))
    times = sorted(_clock(moment.timetz(), source, spelled=""), key=lambda place: place.start)
    found = [pair for day in days for pair in _beside(day, times, source, spelled=value)]
    return found if found or moment.time() != time(0) else days


def _beside(day: Candidate, times: list[Candidate], source: Source, *, spelled: str) -> Iterator[Candidate]:
    """A date together with the time right before or behind it."""
    at = bisect_left(times, day.start, key=lambda place: place.start)
    for clock in times[max(0, at - 1) : at + 1]:
        first, second = (clock, day) if clock.start < day.start else (day, clock)
        if first.end <= second.start and _BETWEEN_DATE_AND_TIME.fullmatch(source.plain, first.end, second.start):
            same = source.text[first.start : second.end] == spelled
            yield Candidate(first.start, second.end, "exact" if same else "normalized", cost=day.cost)


def _duration(value: str, source: Source) -> Iterable[Candidate] | None:
    try:
        length = _DURATION.validate_python(value)
    except ValidationError:
        return None
    return [Candidate(start, end) for start, end in source.durations.get(length, ())]


def _uri(value: str, source: Source) -> Iterable[Candidate] | None:
    """A link, also without the scheme and the closing slash that parsing adds."""
    bare = re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*://", "", value)
    for spelled in (value, value.rstrip("/"), bare, bare.rstrip("/")):
        found = _text(spelled, source, similar=False) if len(spelled) >= _SHORT else []
        if found:
            return found
    return []


_FORMATS: Final[dict[str, Any]] = {
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "duration": _duration,
    "decimal": _decimal,
    "uri": _uri,
}
