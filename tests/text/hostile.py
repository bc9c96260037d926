"""Texts made to take long: each is one part said over and over. And what a test asserts of the time they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timing import assert_growth, assert_within

LENGTH = 20_000
MOST = 0.3
"""Seconds of processor time for 20,000 characters: 100 ms on a quiet machine, three times as much on a busy one."""
GROWTH = 2.8
"""Growth allowed for twice the length."""

PARTS = [
    # digits and figures
    "1", "1 ", "1,", "1.", "1:", "-1", "1%", "1e9 ", "1.000.000,00 ", "1,00,00,", "138 0000 ", "１，", "𝟏",
    # numbers in words
    "万", "1万", "十", "一", "一点", "1块五", "负1", "1个", "one ", "one hundred ", "one and ", "a hundred ", "minus 1 ",
    # dates, times, durations
    "1/2/2024 ", "20240501 ", "5月", "二月", "年月日", "may ", "may,,,,,,,,", "1st of may, ", "1:15 ", "三点",
    "下午三点半", "时", "1h ", "1天", "1小时 ",
    # characters
    "\u0315\u0300", "\u0301", "e\u0301", "\u0f75", "\u1100\u1161\u11a8", "\u11a8", "क\u094d", "ก\u0e33", "🇩", "👩\u200d", "1\ufe0f\u20e3",
    "❤\ufe0f", "\u0600", "\u200b", "ß", "İ", "…",
    # white space, signs, words
    " ", "\n", "\r\n", "\r", "(((", ".", ".)", '"', ". ", "a", "ab", "wordword", "Main Street 12 ", "12 Main Streat, ",
    "a@b.c ",
]  # fmt: skip


def hostile_text(part: str, length: int = LENGTH) -> str:
    """A text of so many characters; the first ones make it more than one part."""
    return ("龙 " + part * (length // len(part) + 1))[:length]


def assert_bounded(work: Callable[[str], Any]) -> None:
    """Assert that work is quick on every hostile text, and takes hardly more than twice as long on twice the text."""
    slow = {}
    for part in PARTS:
        try:
            took = assert_growth(lambda length, part=part: prepared(work, part, length), LENGTH, 2 * LENGTH, GROWTH)
            if took > MOST:
                assert_within(prepared(work, part, LENGTH), MOST)
        except AssertionError as error:
            slow[part] = str(error)
    assert not slow


def prepared(work: Callable[[str], Any], part: str, length: int) -> Callable[[], Any]:
    """Work on a hostile text that is made already."""
    text = hostile_text(part, length)
    return lambda: work(text)
