"""Other notations of a value: text that spells the same date, number or telephone number. Knows no schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from extractft.text.equality import Occurrence, Rung
from extractft.text.indexed_text import IndexedText
from extractft.text.scanners.numbers import MAX_NUMBER_LENGTH
from extractft.text.search_budget import SearchBudget, starts_of

__all__ = ["date_places", "number_places", "other_notations"]

YEARLESS_COST = 1.0
"""Cost of a date whose year stands elsewhere."""
MAX_PHONE_LENGTH = 64
"""Digits and signs of a telephone number, an account or a card."""
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIGURE = re.compile(r"-?(?:0|[1-9][0-9]{0,2}(?:,?[0-9]{3})*|[1-9][0-9]*)(?:\.[0-9]+)?")
_PHONE = re.compile(r"\+?[0-9][0-9 ()./\-]{4,}[0-9]")


def other_notations(value: str, text: IndexedText, budget: SearchBudget) -> Iterable[Occurrence]:
    """Text that spells a date, a number or a telephone number."""
    if len(value) > max(MAX_NUMBER_LENGTH, MAX_PHONE_LENGTH):
        return ()
    if _ISO_DATE.fullmatch(value):
        try:
            return date_places(date.fromisoformat(value), text, spelled=value, budget=budget)
        except ValueError:
            return ()
    if _FIGURE.fullmatch(value):
        number = list(number_places(Decimal(value.replace(",", "")), text, spelled=value, budget=budget))
        if number:
            return number
    return _phone_places(value, text, budget) if _PHONE.fullmatch(value) else ()


def number_places(value: Decimal, text: IndexedText, *, spelled: str, budget: SearchBudget) -> Iterator[Occurrence]:
    """Numbers of the text; the 5 of 5月1日, 12:05 or 1-800-5-5 is none, the year of a date is."""
    if not value.is_finite():
        return
    small = abs(value) < 100 and value == value.to_integral_value()
    for numeral in text.numbers.get(value, ()):
        if not budget.allows_try(len(spelled)):
            return
        if small and text.within_figures(numeral.start, numeral.end):
            continue
        place = text.whole_digits(numeral.start, numeral.end)
        if place is not None:
            yield Occurrence(*place, form_rung(spelled, text, *place), numeral.cost)


def date_places(day: date, text: IndexedText, *, spelled: str, budget: SearchBudget) -> Iterator[Occurrence]:
    """Dates of the text; those without a year only if the year stands elsewhere."""
    dates = text.dates
    for start, end in dates.whole.get(day, ()):
        if budget.allows_try(len(spelled)) and not text.cuts_cluster(start, end):
            yield Occurrence(start, end, form_rung(spelled, text, start, end))
    yearless = dates.yearless.get((day.month, day.day), ())
    if yearless and (day.year in dates.years or Decimal(day.year) in text.numbers):
        for start, end in yearless:
            if budget.allows_try(len(spelled)) and not text.cuts_cluster(start, end):
                yield Occurrence(start, end, Rung.FORM, YEARLESS_COST)


def form_rung(spelled: str, text: IndexedText, start: int, end: int) -> Rung:
    """The rung of a place that means the value: a stricter one if it is also written like it."""
    return Rung.EXACT if text.slice(start, end) == spelled else Rung.FORM


def _phone_places(value: str, text: IndexedText, budget: SearchBudget) -> Iterator[Occurrence]:
    """The same digits in the same order, grouped in another way."""
    wanted = re.sub("[^0-9]", "", value)
    digits, origins = text.grouped_digits
    plain = text.plain
    for at in starts_of(wanted, digits, budget):
        start, end = origins[at], origins[at + len(wanted) - 1] + 1
        if plain[start - 1 : start].isdecimal() or plain[end : end + 1].isdecimal():
            continue
        start -= plain[start - 1 : start] in tuple("+(")
        if not text.cuts_cluster(start, end):
            yield Occurrence(start, end, Rung.FORM)
