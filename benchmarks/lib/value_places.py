"""Places of values in their texts: gold values, similar against absent values, and the time.

    python benchmarks/trust.py places snips_restaurant citations
    python benchmarks/trust.py similar snips_restaurant citations
    python benchmarks/trust.py lookup-speed

*Places*: generators know where each value stands; the rows of other sets only say the values. Their values were cut out
of the text side by side, so that the places are known where just one way of laying them out without overlaps exists.
*Similar*: values with typing errors, which should be found at their place, and values of other rows that the text does
not have, which should not be found at all.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractft.grounding import Span, ground
from extractft.grounding.fuzzy_search import find_similar
from extractft.schema import Schema
from extractft.text.folding import fold, fold_value
from lib.letters import Letter, generate_letters
from lib.tasks import HELP, add_data_argument, find_set, load_generator, load_module

THRESHOLDS = (0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
CHINESE = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方"
LATIN = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Row:
    """A text, its canonical record, and the places of its values as far as they are known."""

    text: str
    value: Any
    places: Mapping[str, tuple[int, int]]


def generated(name: str, count: int, seed: int) -> tuple[Schema[Any], list[Row]]:
    """Rows of a generator, which knows all places."""
    if name == "letters":
        make, type_ = generate_letters, Letter
    else:
        module = load_generator(name)
        make, type_ = module.generate, module.SCHEMA
    schema: Schema[Any] = Schema.of(type_)
    return schema, [Row(e.text, schema.canonical_value(e.output), e.spans) for e in make(count, seed=seed)]


def read(folder: Path) -> tuple[Schema[Any], list[Row]]:
    """The test rows of a set of flat records, with the places that there is no doubt about."""
    module = load_module(folder / "schema.py")
    schema: Schema[Any] = Schema.of(module.Record)
    rows = []
    for line in (folder / "test.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        value = schema.canonical_value(schema.parse_value(row["output"]))
        rows.append(Row(row["text"], value, only_layout(row["text"], value)))
    return schema, rows


def only_layout(text: str, value: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """The places of all values that do not overlap, if there is one way to have them; else nothing."""
    options = {path: [p for p in occurrences(text, found) if bounded(text, *p)] for path, found in value.items()}
    paths = sorted(options, key=lambda path: len(options[path]))
    layouts: list[dict[str, tuple[int, int]]] = []

    def extend(index: int, chosen: dict[str, tuple[int, int]]) -> None:
        if len(layouts) > 1:
            return
        if index == len(paths):
            layouts.append(dict(chosen))
            return
        for start, end in options[paths[index]]:
            if all(end <= other[0] or other[1] <= start for other in chosen.values()):
                extend(index + 1, chosen | {paths[index]: (start, end)})

    if all(len(places) < 12 for places in options.values()):
        extend(0, {})
    return layouts[0] if len(layouts) == 1 else {}


def occurrences(text: str, value: str) -> Iterator[tuple[int, int]]:
    start = text.find(value)
    while start >= 0:
        yield start, start + len(value)
        start = text.find(value, start + 1)


def bounded(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before.isalnum() and text[start].isalnum()) and not (after.isalnum() and text[end - 1].isalnum())


# ------------------------------------------------------------------------------------------------------------ places


def places(args: argparse.Namespace) -> None:
    """Print for every set how often the first span is the right place, a wrong one, or missing."""
    print("| set | values | of these in several places | right place | wrong place | none |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in ("complaints", "letters", "orders"):
        schema, rows = generated(name, args.rows or 1000, args.seed)
        if name == "orders":
            print_places("orders, copied", schema, rows, keep=lambda path, _: path.split(".")[-1] not in CONVERTED)
            print_places("orders, numbers", schema, rows, keep=lambda path, _: path.split(".")[-1] in NUMBERS)
            print_places(
                "orders, dates", schema, rows, keep=lambda path, place: path == "order_date" and len(place) > 2
            )
        else:
            print_places(name, schema, rows)
    for name in args.sets:
        print_places(name, *read(find_set(name, args.data)))


NUMBERS = ("quantity", "unit_price")
CONVERTED = (*NUMBERS, "order_date", "kind", "priority", "invoice_required")


def print_places(
    name: str, schema: Schema[Any], rows: list[Row], keep: Callable[[str, str], bool] = lambda path, place: True
) -> None:
    counts: Counter[str] = Counter()
    for row in rows:
        found = ground(schema, row.value, row.text)
        for path, (start, end) in row.places.items():
            if path in found and keep(path, row.text[start:end]):
                counts["values"] += 1
                counts["several"] += len(found[path]) > 1
                counts[verdict(found[path], start, end, inside=name.startswith("orders, "))] += 1
    shares = (f"{counts[key] / counts['values']:.2%} ({counts[key]})" for key in ("right", "wrong", "none"))
    print("|", name, "|", counts["values"], "|", counts["several"], "|", " | ".join(shares), "|")


def verdict(spans: tuple[Span, ...], start: int, end: int, *, inside: bool) -> str:
    """Converted values may be a part of the wording: the number without its 元."""
    if not spans:
        return "none"
    first = spans[0]
    same = (first.start, first.end) == (start, end) or (inside and start <= first.start and first.end <= end)
    return "right" if same else "wrong"


# ----------------------------------------------------------------------------------------------------------- similar


def similar(args: argparse.Namespace) -> None:
    """Print by threshold how many misspelled and absent values are found."""
    rng = random.Random(args.seed)
    sets = {"complaints": generated("complaints", args.rows or 400, args.seed)[1]}
    sets |= {name: read(find_set(name, args.data))[1] for name in args.sets}
    print("| set | values | looked up | " + " | ".join(f"from {threshold}" for threshold in THRESHOLDS) + " |")
    print("| --- " * (3 + len(THRESHOLDS)) + "|")
    for name, rows in sets.items():
        for kind in ("one error", "an error in ten", "an error in five", "a word left out"):
            print_similar(name, kind, list(misspelled(rows, kind, rng)))
        print_similar(name, "absent", list(absent(rows, rng)))


Result = tuple[float, bool]
"""Similarity of the place that was found (0: none), and True if it is the right one."""


def misspelled(rows: list[Row], kind: str, rng: random.Random) -> Iterator[Result]:
    for row in rows:
        text = fold(row.text)
        for path, (start, end) in row.places.items():
            value = fold_value(spoiled(row.value[path], kind, rng))
            if value and value not in text.text:
                yield look_up(text, value, start, end)


def absent(rows: list[Row], rng: random.Random) -> Iterator[Result]:
    """Values of the same field of other rows."""
    fields: dict[str, list[str]] = {}
    for row in rows:
        for path, value in row.value.items():
            fields.setdefault(path, []).append(value)
    for row in rows:
        text = fold(row.text)
        for path in row.value:
            for other in rng.choices(fields[path], k=3):
                value = fold_value(other)
                if value and value not in text.text:
                    yield look_up(text, value, 0, 0)


def look_up(text: Any, value: str, start: int, end: int) -> Result:
    found = find_similar(text, value, least=min(THRESHOLDS))
    if found is None:
        return 0.0, False
    common = min(found.end, end) - max(found.start, start)
    return found.similarity, common / (max(found.end, end) - min(found.start, start)) > 0.8


def spoiled(value: str, kind: str, rng: random.Random) -> str:
    """A value with errors in it."""
    if kind == "a word left out":
        words = value.split(" ")
        if len(words) > 2:
            del words[rng.randrange(len(words))]
        return " ".join(words)
    letters, chars = LATIN if value.isascii() else CHINESE, list(value)
    every = {"one error": len(chars), "an error in ten": 10, "an error in five": 5}[kind]
    for _ in range(max(1, round(len(chars) / every))):
        at, edit = rng.randrange(len(chars)), rng.random()
        if edit < 0.5:
            chars[at] = rng.choice(letters)
        elif edit < 0.75 and len(chars) > 1:
            del chars[at]
        else:
            chars.insert(at, rng.choice(letters))
    return "".join(chars)


def print_similar(name: str, kind: str, results: list[Result]) -> None:
    cells = []
    for threshold in THRESHOLDS:
        found = [right for score, right in results if score >= threshold]
        share = len(found) / max(1, len(results))
        cells.append(
            f"{share:.2%}" if kind == "absent" else f"{share:.0%} ({sum(found) / max(1, len(found)):.1%} right)"
        )
    print("|", name, "|", kind, "|", len(results), "|", " | ".join(cells), "|")


# ------------------------------------------------------------------------------------------------------------- speed


def speed(args: argparse.Namespace) -> None:
    """Print milliseconds for records of generated texts, and for 20 values in 20,000 characters."""
    for name in ("complaints", "letters", "orders"):
        schema, rows = generated(name, args.rows or 300, args.seed)
        start = time.process_time()
        for row in rows:
            ground(schema, row.value, row.text)
        print(f"{name}: {(time.process_time() - start) / len(rows) * 1000:.2f} ms a record")
    rng = random.Random(args.seed)
    for name in ("complaints", "letters"):
        text = "\n".join(row.text for row in generated(name, args.rows or 300, args.seed)[1])[:20_000]
        starts = [rng.randrange(len(text) - 40) for _ in range(20)]
        values = {
            "exact": [text[start : start + 30].strip() for start in starts],
            "another case and spacing": [" ".join(text[start : start + 30].swapcase().split()) for start in starts],
            "misspelled": [spoiled(text[start : start + 30].strip(), "an error in ten", rng) for start in starts],
        }
        for kind, found in values.items():
            schema = Schema.of(list[str])
            best = min(timed(schema, found, text) for _ in range(5))
            print(f"20 values in 20,000 characters of {name}, {kind}: {best:.1f} ms")


def timed(schema: Schema[Any], value: Any, text: str) -> float:
    start = time.process_time()
    ground(schema, value, text)
    return 1000 * (time.process_time() - start)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add the three measurements as subcommands."""
    for name, measure in (("places", places), ("similar", similar), ("lookup-speed", speed)):
        description = (measure.__doc__ or "").strip()
        parser = commands.add_parser(name, help=description, description=description)
        parser.set_defaults(run=measure)
        parser.add_argument("sets", metavar="SET", nargs="*", help=HELP)
        add_data_argument(parser)
        parser.add_argument("--rows", type=int, default=None, help="generated rows of each set")
        parser.add_argument("--seed", type=int, default=11)
