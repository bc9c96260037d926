"""Every conversion that the orders rest on, read back by a reader that shares no code with the writer."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

Load = Callable[[str], ModuleType]
DIGITS = {**{char: value for value, char in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2}
SIGNED = {"urgent": {"急", "快", "优先", "明天", "火", "米"}, "flexible": {"不", "慢", "晚", "什么时候", "有空"}}


def read_number(words: str) -> int:
    """Chinese or Arabic digits to a number: adds up digit times unit, section by section."""
    if words.isascii():
        return int(words)
    total = section = digit = 0
    for char in words:
        if char in DIGITS:
            digit = DIGITS[char]
        elif char == "万":
            total, section, digit = (section + digit) * 10_000, 0, 0
        else:
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[char]
            digit = 0
    return total + section + digit


def read_money(words: str) -> Decimal:
    plain = re.fullmatch(r"[¥￥]?([\d,]+(?:\.\d+)?)[元块]?", words)
    if plain:
        return Decimal(plain[1].replace(",", ""))
    match = re.fullmatch(r"([^元块]+)[元块](?:([一二三四五六七八九])角?)?", words)
    assert match, words
    return read_number(match[1]) + Decimal(DIGITS[match[2]] if match[2] else 0) / 10


def read_day(words: str) -> date | None:
    """A date with its year, in any of the forms."""
    found = re.match(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})", words)
    if found:
        return date(*map(int, found.groups()))
    found = re.match(r"([〇一二三四五六七八九]{4})年(.{1,2})月(.{1,3})日", words)
    if not found:
        return None
    year = int("".join(str(DIGITS[char]) for char in found[1]))
    return date(year, read_number(found[2]), read_number(found[3]))


def read_order_date(words: str, text: str) -> date:
    if words in {"今天", "昨天", "前天"}:
        today = read_day(text.partition("今天是")[2])
        assert today is not None
        return today - timedelta(["今天", "昨天", "前天"].index(words))
    day = read_day(words)
    if day:
        return day
    month, number = re.fullmatch(r"(.+)月(.+)[日号]", words).groups()  # type: ignore[union-attr]
    years = set(re.findall(r"(20\d\d)年", text))
    assert len(years) == 1
    return date(int(years.pop()), read_number(month), read_number(number))


@pytest.fixture(scope="module")
def orders(load_example: Load) -> ModuleType:
    return load_example("orders/generate.py")


@pytest.fixture(scope="module")
def numbers(load_example: Load) -> ModuleType:
    return load_example("orders/chinese_numbers.py")


@pytest.fixture(scope="module")
def rows(orders: ModuleType) -> list[Any]:
    return orders.generate(1000, seed=0)


def wordings(rows: list[Any], pattern: str) -> list[tuple[Any, str, str]]:
    """Rows with path and wording of every value whose path matches."""
    return [
        (row, path, row.text[slice(*span)])
        for row in rows
        for path, span in row.spans.items()
        if re.fullmatch(pattern, path)
    ]


def at(record: Any, path: str) -> Any:
    for step in path.split("."):
        record = record[int(step)] if isinstance(record, list) else getattr(record, step)
    return record


# ------------------------------------------------------------------------------------------------ numbers in words


@given(number=st.integers(0, 10**8 - 1))
def test_numbers_in_words_are_read_back(numbers: ModuleType, number: int) -> None:
    assert read_number(numbers.number_in_words(number)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "零"), (7, "七"), (10, "十"), (12, "十二"), (20, "二十"), (101, "一百零一"), (110, "一百一十"), (320, "三百二十"),
     (1005, "一千零五"), (1010, "一千零一十"), (1280, "一千二百八十"), (10_012, "一万零一十二"), (20_305, "二万零三百零五"),
     (100_000, "十万"), (123_456, "十二万三千四百五十六"), (10_000_000, "一千万")],
)  # fmt: skip
def test_numbers_in_words_are_written_as_people_do(numbers: ModuleType, number: int, words: str) -> None:
    assert numbers.number_in_words(number) == words


@pytest.mark.parametrize("number", [-1, 10**8])
def test_numbers_out_of_range_are_refused(numbers: ModuleType, number: int) -> None:
    with pytest.raises(ValueError, match="expected a number from 0"):
        numbers.number_in_words(number)


def test_two_things_are_liang(numbers: ModuleType) -> None:
    assert [numbers.quantity_in_words(n) for n in (1, 2, 12, 20)] == ["一", "两", "十二", "二十"]


@given(tenths=st.integers(0, 10**7), spoken=st.booleans())
def test_money_in_words_is_read_back(numbers: ModuleType, tenths: int, spoken: bool) -> None:
    amount = Decimal(tenths) / 10
    assert read_money(numbers.money_in_words(amount, spoken=spoken)) == amount


def test_money_in_words_examples(numbers: ModuleType) -> None:
    assert numbers.money_in_words(Decimal("320")) == "三百二十元"
    assert numbers.money_in_words(Decimal("29.5")) == "二十九元五角"
    assert numbers.money_in_words(Decimal("29.5"), spoken=True) == "二十九块五"
    for amount in ("0.05", "-1"):
        with pytest.raises(ValueError, match="whole tenths"):
            numbers.money_in_words(Decimal(amount))


@given(day=st.dates(date(1000, 1, 1)))
def test_dates_in_words_are_read_back(numbers: ModuleType, day: date) -> None:
    assert read_day(numbers.date_in_words(day)) == day


# ------------------------------------------------------------------------------------------------------ the orders


def test_copied_values_stand_in_the_text(rows: list[Any]) -> None:
    copied = r"order_no|customer|remarks|items\.\d\.name|delivery\.(address|store)"
    found = wordings(rows, copied)
    assert len(found) > 4000
    for row, path, words in found:
        assert words == at(row.output, path) == words.strip()


def test_every_value_that_is_not_a_default_is_stated(rows: list[Any]) -> None:
    for row in rows:
        order = row.output
        paths = {"customer", "order_date", "delivery.kind"} | {
            f"delivery.{key}" for key, value in order.delivery if value is not None
        }
        for index, item in enumerate(order.items):
            paths |= {f"items.{index}.{key}" for key, value in item if value is not None}
        optional = {"order_no", "priority", "invoice_required", "remarks"}
        paths |= {path for path in optional if path in order.model_fields_set and at(order, path) is not None}
        assert set(row.spans) == paths


def test_quantities_are_read_back(rows: list[Any]) -> None:
    found = wordings(rows, r"items\.\d\.quantity")
    assert all(read_number(words) == at(row.output, path) for row, path, words in found)
    in_words = sum(not words.isascii() for _, _, words in found)
    assert 0.3 < in_words / len(found) < 0.7
    assert any(words == "两" for _, _, words in found)


def test_prices_are_read_back(rows: list[Any]) -> None:
    found = wordings(rows, r"items\.\d\.unit_price")
    assert all(read_money(words) == at(row.output, path) for row, path, words in found)
    forms = Counter(bool(re.search(r"\d", words)) for _, _, words in found)
    assert min(forms.values()) > 100
    assert sum("," in words for _, _, words in found) > 20


def test_spoken_tenths_are_not_ambiguous(rows: list[Any]) -> None:
    assert not [
        words for _, _, words in wordings(rows, r"items\.\d\.unit_price") if re.search(r"[十百千万]块[一-九]", words)
    ]


def test_dates_are_read_back(rows: list[Any]) -> None:
    found = wordings(rows, "order_date")
    assert all(read_order_date(words, row.text) == row.output.order_date for row, _, words in found)
    forms = Counter(
        "relative" if words.endswith("天") else "full" if read_day(words) else "year apart" for _, _, words in found
    )
    assert min(forms.values()) > 80


def test_weekdays_are_right(rows: list[Any]) -> None:
    stated = [found for row in rows for found in re.findall(r"(\d{4}年\d+月\d+日)（周(.)）", row.text)]
    assert len(stated) > 50
    assert all(read_day(day).weekday() == "一二三四五六日".index(name) for day, name in stated)  # type: ignore[union-attr]


def test_telephone_numbers_keep_their_digits(rows: list[Any]) -> None:
    found = wordings(rows, r"delivery\.phone")
    assert all(re.sub(r"[ -]", "", words) == row.output.delivery.phone for row, _, words in found)
    assert all(re.fullmatch(r"1[02]\d{9}", row.output.delivery.phone) for row, _, _ in found)
    assert Counter(bool(re.search(r"[ -]", words)) for _, _, words in found).keys() == {True, False}


def test_wording_decides_on_delivery_priority_and_invoice(rows: list[Any]) -> None:
    for row, _, words in wordings(rows, r"delivery\.kind"):
        assert ("自" in words) == (row.output.delivery.kind == "pickup")
    for row, _, words in wordings(rows, "priority"):
        for priority, signs in SIGNED.items():
            if row.output.priority.value == priority:
                assert any(sign in words for sign in signs), words
    for row, _, words in wordings(rows, "invoice_required"):
        assert bool(re.search("不|无需", words)) != row.output.invoice_required


def test_no_wording_means_two_things(load_example: Load) -> None:
    wording = load_example("orders/wording.py")
    for meanings in ((wording.URGENT, wording.FLEXIBLE, wording.NORMAL), (wording.INVOICE, wording.NO_INVOICE),
                     (wording.PICKUP, wording.COURIER)):  # fmt: skip
        words = [word for meaning in meanings for word in meaning]
        assert len(words) == len(set(words))
    goods = [entry[0] for entry in wording.GOODS]
    assert len(goods) == len(set(goods))


def test_every_shape_of_record_occurs(rows: list[Any]) -> None:
    orders = [row.output for row in rows]
    assert Counter(len(order.items) for order in orders).keys() == {1, 2, 3}
    kinds = Counter(order.delivery.kind for order in orders)
    assert 250 < kinds["pickup"] < 450
    assert Counter(order.priority.value for order in orders).keys() == {"normal", "urgent", "flexible"}
    assert 300 < sum(order.invoice_required for order in orders) < 500
    assert 150 < sum(order.order_no is None for order in orders) < 350
    assert 500 < sum(order.remarks is None for order in orders) < 700
    prices = [item.unit_price for order in orders for item in order.items]
    assert 0.25 < prices.count(None) / len(prices) < 0.65


def test_goods_that_are_not_wanted_are_not_ordered(rows: list[Any]) -> None:
    for row in rows:
        for goods in re.findall(r"[。，\n ]([A-Z4\w]+?)这次先不要了", row.text):
            assert not [item for item in row.output.items if item.name == goods]


def test_texts_are_distinct_plain_and_of_moderate_length(rows: list[Any]) -> None:
    assert len({row.text for row in rows}) == 1000
    assert all(60 <= len(row.text) <= 220 for row in rows)
    assert 90 <= sum(len(row.text) for row in rows) / 1000 <= 130
    for row in rows:
        assert all(char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"} for char in row.text)
        assert "{" not in row.text


def test_rows_validate_from_their_jsonl_form(rows: list[Any], orders: ModuleType) -> None:
    for row in rows:
        assert orders.SCHEMA.model_validate(row.row()["output"]) == row.output


def test_the_same_seed_gives_the_same_rows_and_goes_on(orders: ModuleType) -> None:
    assert orders.generate(60, seed=5)[:30] == orders.generate(30, seed=5)
    assert {r.text for r in orders.generate(200, seed=5)}.isdisjoint(r.text for r in orders.generate(200, seed=6))
