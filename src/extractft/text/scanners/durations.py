"""Every span of time that a text states: 90 minutes, 1 hour and 30 minutes, 两天, 一个半小时.

Knows numbers, not fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from extractft.text.scanners.numbers import Numeral

__all__ = ["scan_durations"]

_SECONDS: Final = {
    "weeks week 周 星期 礼拜": 604800,
    "days day 天 日": 86400,
    "hours hour hrs hr h 小时 钟头": 3600,
    "minutes minute mins min 分钟 分": 60,
    "seconds second secs sec s 秒 秒钟": 1,
}
_UNITS = {name: seconds for names, seconds in _SECONDS.items() for name in names.split()}
_UNIT = re.compile(
    rf"(?:\s|-)?(?:个|個)?(半)?(?:个|個)?({'|'.join(sorted(_UNITS, key=len, reverse=True))})(?![A-Za-z])(半)?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*+(?:,|and|零|又)?+\s*+", re.IGNORECASE)
_LONGEST = 8 * 10**13
"""Seconds; a little less than what Python can hold."""


def scan_durations(plain: str, numerals: Iterable[Numeral]) -> dict[timedelta, list[tuple[int, int]]]:
    """All durations of a text, with their places; what is said in several units together is one duration.

    Args:
        plain: The text, with digits and full-width signs in ASCII, character for character.
        numerals: The numbers in it.
    """
    found: dict[timedelta, list[tuple[int, int]]] = {}
    start = end = -1
    total, smallest = 0.0, 0

    def close() -> None:
        if start >= 0 and total <= _LONGEST:
            found.setdefault(timedelta(seconds=total), []).append((start, end))

    for numeral in sorted(numerals, key=lambda numeral: (numeral.start, -numeral.end)):
        unit = _UNIT.match(plain, numeral.end)
        if unit is None or numeral.start < end or numeral.value < 0:
            continue
        seconds = _UNITS[unit[2].lower()]
        value = (float(numeral.value) + (0.5 if unit[1] or unit[3] else 0)) * seconds
        between = _BETWEEN.match(plain, end) if start >= 0 else None
        if between is not None and between.end() == numeral.start and seconds < smallest:
            total += value
        else:
            close()
            start, total = numeral.start, value
        end, smallest = unit.end(), seconds
    close()
    return found
