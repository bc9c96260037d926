"""Invented English letters of which the place of every value is known, with values that occur more than once.

The name stands in the greeting of a bystander and in the signature, house numbers are quantities as well, items repeat,
dates and prices are written in several ways. What counts: the name in the signature, the first of the two dates of an
order, each item where it is ordered.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random

from pydantic import BaseModel

from complaints.generation import GeneratedExample, TextBuilder, chance, distinct

FIRST = ("Ann", "Robert", "Maria", "James", "Olga", "Peter", "Zoë", "Seán", "Ingrid", "Tom")
LAST = ("Lee", "Smith", "Young", "Walker", "O'Neill", "Brown", "Müller", "Hill", "Price", "Park")
STREETS = ("Elm Street", "Walker Road", "Park Lane", "Mill Hill", "Station Road", "High Street", "Oak Avenue")
TOWNS = ("Springfield", "Hill Valley", "Oakham", "Newtown", "Milton")
GOODS = ("desk lamp", "tea cups", "garden chair", "paper", "lamp", "ink", "oak shelf", "tea")
SMALL = "one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
OPENINGS = ("Dear sirs", "Hello", "To whom it may concern", "Good morning")
TALK = (
    "My neighbour says that {bystander} had the same trouble in March.",
    "I have called {count} times already.",
    "{bystander} of number {count} will confirm this.",
    "Nobody answered for {count} days.",
    "As I told {bystander} on the phone, this is urgent.",
)


class Line(BaseModel):
    """One ordered item."""

    item: str
    quantity: int
    price: Decimal | None = None


class Letter(BaseModel):
    """An order by letter."""

    name: str
    address: str
    email: str | None = None
    ordered_on: date
    lines: list[Line]


def generate_letters(n: int, *, seed: int) -> list[GeneratedExample[Letter]]:
    """Invent `n` letters with their records."""
    rng = Random(seed)
    return distinct(lambda: _letter(rng), n)


def _letter(rng: Random) -> GeneratedExample[Letter]:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    name, count = f"{first} {last}", rng.randrange(1, 13)
    house = count if chance(rng, 0.5) else rng.randrange(1, 200)
    address = f"{house} {rng.choice(STREETS)}, {rng.choice(TOWNS)} {rng.randrange(10000, 99999)}"
    day = date(2023, 1, 1) + timedelta(rng.randrange(1000))
    record: dict[str, object] = {"name": name, "address": address, "ordered_on": day, "lines": []}
    words = {"name": name, "address": address, "ordered_on": _day_in_words(day, rng)}
    if chance(rng, 0.7):
        record["email"] = words["email"] = f"{first}.{last}@example.com".lower().replace("'", "")
    templates = [_line(rng, index, record, words, count) for index in range(rng.randrange(1, 4))]
    bystander = name if chance(rng, 0.3) else f"{rng.choice(FIRST)} {rng.choice(LAST)}"
    talk = rng.choice(TALK).format(bystander=bystander, count=rng.randrange(2, 13))
    signature = ["{name}", "{address}", *(["{email}"] if "email" in words else [])]
    builder = TextBuilder()
    builder.write(f"{rng.choice(OPENINGS)},\n\n")
    body = ["On {ordered_on} I ordered " + ", ".join(templates) + ".", talk]
    body.append(f"My {rng.randrange(1, 5)} last orders arrived within {rng.randrange(2, 9)} days.")
    if chance(rng, 0.3):
        rng.shuffle(body)
    builder.write(" ".join(body) + "\n\nYours,\n" + "\n".join(signature), words)
    return GeneratedExample(builder.text, Letter.model_validate(record), builder.spans)


def _line(rng: Random, index: int, record: dict[str, object], words: dict[str, str], count: int) -> str:
    lines = record["lines"]
    assert isinstance(lines, list)
    again = bool(lines) and chance(rng, 0.25)
    item = lines[0]["item"] if again else rng.choice(GOODS)
    quantity = count if chance(rng, 0.5) else rng.randrange(1, 13)
    line = {"item": item, "quantity": quantity}
    words[f"lines.{index}.item"] = item
    words[f"lines.{index}.quantity"] = SMALL[quantity - 1] if chance(rng, 0.4) else str(quantity)
    template = f"{{lines.{index}.quantity}} {{lines.{index}.item}}"
    if chance(rng, 0.6):
        price = Decimal(rng.randrange(100, 200000)).scaleb(-2)
        line["price"] = price
        words[f"lines.{index}.price"] = rng.choice((f"{price:,}", str(price)))
        template += f" at ${{lines.{index}.price}}"
    lines.append(line)
    return template


def _day_in_words(day: date, rng: Random) -> str:
    month = MONTHS[day.month - 1]
    forms = (
        day.isoformat(),
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month} {day.year}",
        f"{month[:3]}. {day.day}, {day.year}",
        f"{day.month}/{day.day}/{day.year}",
    )
    return rng.choice(forms)
