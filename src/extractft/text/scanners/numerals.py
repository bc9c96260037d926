"""Numbers in words: what Chinese numerals and English number words say. Knows words, not where in a text they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

__all__ = [
    "CHINESE_DIGITS",
    "CHINESE_MYRIADS",
    "CHINESE_UNITS",
    "ENGLISH_WORDS",
    "chinese_digits",
    "chinese_number",
    "english_numbers",
]

MAX_DIGIT_WORDS = 30
"""Digits in words that are read one by one; more are no number that anyone means."""
_DIGITS = ("零〇○", "一壹", "二两贰兩貳", "三叁參", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖")
CHINESE_DIGITS: Final = {char: value for value, chars in enumerate(_DIGITS) for char in chars}
CHINESE_UNITS: Final = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
CHINESE_MYRIADS: Final = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
ENGLISH_WORDS: Final = {
    **{word: value for value, word in enumerate(_SMALL.split())},
    **{word: 10 * value for value, word in enumerate(_TENS.split(), 2)},
    **_SCALES,
}


def chinese_digits(token: str) -> int | None:
    """The number that digits spell one by one (二〇二六); `None` if there is anything else among them."""
    if not 0 < len(token) <= MAX_DIGIT_WORDS or not all(char in CHINESE_DIGITS for char in token):
        return None
    return int("".join(str(CHINESE_DIGITS[char]) for char in token))


def chinese_number(token: str) -> int | None:  # noqa: C901 - one case for each kind of character
    """The number that a whole numeral spells: 十二, 三百二十, 一万零五; also 两千三 for 2300. `None` if it is none.

    Digits one by one have to be three at least: 三五 are a few.
    """
    digits = chinese_digits(token)
    if digits is not None:
        return digits if len(token) == 1 or len(token) > 2 else None
    total = section = 0
    digit: int | None = None
    unit = 10**9
    zero = False
    for char in token:
        if char in CHINESE_DIGITS:
            if digit is not None or (zero and not CHINESE_DIGITS[char]):
                return None
            if CHINESE_DIGITS[char]:
                digit = CHINESE_DIGITS[char]
            elif unit > 10**8:
                return None
            else:
                zero = True
        elif char in CHINESE_UNITS:
            if digit is None and CHINESE_UNITS[char] == 10 and not section and (zero or not total):
                digit = 1
            if digit is None or CHINESE_UNITS[char] >= unit:
                return None
            unit = CHINESE_UNITS[char]
            section, digit, zero = section + digit * unit, None, False
        elif char in CHINESE_MYRIADS:
            section += digit or 0
            if not section or (total and CHINESE_MYRIADS[char] >= 10**8):
                return None
            unit = CHINESE_MYRIADS[char]
            total, section, digit, zero = total + section * unit, 0, None, False
        else:
            return None
    if digit is not None:
        section += digit if zero or unit == 10 or unit > 10**8 else digit * (unit // 10)
    return None if zero and digit is None else total + section


def english_numbers(words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """The numbers in a row of number words and `and`, each with its first word and the word after its last.

    `two hundred and five` is one number, `two and three` are two.
    """
    first = 0
    while first < len(words):
        if words[first] == "and":
            first += 1
            continue
        value, end = _english_number(words, first)
        if value is not None:
            yield value, first, end
        first = end


def _english_number(words: Sequence[str], first: int) -> tuple[int | None, int]:
    total = current = 0
    room, scale = 1000, 10**12  # what may still be added, and the scale that the next one has to be below
    end = position = first
    while position < len(words):
        word = words[position]
        if word == "and":
            if position == end and end > first and words[end - 1] in _SCALES:
                position += 1
                continue
            break
        value = ENGLISH_WORDS[word]
        if word == "hundred":
            if not 0 < current < 20 or room <= 0:
                break
            current, room = current * 100, 100
        elif word in _SCALES:
            if not current or value >= scale:
                break
            total, current, room, scale = total + current * value, 0, 1000, value
        else:
            if value >= room or (not value and (total or current)):
                break
            current += value
            room = 10 if value >= 20 else 0
            if room == 0 and words[position + 1 : position + 2] == ["hundred"]:
                room = 1
        position += 1
        end = position
    return (total + current, end) if end > first else (None, first + 1)
