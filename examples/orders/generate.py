"""Generate Chinese orders: lists, numbers, dates, a union, and values that do not stand in the text as such.

    python examples/orders/generate.py --train 200 --test 60 --out data/orders --seed 0

Everything is invented. What counts as what:

- Names, addresses, order numbers and remarks are copied; a remark ends before its closing punctuation.
- Quantities and prices become numbers: 两台 -> 2, 1,280.50元 -> 1280.50, 三百二十块 -> 320, 二十九块五 -> 29.5.
- The order date becomes an ISO date, from any form: 二〇二六年五月一日, 26/5/1 never; a date without a year has the year
  that the text states elsewhere; 昨天 and 前天 count from the day that the text calls today.
- Telephone numbers keep their digits only.
- The wording decides on the priority, the invoice and the way of delivery.
- Totals, dates of arrival, earlier purchases and things that are not wanted this time belong to no field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import wording
from chinese_numbers import date_in_words, money_in_words, number_in_words, quantity_in_words
from schema import Order

from extractft.demo.generation import (
    GeneratedExample,
    TextBuilder,
    chance,
    distinct,
    fill,
    generator_command,
    pick,
)
from extractft.demo.people import People

SCHEMA = Order
MIN_LENGTH, MAX_LENGTH = 60, 220
FIRST_DAY, DAYS = date(2023, 1, 1), 5 * 365
LABELS = {
    "order_no": ("订单号", "单号", "订单编号"),
    "customer": ("客户", "订货人", "顾客", "买方"),
    "order_date": ("下单日期", "日期", "订购时间"),
    "items": ("货品", "商品", "明细", "订购内容"),
    "delivery": ("交货", "配送", "配送方式"),
    "priority": ("优先级", "缓急", "时效"),
    "invoice_required": ("发票", "开票"),
    "remarks": ("备注", "留言", "附言"),
}


def generate(n: int, *, seed: int) -> list[GeneratedExample[Order]]:
    """Invent `n` orders with their records; all texts differ.

    Args:
        n: Number of examples.
        seed: The same seed gives the same examples; a larger `n` goes on where a smaller one stopped.

    Raises:
        MissingDependencyError: Faker is not installed.
    """
    writer = OrderWriter(seed)
    return distinct(writer.draw, n)


@dataclass
class Draft:
    """One order being written: the record, and how each of its values is worded."""

    record: dict[str, Any] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)
    """Field to the template that states it."""


class OrderWriter:
    """Invents one order after the other."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.people = People(self.rng, seed=seed)
        self.slots: Mapping[str, Callable[[], str]] = {
            "n": lambda: str(self.rng.randrange(2, 20)),
            "hour": lambda: str(self.rng.randrange(8, 21)),
            "month": lambda: str(self.rng.randrange(1, 13)),
            "day": lambda: str(self.rng.randrange(1, 29)),
            "total": lambda: str(100 * self.rng.randrange(3, 200)),
            "person": self.people.acquaintance,
            "street": self.people.street,
            "goods": lambda: self.rng.choice(wording.GOODS)[0],
        }

    def draw(self) -> GeneratedExample[Order]:
        """The next order of the right length."""
        while True:
            draft = Draft()
            form = chance(self.rng, 0.3)
            for state in (self._customer, self._order_no, self._date, self._items, self._delivery, self._extras):
                state(draft, form)
            builder = TextBuilder()
            for piece in self._form(draft) if form else self._message(draft):
                builder.write(piece, draft.words)
            if MIN_LENGTH <= len(builder.text) <= MAX_LENGTH:
                return GeneratedExample(builder.text, Order.model_validate(draft.record), builder.spans)

    def _company(self) -> str:
        parts = (wording.COMPANY_HEADS, wording.COMPANY_FIELDS, wording.COMPANY_TAILS)
        return "".join(self.rng.choice(part) for part in parts)

    def _customer(self, draft: Draft, form: bool) -> None:
        company = chance(self.rng, 0.4)
        name = self._company() if company else self.people.name()
        draft.record["customer"] = draft.words["customer"] = name
        templates = ("我们是{customer}", "{customer}订货", "这里是{customer}") if company else ("我是{customer}", "我叫{customer}", "{customer}订的")  # fmt: skip
        draft.parts["customer"] = "{customer}" if form else self.rng.choice(templates)

    def _order_no(self, draft: Draft, form: bool) -> None:
        if chance(self.rng, 0.25):
            return
        rng = self.rng
        number = rng.randrange(10**4, 10**6)
        no = rng.choice((f"PO-{rng.randrange(10, 99)}-{number}", f"SO{number}", f"{number}{rng.randrange(10**4, 10**6)}", f"DD{number}{rng.choice('ABCKX')}", f"{rng.choice('ABMZ')}-{number}"))  # fmt: skip
        draft.record["order_no"] = draft.words["order_no"] = no
        templates = ("订单号{order_no}", "订单号：{order_no}", "单号{order_no}", "订单{order_no}", "单号是{order_no}")
        draft.parts["order_no"] = "{order_no}" if form else rng.choice(templates)

    def _date(self, draft: Draft, form: bool) -> None:
        rng = self.rng
        day = FIRST_DAY + timedelta(rng.randrange(DAYS))
        draft.record["order_date"] = day
        style = pick(rng, {"full": 70, "year apart": 14, "relative": 16})
        if style == "full":
            words, lead = self._full_date(day), ""
        elif style == "year apart":
            words = f"{number_in_words(day.month)}月{number_in_words(day.day)}日" if chance(rng, 0.3) else f"{day.month}月{day.day}{rng.choice('日号')}"  # fmt: skip
            lead = rng.choice((f"（{day.year}年）", f"今年是{day.year}年，", f"{day.year}年的单子，"))
        else:
            back = rng.randrange(3)
            words = ("今天", "昨天", "前天")[back]
            lead = f"今天是{self._full_date(day + timedelta(back))}，"
        draft.words["order_date"] = words
        time = ""
        if chance(rng, 0.35):
            hour = rng.randrange(1, 12)
            time = f"{rng.choice(wording.DAY_PARTS)}{number_in_words(hour) if chance(rng, 0.6) else hour}点"
        if form:
            draft.parts["order_date"] = f"{lead}{{order_date}}{time}"
            return
        verb = rng.choice(("下的单", "下单", "订的货", "在你们店下了单", "订购"))
        draft.parts["order_date"] = f"{lead}{rng.choice(('', '', '我'))}{{order_date}}{time}{verb}"

    def _full_date(self, day: date) -> str:
        style = self.rng.randrange(7)
        if style == 0:
            return date_in_words(day)
        if style == 1:
            return day.isoformat()
        if style == 2:
            return f"{day.year}/{day.month}/{day.day}"
        if style == 3:
            return f"{day.year}.{day.month}.{day.day}"
        if style == 4:
            return f"{day.year}年{day.month}月{day.day}日（周{wording.WEEKDAYS[day.weekday()]}）"
        return f"{day.year}年{day.month}月{day.day}{self.rng.choice('日号')}"

    def _items(self, draft: Draft, form: bool) -> None:
        rng = self.rng
        goods = rng.sample(wording.GOODS, pick(rng, {1: 45, 2: 35, 3: 20}))
        names_first, priced = chance(rng, 0.5), pick(rng, {1.0: 45, 0.5: 25, 0.0: 30})
        draft.record["items"] = []
        templates = []
        for index, (base, unit, low, high) in enumerate(goods):
            path = f"items.{index}"
            name = (rng.choice(wording.QUALITIES) if chance(rng, 0.35) else "") + base
            name += f"{rng.choice('ABKTX')}{rng.randrange(1, 90)}0" if chance(rng, 0.12) else ""
            quantity = rng.choice((rng.randrange(1, 10), rng.randrange(1, 10), rng.randrange(10, 60), 50 * rng.randrange(1, 12)))  # fmt: skip
            item: dict[str, Any] = {"name": name, "quantity": quantity}
            draft.words[f"{path}.name"] = name
            draft.words[f"{path}.quantity"] = quantity_in_words(quantity) if chance(rng, 0.5) else str(quantity)
            template = self._item(path, unit, names_first, words=not draft.words[f"{path}.quantity"].isdigit())
            if chance(rng, priced):
                item["unit_price"], draft.words[f"{path}.unit_price"] = self._price(low, high)
                price = f"{{{path}.unit_price}}"
                template += rng.choice((f"，单价{price}", f"（{price}/{unit}）", f"，每{unit}{price}", f"，{price}一{unit}", f"（单价{price}）"))  # fmt: skip
            draft.record["items"].append(item)
            templates.append(template)
        joint = rng.choice(("；", "，", "；", "和" if len(goods) == 2 else "、", "，还有"))
        if form:
            joint = rng.choice(("；", "\n"))
        opening = "" if form else rng.choice(("要", "买", "订购", "订", "我要", "采购", "需要"))
        draft.parts["items"] = opening + joint.join(templates)

    def _item(self, path: str, unit: str, name_first: bool, *, words: bool) -> str:
        name, quantity = f"{{{path}.name}}", f"{{{path}.quantity}}"
        if not name_first:
            return f"{quantity}{unit}{name}"
        if words:
            return f"{name}{self.rng.choice(('', ' '))}{quantity}{unit}"
        return self.rng.choice((f"{name}{quantity}{unit}", f"{name} {quantity} {unit}", f"{name}x{quantity}", f"{name}*{quantity}"))  # fmt: skip

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
            return amount, money_in_words(amount, spoken=chance(rng, 0.5))
        digits = f"{amount:,}" if chance(rng, 0.5) else str(amount)
        return amount, rng.choice((f"{digits}元", f"{digits}元", f"¥{digits}", f"{digits}块", f"￥{digits}"))

    def _delivery(self, draft: Draft, form: bool) -> None:
        rng, kind = self.rng, "{delivery.kind}"
        if chance(rng, 0.35):
            store = f"{rng.choice((self.people.street(), self.people.estate()))}{rng.choice(('店', '分店', '门店'))}"
            draft.record["delivery"] = {"kind": "pickup", "store": store}
            draft.words |= {"delivery.kind": rng.choice(("自提", "自取", "自己拿", "自己取")), "delivery.store": store}
            templates = (f"{kind}，{{delivery.store}}", f"我去{{delivery.store}}{kind}", f"到{{delivery.store}}{kind}", f"{kind}（{{delivery.store}}）", f"{{delivery.store}}{kind}")  # fmt: skip
            draft.parts["delivery"] = rng.choice((templates[0], templates[3], templates[4]) if form else templates[:4])
            return
        address = self.people.address()
        draft.record["delivery"] = {"kind": "courier", "address": address}
        draft.words |= {
            "delivery.kind": rng.choice(("快递", "寄", "邮寄", "送货", "发货")),
            "delivery.address": address,
        }
        template = rng.choice((f"{kind}到{{delivery.address}}", f"请{kind}到{{delivery.address}}", f"{kind}，地址{{delivery.address}}", f"{kind}，收货地址：{{delivery.address}}"))  # fmt: skip
        if chance(rng, 0.6):
            phone = self.people.phone()
            draft.record["delivery"]["phone"] = phone
            gap = rng.choice((" ", " ", "-", ""))
            draft.words["delivery.phone"] = gap.join((phone[:3], phone[3:7], phone[7:]))
            template += rng.choice(("，电话{delivery.phone}", "，手机 {delivery.phone}", "，联系{delivery.phone}", " {delivery.phone}"))  # fmt: skip
        draft.parts["delivery"] = template

    def _extras(self, draft: Draft, form: bool) -> None:
        """What an order may leave out: priority, invoice, remarks."""
        rng = self.rng
        priority = pick(rng, {"urgent": 30, "flexible": 20, "normal": 50})
        wordings = {"urgent": wording.URGENT, "flexible": wording.FLEXIBLE, "normal": wording.NORMAL}[priority]
        if priority != "normal" or chance(rng, 0.2):
            draft.record["priority"] = priority
            self._state(draft, "priority", rng.choice(wordings))
        invoice = chance(rng, 0.4)
        if invoice or chance(rng, 0.35):
            draft.record["invoice_required"] = invoice
            self._state(draft, "invoice_required", rng.choice(wording.INVOICE if invoice else wording.NO_INVOICE))
            if invoice and chance(rng, 0.2):
                draft.parts["invoice_required"] += f"，抬头{self._company()}"
        if chance(rng, 0.4):
            clauses = rng.sample(wording.REMARKS, pick(rng, {1: 70, 2: 30}))
            remarks = fill("，".join(clauses), self.slots)
            draft.record["remarks"] = remarks
            self._state(draft, "remarks", remarks)
            if not form:
                draft.parts["remarks"] = (
                    f"{rng.choice(('备注：', '备注:', '备注 ', '留言：', 'PS：', '附言：'))}{{remarks}}"
                )

    def _state(self, draft: Draft, path: str, words: str) -> None:
        draft.words[path] = words
        draft.parts[path] = f"{{{path}}}"

    def _order_of_parts(self, draft: Draft) -> list[str]:
        paths = [path for path in ("customer", "order_date", "order_no", "items", "delivery", "priority", "invoice_required", "remarks") if path in draft.parts]  # fmt: skip
        if chance(self.rng, 0.4):
            self.rng.shuffle(paths)
        return paths

    def _form(self, draft: Draft) -> Iterator[str]:
        """One line a field, with labels."""
        colon = self.rng.choice(("：", "：", ":", " "))
        for number, path in enumerate(self._order_of_parts(draft)):
            start = "\n" if number else ""
            part = draft.parts[path]
            yield f"{start}{self.rng.choice(LABELS[path])}{chr(10) if path == 'items' and chr(10) in part else colon}{part}"
        if chance(self.rng, 0.2):
            yield "\n" + fill(self.rng.choice(wording.CHATTER), self.slots)

    def _message(self, draft: Draft) -> Iterator[str]:
        """Running text; a remark ends its sentence."""
        rng = self.rng
        parts: list[tuple[str, str]] = [(path, draft.parts[path]) for path in self._order_of_parts(draft)]
        if chance(rng, 0.3):
            parts.insert(rng.randrange(1, len(parts) + 1), ("", fill(rng.choice(wording.CHATTER), self.slots)))
        if chance(rng, 0.5):
            yield rng.choice(wording.GREETINGS)
        for number, (path, part) in enumerate(parts):
            yield part
            if number + 1 < len(parts):
                yield rng.choice(("。", "\n")) if path == "remarks" else self._pause(path, parts[number + 1][0])
        yield self._farewell()

    def _pause(self, path: str, following: str) -> str:
        if path == "items" or following == "remarks":
            return pick(self.rng, {"。": 70, "，": 15, "\n": 15})
        return pick(self.rng, {"，": 60, "。": 28, "；": 4, " ": 4, "\n": 4})

    def _farewell(self) -> str:
        ending = pick(self.rng, {"": 55, "。": 25, "！": 8, "。。": 4, "\n": 8}).rstrip("\n")
        return f"{ending or '。'}{self.rng.choice(wording.THANKS)}" if chance(self.rng, 0.3) else ending


def main(argv: Sequence[str] | None = None) -> None:
    """Write `train.jsonl`, `test.jsonl` and `schema.py` into a folder."""
    generator_command(generate, Path(__file__).with_name("schema.py"), argv)


if __name__ == "__main__":
    main()
