"""Statements of an order, field by field: the value for the record and the words for the text.

Knows no layout: `generate.py` puts the statements in an order and sets them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from complaints.generation import chance, fill, pick
from complaints.people import People

import wording
from chinese_numbers import date_in_words, money_in_words, number_in_words, quantity_in_words

FIRST_DAY, DAYS = date(2023, 1, 1), 5 * 365


@dataclass
class Draft:
    """An order that is being written.

    Attributes:
        form: True if it is a form with labels, rather than running text.
        record: The values.
        words: Path of a value to its wording in the text.
        parts: Field to the template that states it; a field that is left out has none.
        goods: The goods that are ordered.
    """

    form: bool
    record: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    goods: list[str] = field(default_factory=list)


class Statements:
    """Invents the fields of orders."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.people = People(self.rng, seed=seed)

    def draft(self, *, form: bool) -> Draft:
        """An order with every field drawn anew."""
        draft = Draft(form=form)
        for state in (self._customer, self._order_no, self._order_date, self._items, self._delivery, self._options):
            state(draft)
        return draft

    def chatter(self, draft: Draft) -> str:
        """Something that belongs to no field."""
        return fill(self.rng.choice(wording.CHATTER), self._slots(draft))

    def _slots(self, draft: Draft) -> Mapping[str, Callable[[], str]]:
        number = self.rng.randrange
        others = [goods[0] for goods in wording.GOODS if goods[0] not in draft.goods]
        return {
            "n": lambda: str(number(2, 20)),
            "hour": lambda: str(number(8, 21)),
            "month": lambda: str(number(1, 13)),
            "day": lambda: str(number(1, 29)),
            "total": lambda: str(100 * number(3, 200)),
            "person": self.people.acquaintance,
            "street": self.people.street,
            "goods": lambda: self.rng.choice(others),
        }

    def _company(self) -> str:
        return "".join(self.rng.choice(part) for part in wording.COMPANY)

    def _customer(self, draft: Draft) -> None:
        company = chance(self.rng, 0.4)
        draft.record["customer"] = draft.words["customer"] = self._company() if company else self.people.name()
        templates = wording.COMPANY_ORDERS if company else wording.PERSON_ORDERS
        draft.parts["customer"] = "{customer}" if draft.form else self.rng.choice(templates)

    def _order_no(self, draft: Draft) -> None:
        if chance(self.rng, 0.25):
            return
        rng = self.rng
        number = rng.randrange(10**4, 10**6)
        forms = (f"PO-{rng.randrange(10, 99)}-{number}", f"SO{number}", f"DD{number}X", f"M-{number}", f"88{number}01")
        draft.record["order_no"] = draft.words["order_no"] = rng.choice(forms)
        draft.parts["order_no"] = "{order_no}" if draft.form else rng.choice(wording.NUMBERED)

    def _order_date(self, draft: Draft) -> None:
        rng = self.rng
        day = FIRST_DAY + timedelta(rng.randrange(DAYS))
        style = pick(rng, {"full": 70, "year apart": 14, "relative": 16})
        words, lead = self._full_date(day), ""
        if style == "year apart":
            words = self._day_of_year(day)
            lead = rng.choice(wording.YEAR_APART).format(year=day.year)
        elif style == "relative":
            back = rng.randrange(3)
            words = ("今天", "昨天", "前天")[back]
            lead = f"今天是{self._full_date(day + timedelta(back))}，"
        draft.record["order_date"], draft.words["order_date"] = day, words
        template = "{day}{time}" if draft.form else rng.choice(wording.DATED)
        draft.parts["order_date"] = lead + template.format(day="{order_date}", time=self._time())

    def _time(self) -> str:
        if chance(self.rng, 0.65):
            return ""
        part = self.rng.choice(list(wording.HOURS))
        hour = self.rng.choice(wording.HOURS[part])
        return f"{part}{quantity_in_words(hour) if chance(self.rng, 0.6) else hour}点"

    def _day_of_year(self, day: date) -> str:
        if chance(self.rng, 0.3):
            return f"{number_in_words(day.month)}月{number_in_words(day.day)}日"
        return f"{day.month}月{day.day}{self.rng.choice('日号')}"

    def _full_date(self, day: date) -> str:
        forms = (
            date_in_words(day),
            day.isoformat(),
            f"{day.year}/{day.month}/{day.day}",
            f"{day.year}.{day.month}.{day.day}",
            f"{day.year}年{day.month}月{day.day}日（周{wording.WEEKDAYS[day.weekday()]}）",
            f"{day.year}年{day.month}月{day.day}日",
            f"{day.year}年{day.month}月{day.day}号",
        )
        return self.rng.choice(forms)

    def _items(self, draft: Draft) -> None:
        rng = self.rng
        chosen = rng.sample(wording.GOODS, pick(rng, {1: 45, 2: 35, 3: 20}))
        draft.goods = [goods[0] for goods in chosen]
        draft.record["items"] = []
        style = rng.choice((wording.COUNT_FIRST, wording.NAME_FIRST, (*wording.NAME_FIRST, *wording.WITH_SIGN)))
        priced = pick(rng, {1.0: 45, 0.5: 25, 0.0: 30})
        templates = [self._item(draft, goods, style, priced=chance(rng, priced)) for goods in chosen]
        joint = rng.choice(("；", "\n")) if draft.form else rng.choice(wording.AND)
        draft.parts["items"] = ("" if draft.form else rng.choice(wording.BUYING)) + joint.join(templates)

    def _item(self, draft: Draft, goods: tuple[str, str, int, int, str], style: Sequence[str], *, priced: bool) -> str:
        """Add one item to the record; returns the template that states it."""
        rng = self.rng
        base, unit, low, high, kind = goods
        name = (rng.choice(wording.QUALITIES[kind]) if chance(rng, 0.35) else "") + base
        name += f"{rng.choice('ABKTX')}{rng.randrange(1, 90)}0" if chance(rng, 0.12) else ""
        small, middle, large = rng.randrange(1, 10), rng.randrange(10, 60), 50 * rng.randrange(2, 12)
        quantity = rng.choice((small, small, middle, large))
        words = quantity_in_words(quantity) if chance(rng, 0.5) else str(quantity)
        # A count in words takes no sign, and digits after a model number need something in between.
        fits = [s for s in style if not (s in wording.WITH_SIGN and not words.isdigit())]
        if words.isdigit() and name[-1].isdigit():
            fits = [s for s in fits if not s.startswith("{name}{quantity}")]
        path = f"items.{len(draft.record['items'])}"
        slots = {key: f"{{{path}.{key}}}" for key in ("name", "quantity", "unit_price")}
        item: dict[str, Any] = {"name": name, "quantity": quantity}
        draft.words |= {f"{path}.name": name, f"{path}.quantity": words}
        template = rng.choice(fits).format(name=slots["name"], quantity=slots["quantity"], unit=unit)
        if priced:
            item["unit_price"], draft.words[f"{path}.unit_price"] = self._price(low, high)
            template += rng.choice(wording.PRICED).format(price=slots["unit_price"], unit=unit)
        draft.record["items"].append(item)
        return template

    def _price(self, low: int, high: int) -> tuple[Decimal, str]:
        """A price and its wording; words are used for whole yuan and tenths alone."""
        rng = self.rng
        yuan = rng.randrange(low, high + 1)
        if yuan > 200 and chance(rng, 0.5):
            yuan = yuan // 10 * 10
        decimals = pick(rng, {0: 50, 1: 22, 2: 28})
        amount = Decimal(yuan)
        if decimals == 1:
            amount += Decimal(rng.choice((5, 9, 8, 6))) / 10
        elif decimals == 2:
            amount += Decimal(rng.choice((0, 50, 80, 99, 90, rng.randrange(1, 100)))).scaleb(-2)
        if decimals < 2 and chance(rng, 0.4):
            # 一千一百块五 could be read as 1,150: tenths are not spoken after a round number.
            clear = decimals == 0 or yuan % 10 != 0
            return amount, money_in_words(amount, spoken=clear and chance(rng, 0.5))
        digits = f"{amount:,}" if chance(rng, 0.5) else str(amount)
        return amount, rng.choice((f"{digits}元", f"{digits}元", f"¥{digits}", f"{digits}块", f"￥{digits}"))

    def _delivery(self, draft: Draft) -> None:
        rng, kind = self.rng, "{delivery.kind}"
        if chance(rng, 0.35):
            store = rng.choice((self.people.street(), self.people.estate())) + rng.choice(wording.STORES)
            draft.record["delivery"] = {"kind": "pickup", "store": store}
            draft.words |= {"delivery.kind": rng.choice(wording.PICKUP), "delivery.store": store}
            templates = wording.PICKUP_FORM if draft.form else wording.PICKUP_MESSAGE
            draft.parts["delivery"] = rng.choice(templates).format(kind=kind, store="{delivery.store}")
            return
        address = self.people.address()
        draft.record["delivery"] = {"kind": "courier", "address": address}
        draft.words |= {"delivery.kind": rng.choice(wording.COURIER), "delivery.address": address}
        template = rng.choice(wording.COURIER_TO).format(kind=kind, address="{delivery.address}")
        if chance(rng, 0.6):
            phone = self.people.phone()
            gap = rng.choice((" ", " ", "-", ""))
            draft.record["delivery"]["phone"] = phone
            draft.words["delivery.phone"] = gap.join((phone[:3], phone[3:7], phone[7:]))
            template += rng.choice(wording.PHONE).format(phone="{delivery.phone}")
        draft.parts["delivery"] = template

    def _options(self, draft: Draft) -> None:
        """Add the optional fields: priority, invoice, remarks."""
        rng = self.rng
        priority = pick(rng, {"urgent": 30, "flexible": 20, "normal": 50})
        if priority != "normal" or chance(rng, 0.2):
            words = {"urgent": wording.URGENT, "flexible": wording.FLEXIBLE, "normal": wording.NORMAL}[priority]
            self._option(draft, "priority", priority, rng.choice(words))
        invoice = chance(rng, 0.4)
        if invoice or chance(rng, 0.35):
            words = wording.INVOICE if invoice else wording.NO_INVOICE
            self._option(draft, "invoice_required", invoice, rng.choice(words))
            if invoice and chance(rng, 0.2):
                draft.parts["invoice_required"] += f"，抬头{self._company()}"
        if chance(rng, 0.4):
            courier = draft.record["delivery"]["kind"] == "courier"
            pool = wording.REMARKS + (wording.COURIER_REMARKS if courier else ())
            remarks = fill("，".join(rng.sample(pool, pick(rng, {1: 70, 2: 30}))), self._slots(draft))
            label = "" if draft.form else rng.choice(wording.REMARK_LABELS)
            self._option(draft, "remarks", remarks, remarks, label=label)

    def _option(self, draft: Draft, path: str, value: object, words: str, *, label: str = "") -> None:
        draft.record[path] = value
        draft.words[path] = words
        draft.parts[path] = f"{label}{{{path}}}"
