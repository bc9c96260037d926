"""Generate Chinese orders: lists, numbers, dates, a union, and values that do not stand in the text as such.

    python examples/orders/generate.py --train 200 --test 60 --out outputs/orders --seed 0

Everything is invented. What counts as what:

- Names, addresses, order numbers and remarks are copied; a remark ends before the closing punctuation.
- Quantities and prices become numbers: 两台 -> 2, 1,280.50元 -> 1280.50, 三百二十块 -> 320, 二十九块五 -> 29.5.
- The order date becomes an ISO date from any form, such as 二〇二六年五月一日. Where the year is missing, it is the
  one that the text states elsewhere; 昨天 and 前天 count from the day that the text calls today.
- Telephone numbers keep their digits only.
- The wording decides on the priority, the invoice and the way of delivery.
- Totals, dates of arrival, earlier purchases, other companies and goods that are not wanted belong to no field.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples import shared modules by folder

from complaints.generation import (
    GeneratedExample,
    TextBuilder,
    chance,
    distinct,
    generator_command,
    pick,
)

import wording
from schema import Order
from statements import Draft, Statements

SCHEMA = Order
MIN_LENGTH, MAX_LENGTH = 60, 220


def generate(n: int, *, seed: int) -> list[GeneratedExample[Order]]:
    """Invent `n` orders with their records; all texts differ.

    Args:
        n: Number of examples.
        seed: The same seed gives the same examples; a larger `n` goes on where a smaller one stopped.

    Raises:
        MissingDependencyError: Faker is not installed.
    """
    return distinct(OrderWriter(seed).draw, n)


class OrderWriter:
    """Invents one order after the other."""

    def __init__(self, seed: int) -> None:
        self.statements = Statements(seed)
        self.rng = self.statements.rng

    def draw(self) -> GeneratedExample[Order]:
        """The next order of the right length."""
        while True:
            draft = self.statements.draft(form=chance(self.rng, 0.3))
            builder = TextBuilder()
            for piece in self._form(draft) if draft.form else self._message(draft):
                builder.write(piece, draft.words)
            if MIN_LENGTH <= len(builder.text) <= MAX_LENGTH:
                return GeneratedExample(builder.text, Order.model_validate(draft.record), builder.spans)

    def _fields(self, draft: Draft) -> list[str]:
        """The fields that are stated, in the order of the text."""
        fields = ["customer", "order_date", "order_no", "items", "delivery", "priority", "invoice_required", "remarks"]
        stated = [path for path in fields if path in draft.parts]
        if chance(self.rng, 0.4):
            self.rng.shuffle(stated)
        return stated

    def _form(self, draft: Draft) -> Iterator[str]:
        """One line a field, with labels; several items may have a line each."""
        colon = self.rng.choice(("：", "：", ":", " "))
        lines = [
            self.rng.choice(wording.LABELS[path]) + ("\n" if "\n" in draft.parts[path] else colon) + draft.parts[path]
            for path in self._fields(draft)
        ]
        if chance(self.rng, 0.2):
            lines.append(self.statements.chatter(draft))
        yield "\n".join(lines)

    def _message(self, draft: Draft) -> Iterator[str]:
        """Running text; a remark ends its sentence."""
        rng = self.rng
        parts = [(path, draft.parts[path]) for path in self._fields(draft)]
        if chance(rng, 0.3):
            parts.insert(rng.randrange(1, len(parts) + 1), ("chatter", self.statements.chatter(draft)))
        if chance(rng, 0.5):
            yield rng.choice(wording.GREETINGS)
        for number, (path, part) in enumerate(parts):
            if number:
                yield self._pause(parts[number - 1][0], path)
            yield part
        yield pick(rng, {"": 55, "。": 30, "！": 10, "。。": 5})
        if chance(rng, 0.3):
            yield pick(rng, {"\n": 60, " ": 20, "。": 20}) + rng.choice(wording.THANKS)

    def _pause(self, before: str, after: str) -> str:
        if before == "remarks":
            return pick(self.rng, {"。": 60, "\n": 40})
        if "items" in (before, after) or after == "remarks":
            return pick(self.rng, {"。": 70, "，": 15, "\n": 15})
        return pick(self.rng, {"，": 60, "。": 28, "；": 4, " ": 4, "\n": 4})


def main(argv: Sequence[str] | None = None) -> None:
    """Write `train.jsonl`, `test.jsonl` and `schema.py` into a folder."""
    generator_command(generate, Path(__file__).with_name("schema.py"), argv)


if __name__ == "__main__":
    main()
