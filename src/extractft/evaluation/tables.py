"""How scores are shown in a terminal and in plain text. Knows how to lay out; computes nothing, shows no values."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from extractft.evaluation.scores import FieldScores

__all__ = [
    "ROOT",
    "comparison_table",
    "field_table",
    "number",
    "plain",
    "ratio_table",
    "records",
    "summary",
    "worst_field",
]

ROOT = "(value)"
"""Shown as the path of a schema that is a single value, whose real path is empty."""
WORST = "◀ worst"


def number(value: float | None) -> str:
    """A ratio with three decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def records(count: int) -> str:
    """How many records, as a person says it."""
    return f"{count} record" if count == 1 else f"{count} records"


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
    worst = worst_field(fields)
    for path, scores in fields.items():
        counts = [scores.wrong, scores.missed, scores.invented, *[scores.ungrounded] * grounded]
        ratios = [scores.precision, scores.recall, scores.f1, scores.f1_normalized]
        mark = WORST if path == worst else ""
        table.add_row(
            Text(path or ROOT),
            str(scores.support),
            *map(number, ratios),
            *("–" if count is None else str(count) for count in counts),
            mark,
            style="red" if mark else None,
        )
    return table


def worst_field(fields: Mapping[str, FieldScores]) -> str | None:
    """The field with the lowest F1, if one is below 1; of equal ones the one with the most errors."""
    known = [(s.f1, -s.fp - s.fn, path) for path, s in fields.items() if s.f1 is not None and s.f1 < 1]
    return min(known, key=lambda entry: entry[:2])[2] if known else None


def comparison_table(rows: Iterable[tuple[str, float | None, float | None]], names: Sequence[str], first: str) -> Table:
    """Two columns of ratios side by side, and how far the second is above the first."""
    table = _table(first, *names, "change")
    for path, before, after in rows:
        known = before is not None and after is not None
        change = after - before if before is not None and after is not None else 0.0
        style = "green" if change > 0 else "red" if change < 0 else None
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
