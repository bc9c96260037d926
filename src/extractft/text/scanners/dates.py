"""Every date and time of day that a text states, with its place.

Known notations: 2024-05-01, 2024/5/1, 2024.5.1, 20240501, 01.05.2024, 5/1/2024, 2024年5月1日, 二〇二四年五月一日,
May 1, 2024, 1st of May 2024; 15:30, 3:30 pm, 下午三点半. Not known: weekdays, yesterday, other languages' months. Knows
texts and dates, not fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, time
from functools import cached_property
from typing import Final

from extractft.text.scanners.numerals import CHINESE_DIGITS, chinese_digits, chinese_number

__all__ = ["CharRange", "Dates", "scan_dates", "scan_times"]

CharRange = tuple[int, int]
"""Start and end, in characters of the text."""

REACH = 24
"""Characters on either side of a month's name or a colon that a date or a time may take up."""
_MONTHS: Final = {
    name: month
    for month, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
         "september sept sep", "october oct", "november nov", "december dec"), 1
    )
    for name in names.split()
}  # fmt: skip
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?:the\s+)?(?P<day>[0-3]?[0-9])(?:st|nd|rd|th)?\b"
_YEAR = r"(?P<year>[0-9]{4}\b|'[0-9]{2}\b)"
_GAP = r"(?:[\s,]+(?:of\s+)?|-)"
_MONTH_NAME = re.compile(
    "|".join("".join(f"[{char}{char.upper()}]" for char in name) for name in sorted({name[:3] for name in _MONTHS}))
)
_MONTH_SIGN = re.compile("[月월]")
_NAMED = tuple(
    re.compile(rf"(?<![0-9A-Za-z]){pattern}", re.IGNORECASE)
    for pattern in (f"{_MONTH}{_GAP}{_DAY}(?:{_GAP}{_YEAR})?", f"{_DAY}{_GAP}{_MONTH}(?:{_GAP}{_YEAR})?")
)
_WORD = f"0-9{''.join(CHINESE_DIGITS)}十"
_CHINESE = re.compile(
    rf"(?:(?<![{_WORD}])(?P<year>[{_WORD}]{{2,4}})\s?[年년]\s?)?(?<![{_WORD}])(?P<month>[{_WORD}]{{1,2}})\s?[月월]\s?"
    rf"(?:份\s?)?(?P<day>[{_WORD}]{{1,3}})(?:\s?[日号號일])?(?![{_WORD}])"
)
_YEAR_FIRST = re.compile(r"(?<![0-9])([0-9]{4})\s?([-/.])\s?([0-9]{1,2})\s?\2\s?([0-9]{1,2})(?![0-9])")
_YEAR_LAST = re.compile(
    r"(?<![0-9])(?<![0-9][-/.])([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})(?![0-9]|[-/.][0-9])"
)
_EIGHT = re.compile(r"(?<![0-9A-Za-z_./-])((?:19|20)[0-9]{2})([01][0-9])([0-3][0-9])(?![0-9A-Za-z]|[-/.][0-9])")
_PARTS: Final = {
    "上午": 0,
    "早上": 0,
    "早晨": 0,
    "清晨": 0,
    "凌晨": 0,
    "中午": 1,
    "下午": 12,
    "傍晚": 12,
    "晚上": 12,
    "夜里": 12,
}
_PART = f"(?P<part>{'|'.join(_PARTS)})"
_HALF = r"(?P<half>[ap]\.?m\b\.?)"
_COLON = re.compile("(?<=[0-9])[:h](?=[0-9])", re.IGNORECASE)
_HALF_SIGN = re.compile(r"(?<=[0-9\s])[ap]\.?m\b", re.IGNORECASE)
_CLOCK = re.compile(
    rf"(?:{_PART}\s?)?(?<![0-9:.])(?P<hour>[0-2]?[0-9])[:h](?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])"
    rf"(?:\.(?P<fraction>[0-9]{{1,6}}))?)?(?![0-9:])(?:\s?{_HALF})?",
    re.IGNORECASE,
)
_HOUR_ALONE = re.compile(rf"(?<![0-9:.])(?P<hour>[01]?[0-9])\s?{_HALF}", re.IGNORECASE)
_HOUR_SIGN = re.compile("[点點时時]")
_HOUR_WORD = re.compile(
    rf"(?:{_PART}\s?)?(?<![{_WORD}])(?P<hour>[{_WORD}]{{1,3}})\s?[点點时時](?:[钟鐘整]|(?P<quarter>半|一刻|三刻)|"
    rf"(?P<minute>[{_WORD}]{{1,3}})分?(?:(?P<second>[{_WORD}]{{1,3}})秒)?)?"
)
_QUARTERS: Final = {"一刻": 15, "半": 30, "三刻": 45}


@dataclass(frozen=True)
class Dates:
    """The dates of a text.

    Attributes:
        whole: Places by date.
        yearless: Places by month and day, of dates that do not say their year.
    """

    whole: dict[date, list[CharRange]] = field(default_factory=dict)
    yearless: dict[tuple[int, int], list[CharRange]] = field(default_factory=dict)

    @cached_property
    def years(self) -> frozenset[int]:
        """The years of all dates that say one."""
        return frozenset(moment.year for moment in self.whole)

    def add(self, year: int | None, month: int, day: int, place: CharRange) -> None:
        """Take in a date, if it is one."""
        if year is None:
            self.yearless.setdefault((month, day), []).append(place)
            return
        try:
            moment = date(year, month, day)
        except ValueError:
            return
        self.whole.setdefault(moment, []).append(place)


def scan_dates(plain: str) -> Dates:
    """All dates of a text.

    05/01/2024 is read in the order of day and month that the other dates of the text leave possible; if they do not
    decide, both readings are offered, unless the text also has the same figures the other way round.

    Args:
        plain: The text, with digits and full-width signs in ASCII, character for character.
    """
    dates = Dates()
    for match in _YEAR_FIRST.finditer(plain):
        dates.add(int(match[1]), int(match[3]), int(match[4]), match.span())
    for match in _EIGHT.finditer(plain):
        dates.add(int(match[1]), int(match[2]), int(match[3]), match.span())
    for match in _around(_CHINESE, _places(_MONTH_SIGN, plain), plain):
        year, month, day = (_figure(match[name]) for name in ("year", "month", "day"))
        has_day = match[0][-1] in "日号號일" or match["year"] is not None
        if month and day and has_day and (year or match["year"] is None):
            dates.add(_four_digits(year), month, day, match.span())
    months = _places(_MONTH_NAME, plain)
    for pattern in _NAMED:
        for match in _around(pattern, months, plain):
            year = int(match["year"].lstrip("'")) if match["year"] else None
            dates.add(_four_digits(year), _MONTHS[match["month"].lower()], int(match["day"]), match.span())
    _scan_year_last(plain, dates)
    for places in (*dates.whole.values(), *dates.yearless.values()):
        places.sort()
    return dates


def _places(anchor: re.Pattern[str], plain: str) -> list[CharRange]:
    return [match.span() for match in anchor.finditer(plain)]


def _around(pattern: re.Pattern[str], anchors: Iterable[CharRange], plain: str) -> Iterator[re.Match[str]]:
    """The matches of a pattern that have an anchor in them: far fewer places to try."""
    done = 0
    for start, end in anchors:
        match = pattern.search(plain, max(done, start - REACH), min(len(plain), end + REACH))
        if match is not None and match.start() <= start < match.end():
            done = match.end()
            yield match


def _four_digits(year: int | None) -> int | None:
    """24 is 2024, 87 is 1987, as people write it."""
    if year is None or year >= 100:
        return year
    return year + (2000 if year < 70 else 1900)


def _figure(token: str | None) -> int | None:
    """A figure of a date: digits, a numeral, or digits in words."""
    if token is None:
        return None
    if token.isdigit():
        return int(token)
    number = chinese_number(token)
    return chinese_digits(token) if number is None else number


def _scan_year_last(plain: str, dates: Dates) -> None:
    matches = list(_YEAR_LAST.finditer(plain))
    figures = [(int(match[1]), int(match[3])) for match in matches]
    slashed = {pair for pair, match in zip(figures, matches, strict=True) if match[2] != "."}
    day_first, month_first = any(a > 12 for a, _ in slashed), any(b > 12 for _, b in slashed)
    decided = day_first != month_first
    for (first, second), match in zip(figures, matches, strict=True):
        year = _four_digits(int(match[4]))
        if match[2] == ".":
            dates.add(year, second, first, match.span())
        elif first != second and not decided and (second, first) in slashed and max(first, second) <= 12:
            continue
        else:
            if not decided or day_first:
                dates.add(year, second, first, match.span())
            if (not decided or month_first) and first != second:
                dates.add(year, first, second, match.span())


def scan_times(plain: str) -> dict[time, list[CharRange]]:
    """All times of day of a text, by time; what is said without am or pm, 上午 or 下午 is taken for a 24-hour clock.

    Args:
        plain: The text, with digits and full-width signs in ASCII, character for character.
    """
    times: dict[time, list[CharRange]] = {}
    for pattern, anchor in ((_CLOCK, _COLON), (_HOUR_ALONE, _HALF_SIGN), (_HOUR_WORD, _HOUR_SIGN)):
        for moment, place in _times(_around(pattern, _places(anchor, plain), plain)):
            times.setdefault(moment, []).append(place)
    return times


def _times(matches: Iterable[re.Match[str]]) -> Iterator[tuple[time, CharRange]]:
    for match in matches:
        said = match.groupdict()
        hour = _figure(said["hour"])
        hour = None if hour is None else _on_24_hours(hour, said.get("part"), said.get("half"))
        minute = _QUARTERS.get(said.get("quarter") or "") or _figure(said.get("minute")) or 0
        second = _figure(said.get("second")) or 0
        if hour is None or hour > 23 or minute > 59 or second > 59:
            continue
        yield time(hour, minute, second, int((said.get("fraction") or "0").ljust(6, "0"))), match.span()


def _on_24_hours(hour: int, part: str | None, half: str | None) -> int | None:
    if half is not None:
        return None if not 1 <= hour <= 12 else hour % 12 + (12 if half[0] in "pP" else 0)
    if part is None or hour > 12:
        return hour
    if _PARTS[part] == 12:
        return hour + 12 if hour < 12 else 12 if part == "下午" else None
    if _PARTS[part] == 1:
        return hour if hour >= 11 else hour + 12
    return hour if hour < 12 else 0 if part == "凌晨" else None
