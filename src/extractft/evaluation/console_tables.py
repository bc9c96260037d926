"""Scores as tables for a terminal and for plain text. Knows the layout; computes nothing, shows no values."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from extractft.evaluation.metrics import Confusions, FieldScores, choice_text

__all__ = [
    "ROOT",
    "comparison_table",
    "confusion_table",
    "field_table",
    "floored",
    "interval",
    "number",
    "plain",
    "plural",
    "ratio_table",
    "records",
    "summary",
    "worst_fields",
]

ROOT = "(value)"
"""Shown as the path of a schema that is a single value, whose real path is empty."""
WORST = "◀ worst"
MOST_CONFUSED = 10
"""Pairs of choices that are listed in a terminal."""


def number(value: float | None) -> str:
    """A ratio with three decimals; a dash where there is none. What is neither 0 nor 1 is never shown as such."""
    if value is None or math.isnan(value):
        return "–"
    if 0.9995 <= value < 1:
        return ">0.999"
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def floored(value: float) -> str:
    """A lower bound with three decimals, rounded down: whoever uses the number shown keeps no less."""
    return f"{math.floor(1000 * value + 1e-9) / 1000:.3f}"


def plural(count: int, what: str) -> str:
    """A count of something, as a person says it."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def interval(bounds: tuple[float, float], rows: int) -> str:
    """A 95 % interval in words. Drawing anew from records that are all alike says nothing of other records."""
    low, high = bounds
    if rows == 1:
        return "one record gives no interval"
    if low == high:
        return "no interval: all records are alike"
    return f"95 % interval {number(low)} to {number(high)}"


def records(count: int) -> str:
    """A count of records, as a person says it."""
    return plural(count, "record")


def plain(renderable: RenderableType) -> str:
    """Text without colours, as wide as it has to be."""
    width = Console(width=10_000).measure(renderable).maximum
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def summary(lines: Iterable[tuple[str, str]]) -> Table:
    """Names and values, one a line."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(style="bold")
    for name, value in lines:
        grid.add_row(Text(name), Text(value))
    return grid


def field_table(fields: Mapping[str, FieldScores]) -> Table:
    """One row a field, in the order given; the lowest F1 is marked."""
    grounded = any(scores.ungrounded is not None for scores in fields.values())
    table = _table(
        "field",
        "support",
        "precision",
        "recall",
        "F1",
        "normalized",
        "wrong",
        "missed",
        "invented",
        *["ungrounded"] * grounded,
        "",
    )
    worst = worst_fields(fields)
    for path, scores in fields.items():
        counts = [scores.wrong, scores.missed, scores.invented, *[scores.ungrounded] * grounded]
        ratios = [scores.precision, scores.recall, scores.f1, scores.f1_normalized]
        mark = WORST if path in worst else ""
        table.add_row(
            Text(path or ROOT),
            str(scores.support),
            *map(number, ratios),
            *("–" if count is None else str(count) for count in counts),
            mark,
            style="red" if mark else None,
        )
    return table


def worst_fields(fields: Mapping[str, FieldScores]) -> list[str]:
    """The fields with the lowest F1, if that is below 1; of equal ones those with the most errors."""
    known = {path: (s.f1, -s.fp - s.fn) for path, s in fields.items() if s.f1 is not None and s.f1 < 1}
    lowest = min(known.values(), default=None)
    return [path for path, rank in known.items() if rank == lowest]


def confusion_table(tables: Mapping[str, Confusions]) -> Table | None:
    """The pairs of choices that are confused most often, over all fields; `None` if none are."""
    pairs = [(path, pair) for path, table in tables.items() for pair in table.wrong]
    if not pairs:
        return None
    pairs.sort(key=lambda entry: -entry[1].count)
    table = _table("choices confused", "gold", "prediction", "times")
    for path, pair in pairs[:MOST_CONFUSED]:
        table.add_row(
            Text(path or ROOT), Text(choice_text(pair.gold)), Text(choice_text(pair.prediction)), str(pair.count)
        )
    if len(pairs) > MOST_CONFUSED:
        rest = sum(pair.count for _, pair in pairs[MOST_CONFUSED:]) + sum(t.left_out for t in tables.values())
        table.add_row(Text("rarer ones"), "", "", str(rest))
    return table


def comparison_table(rows: Iterable[tuple[str, float | None, float | None]], names: Sequence[str], first: str) -> Table:
    """Two columns of ratios side by side, and how far the second is above the first."""
    table = _table(first, *names, "change")
    for path, before, after in rows:
        known = before is not None and after is not None
        change = after - before if before is not None and after is not None else 0.0
        style = "green" if change >= 0.0005 else "red" if change <= -0.0005 else None
        table.add_row(
            Text(path or ROOT), number(before), number(after), Text(f"{change:+.3f}" if known else "–", style or "")
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(Text(first), no_wrap=True)
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def ratio_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Columns of numbers, as they are."""
    table = _table(*names)
    for row in rows:
        table.add_row(*row)
    return table
