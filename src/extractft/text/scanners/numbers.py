"""Every number that a text states, with its place: in digits, in Chinese numerals, in English words.

A number is found whole or not at all: 5 is not in 15, 5.3 or 5.000. Where a notation can be read in more than one way
(`3,5`, `5M`), each reading that people use is offered: a value that equals one of them is found there. Knows texts and
decimals, not fields.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from extractft.text.scanners.numerals import (
    CHINESE_DIGITS,
    CHINESE_MYRIADS,
    CHINESE_UNITS,
    ENGLISH_WORDS,
    chinese_number,
    english_numbers,
)
from extractft.text.word_boundaries import word_part

__all__ = ["Numeral", "plain_digits", "scan_numbers"]

MAX_NUMBER_LENGTH = 64
"""Characters of a number in a text, with its points and commas; a longer one is none that anyone counts with."""
LARGEST_FACTOR = 10**16
"""Largest factor of a number, that of 亿亿: more units in a row are no number."""
_DIGIT = "".join(CHINESE_DIGITS)
_BIG = "".join(CHINESE_UNITS) + "".join(CHINESE_MYRIADS)
_RUN = re.compile(r"(?<![0-9])[0-9](?:[0-9]|[.,'’\u00a0\u202f](?=[0-9]))*+")
_WHOLE = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_GROUPED = re.compile(
    r"[0-9]{1,3}([,'’\u00a0\u202f])[0-9]{3}(?:\1[0-9]{3})*(?:\.[0-9]+)?|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"
)
_POINTS_GROUP = re.compile(r"[0-9]{1,3}(?:(?:\.[0-9]{3}){2,}(?:,[0-9]+)?|\.[0-9]{3},[0-9]{1,2})")
_COMMA = re.compile(r"[0-9]+,[0-9]{1,2}")
_LIST = re.compile(r"[0-9]++(?:,[0-9]++){2,}+")
_EXPONENT = re.compile(r"[eE][-+]?[0-9]{1,3}(?![0-9A-Za-z])")
_TIMES = re.compile(
    rf"\s?([{_BIG}]+)|([kKMB])(?![A-Za-z0-9])|\s?(hundred|thousand|million|billion|mn|bn)s?\b", re.IGNORECASE
)
_LETTER_TIMES: Final = {"k": 10**3, "m": 10**6, "b": 10**9, "mn": 10**6, "bn": 10**9}
_CHINESE = re.compile(rf"[{_DIGIT}{_BIG}]+(?:[点點][{_DIGIT}]+)?")
_ENGLISH_WORD = "|".join(sorted(ENGLISH_WORDS, key=len, reverse=True))
_ENGLISH = re.compile(
    rf"\b(?:a\s+(?=hundred|thousand|million|billion))?(?:{_ENGLISH_WORD})(?:(?:\s+|-)(?:and\s+)?(?:{_ENGLISH_WORD}))*\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z]+")
_LETTER_BEFORE = re.compile("[A-Za-z]")
_MODEL = re.compile("(?:[^A-Za-z]|^)[A-KLMORSTUWYZa-klmorstuwyz]$")
"""A single letter right before a number: A4 is a kind of paper. But x3 counts, and there are p5, v2, q1 and n3."""
_MINUS = re.compile(r"(?:minus|negative) $", re.IGNORECASE)
_SCALING = frozenset(f" \u00a0{_BIG}kKMBhtmbHT")
_NOT_BEFORE = frozenset("周几数幾數")
_NOT_AFTER = frozenset("几多余來来幾餘")
_MINUTES = frozenset(f"分刻半钟鐘{_BIG}")
_CENTS = re.compile(
    rf"[块塊][钱錢]?([{_DIGIT}1-9])(?:[角毛](?:([{_DIGIT}1-9])分?)?|(?P<bare>))|[元圆]([{_DIGIT}1-9])角(?:([{_DIGIT}1-9])分)?"
)
_CLASSIFIERS: Final = frozenset(
    "个個只隻台件张張本支枝把条條辆輛部套双雙盒箱瓶袋包桶罐杯碗盘份块塊片根颗顆粒朵棵株头匹位名人口户家间間栋棟幢座层層楼樓"
    "号號室米斤克吨升元圆角天日月年岁歲周次回遍趟场場期节節课课篇页頁章行列组組队队班级級届届代种種类類项項款批顿封架艘顶床筒管板盏笔枚轮听团"
    "卷捆扎打折倍度股亩门面副幅尊束串排堆筐篮壶锅桌席点時时分秒公千厘毫星小"
)
"""Characters of which one has to follow a single Chinese numeral, which else is part of a word such as 一直 or 统一."""
_NOT_CENTS = _CLASSIFIERS | frozenset(f"点.0123456789{_BIG}")
_NOT_ONE_BEFORE = frozenset("no this that the any every each which another other only either".split())  # noqa: SIM905
_NOT_ONE_AFTER = frozenset("of another day thing or who that which can could should must is was has".split())  # noqa: SIM905


LONE_COST, BEHIND_LETTER_COST, JOINED_COST = 0.1, 0.5, 1.0
"""Costs of a single numeral that may be no more than an article, of a number right behind a letter, and of one that is
joined to others by a dash, a slash or the like."""


class Numeral(NamedTuple):
    """A number in a text.

    Attributes:
        value: The number that it spells.
        start: First character.
        end: Character after the last one.
        cost: 0 for a number that stands for itself; more for one that is part of something longer (a date, a range, a
            model number) or is also a common word.
    """

    value: Decimal
    start: int
    end: int
    cost: float = 0.0


class _Plain(dict[int, str]):
    """Digits and the signs around them in ASCII, one character for one."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char.isdecimal():
            char = str(unicodedata.decimal(char))
        elif char in "−－﹣‐‑–":
            char = "-"
        elif "\uff01" <= char <= "\uff5e" and char != "，":
            char = chr(code - 0xFEE0)
        self[code] = char
        return char


_PLAIN = _Plain()
_WIDE_COMMA = re.compile("(?<=[０-９])，(?=[０-９])")


def plain_digits(text: str) -> str:
    """The text with digits, dashes and full-width signs in ASCII; every character stays where it is."""
    return text if text.isascii() else _WIDE_COMMA.sub(",", text).translate(_PLAIN)


def scan_numbers(plain: str) -> Mapping[Decimal, list[Numeral]]:
    """All numbers of a text, by value, each list from left to right.

    Args:
        plain: The text, as `plain_digits` writes it.
    """
    found: dict[Decimal, list[Numeral]] = {}
    for scan in (_in_digits, _in_chinese, _in_english):
        for numeral in scan(plain):
            found.setdefault(numeral.value, []).append(numeral)
    for numerals in found.values():
        numerals.sort(key=lambda numeral: (numeral.start, numeral.end, numeral.cost))
    return found


def _in_digits(plain: str) -> Iterator[Numeral]:
    done = 0
    for match in _RUN.finditer(plain):
        start, end = match.span()
        if start < done:
            continue
        if _MODEL.match(plain[max(0, start - 2) : start]):
            continue
        sign, begin = _sign(plain, start)
        cost = _attached(plain, start, end)
        readings = list(_readings(match[0]))
        if len(readings) == 1:
            for numeral in _with_what_follows(plain, Numeral(_signed(sign, readings[0][0]), begin, end, cost)):
                done = max(done, numeral.end)
                yield numeral
        else:
            for value, low, high in readings:
                yield Numeral(value, start + low, start + high, cost + JOINED_COST)


def _readings(run: str) -> Iterator[tuple[Decimal, int, int]]:
    """The numbers that a run of digits, points and commas may spell, each with the part that spells it."""
    bare = re.sub(r"['’\u00a0\u202f]", ",", run)
    if len(run) > MAX_NUMBER_LENGTH:
        if _LIST.fullmatch(bare):
            yield from _listed(run)
    elif _WHOLE.fullmatch(run):
        yield Decimal(run), 0, len(run)
    elif _GROUPED.fullmatch(run):
        yield Decimal(bare.replace(",", "")), 0, len(run)
    elif _POINTS_GROUP.fullmatch(run):
        yield Decimal(run.replace(".", "").replace(",", ".")), 0, len(run)
    elif _COMMA.fullmatch(run):
        yield Decimal(run.replace(",", ".")), 0, len(run)
    elif _LIST.fullmatch(bare):
        yield from _listed(run)


def _listed(run: str) -> Iterator[tuple[Decimal, int, int]]:
    """The numbers between the commas of a run."""
    for match in re.finditer("[0-9]+", run):
        if len(match[0]) <= MAX_NUMBER_LENGTH:
            yield Decimal(match[0]), *match.span()


def _signed(sign: int, number: Decimal) -> Decimal:
    """The number or its negative, every digit kept: arithmetic on decimals rounds to 28."""
    return number.copy_negate() if sign < 0 else number


def _sign(plain: str, start: int) -> tuple[int, int]:
    """-1 and the place of the minus, if it cannot be a dash between two things; else 1 and the start."""
    before = plain[start - 1] if start else ""
    if before == "-":
        further = plain[start - 2] if start > 1 else " "
        if further.isspace() or further in "([{=<>:,;$¥€£":
            return -1, start - 1
    elif before in tuple("负負") or plain[start - 2 : start] == "零下":
        return -1, start - (2 if before == "下" else 1)
    elif before == " " and (words := _MINUS.search(plain, max(0, start - 9), start)):
        return -1, words.start()
    return 1, start


def _attached(plain: str, start: int, end: int) -> float:
    """The cost of a number that looks like a part of something longer."""
    before, after = plain[start - 1 : start], plain[end : end + 1]
    cost = BEHIND_LETTER_COST if _LETTER_BEFORE.match(before) else 0.0
    joined = (before and before in "-/:.") and word_part(plain[start - 2 : start - 1] or " ") is not None
    joined = joined or ((after and after in "-/:") and plain[end + 1 : end + 2].isdigit())
    return cost + JOINED_COST if joined else cost


def _with_what_follows(plain: str, number: Numeral) -> Iterator[Numeral]:
    """A number and the same with what follows it: 15%, 1e-5, 29块5, 1.2万, 3 million."""
    value, end = number.value, number.end
    after = plain[end : end + 1]
    if after in tuple("eE") and (exponent := _EXPONENT.match(plain, end)):
        yield Numeral(value.scaleb(int(exponent[0][1:])), number.start, exponent.end(), number.cost)
        return
    scaled = _scaled(plain, number) if after in _SCALING else None
    if scaled is not None:
        yield scaled
        if scaled.value not in (value * 10**6, value * 10**9, value * 10**4, value * 10**8):
            return
        number = number._replace(cost=number.cost + JOINED_COST)  # the unit of a field may be a million
    elif after == "%":
        yield Numeral(value / 100, number.start, end + 1, number.cost)
    elif after in tuple("块塊元圆") and (whole := _with_cents(plain, number)):
        yield whole
        return
    yield number


def _scaled(plain: str, number: Numeral) -> Numeral | None:
    """3千, 1.2万, 3亿5000万, 5k, 3 million."""
    total, end = Decimal(0), number.end
    part: Decimal | None = number.value
    while part is not None and (times := _TIMES.match(plain, end)):
        factor = _factor(times)
        if factor is None:
            break
        total, end = total + part * factor, times.end()
        following = _RUN.match(plain, end) if times[1] else None
        counts = following is not None and len(following[0]) <= MAX_NUMBER_LENGTH and following[0].isdigit()
        part = Decimal(following[0]) if following and counts else None
        if following and part is not None and not _TIMES.match(plain, following.end()):
            break
        end = following.end() if following else end
    return Numeral(total, number.start, end, number.cost) if end > number.end else None


def _factor(times: re.Match[str]) -> int | None:
    chinese, letter, word = times.groups()
    if chinese:
        factor = 1
        for char in chinese:
            factor *= CHINESE_UNITS.get(char) or CHINESE_MYRIADS.get(char) or 0
            if factor > LARGEST_FACTOR:
                return None
        return factor or None
    name = (letter or word).lower()
    return None if letter in ("m", "b") else _LETTER_TIMES.get(name) or ENGLISH_WORDS[name]


def _with_cents(plain: str, number: Numeral) -> Numeral | None:
    """29块5, 二十九元五角, 三块五毛二."""
    cents = _CENTS.match(plain, number.end)
    if cents is None or number.value != number.value.to_integral_value():
        return None
    if cents["bare"] is not None and plain[cents.end() : cents.end() + 1] in _NOT_CENTS:  # 289块一个
        return None
    digits = "".join(str(CHINESE_DIGITS.get(digit, digit)) for digit in cents.groups() if digit)
    return Numeral(number.value + Decimal(f"0.{digits}"), number.start, cents.end(), number.cost)


def _in_chinese(plain: str) -> Iterator[Numeral]:
    for match in _CHINESE.finditer(plain):
        start, end = match.span()
        if end - start == 1 and not _stands_alone(plain, start):
            continue
        if plain[start - 1 : start] in _NOT_BEFORE or plain[start - 2 : start] in ("星期", "礼拜", "禮拜"):
            continue
        if plain[end : end + 1] in _NOT_AFTER or (
            match[0][0] not in CHINESE_DIGITS and plain[start - 1 : start].isdigit()
        ):
            continue
        yield from _chinese(plain, match[0], start)


def _stands_alone(plain: str, at: int) -> bool:
    """True if a single numeral counts something, or has nothing on either side that it could form a word with."""
    before, after = plain[at - 1 : at], plain[at + 1 : at + 3]
    if before == "第" or after[:1] in _CLASSIFIERS or (after[:1] == " " and after[1:] in _CLASSIFIERS):
        return plain[at : at + 2] != "十分"
    return not before.isalnum() and not after[:1].isalnum()


def _chinese(plain: str, token: str, start: int) -> Iterator[Numeral]:
    whole, fraction, end = token, "", start + len(token)
    if "点" in token or "點" in token:
        whole, fraction = re.split("[点點]", token)
        if plain[end : end + 1] in _MINUTES:  # a time of day
            fraction, end = "", start + len(whole)
    value = chinese_number(whole)
    if value is None or len(fraction) > MAX_NUMBER_LENGTH:
        return
    exact = Decimal(value)
    if fraction:
        exact = Decimal(f"{value}.{''.join(str(CHINESE_DIGITS[char]) for char in fraction)}")
    if plain[max(0, start - 3) : start] == "百分之":
        yield Numeral(exact / 100, start - 3, end)
    sign, begin = _sign(plain, start)
    number = Numeral(_signed(sign, exact), begin, end, LONE_COST if len(whole) == 1 and not fraction else 0.0)
    cents = _with_cents(plain, number)
    yield cents or number


def _in_english(plain: str) -> Iterator[Numeral]:
    for match in _ENGLISH.finditer(plain):
        words = list(_WORD.finditer(plain, match.start(), match.end()))
        names = ["one" if word[0].lower() == "a" else word[0].lower() for word in words]
        for value, first, after in english_numbers(names):
            start, end = words[first].start(), words[after - 1].end()
            if names[first:after] == ["one"] and not _counts_one(plain, start, end):
                continue
            yield Numeral(Decimal(value), start, end, LONE_COST if value == 1 else 0.0)


def _counts_one(plain: str, start: int, end: int) -> bool:
    """True if `one` counts the word that follows, and does not stand for something."""
    before = re.search(r"([A-Za-z]+)\s+$", plain[max(0, start - 12) : start])
    after = re.match(r"\s+([A-Za-z]+)", plain[end : end + 24])
    if after is None or after[1].lower() in _NOT_ONE_AFTER:
        return False
    return before is None or before[1].lower() not in _NOT_ONE_BEFORE
