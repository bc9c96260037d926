"""Numbers, money and dates as people write them in Chinese. Knows digits, not texts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

__all__ = ["date_in_words", "money_in_words", "number_in_words", "quantity_in_words", "year_in_words"]

DIGITS = "零一二三四五六七八九"
UNITS = ("", "十", "百", "千")


def number_in_words(number: int) -> str:
    """A number from 0 to 99,999,999: 320 -> 三百二十, 10012 -> 一万零一十二, 12 -> 十二.

    Raises:
        ValueError: The number is out of range.
    """
    if not 0 <= number < 10**8:
        raise ValueError(f"expected a number from 0 to 99,999,999, found {number}")
    words = _below_hundred_million(number)
    return words.removeprefix("一") if words.startswith("一十") else words


def _below_hundred_million(number: int) -> str:
    high, low = divmod(number, 10_000)
    if not high:
        return _below_ten_thousand(low)
    head = _below_ten_thousand(high) + "万"
    if not low:
        return head
    return head + ("零" if low < 1000 else "") + _below_ten_thousand(low)


def _below_ten_thousand(number: int) -> str:
    if number == 0:
        return DIGITS[0]
    words, gap = "", False
    for power in (3, 2, 1, 0):
        digit = number // 10**power % 10
        if digit:
            words += ("零" if gap and words else "") + DIGITS[digit] + UNITS[power]
        gap = digit == 0
    return words


def quantity_in_words(number: int) -> str:
    """A count before a measure word: two things are 两."""
    return "两" if number == 2 else number_in_words(number)


def money_in_words(amount: Decimal, *, spoken: bool = False) -> str:
    """An amount in whole tenths: 三百二十元, 二十九元五角; spoken 三百二十块, 二十九块五.

    Raises:
        ValueError: The amount has more than one decimal, or is negative.
    """
    tenths = amount * 10
    if tenths < 0 or tenths != int(tenths):
        raise ValueError(f"expected a positive amount in whole tenths, found {amount}")
    yuan, jiao = divmod(int(tenths), 10)
    words = number_in_words(yuan) + ("块" if spoken else "元")
    if not jiao:
        return words
    return words + DIGITS[jiao] + ("" if spoken else "角")


def year_in_words(year: int) -> str:
    """A year digit by digit: 2026 -> 二〇二六."""
    return "".join("〇" if digit == "0" else DIGITS[int(digit)] for digit in str(year))


def date_in_words(day: date) -> str:
    """A date in words: 二〇二六年五月一日."""
    return f"{year_in_words(day.year)}年{number_in_words(day.month)}月{number_in_words(day.day)}日"
