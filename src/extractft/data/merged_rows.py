"""Corrections merged into rows: by text, else by id; later ones win, and where two say different things it is listed.

Knows examples, their ids and numbers; quotes nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

from extractft.data.example import Example
from extractft.data.example_loader import LoadedExamples

__all__ = ["MergeConflict", "MergedRows", "merge_rows"]

T = TypeVar("T")
SHOWN = 10
REASONS = {
    "corrected_twice": "is corrected differently by an earlier row; this later one counts",
    "other_text": "has the id of row {row} and another text; it takes the place of that row",
    "other_row": "has the id of row {row} and the text of another; the text counts",
}


class MergeConflict(NamedTuple):
    """Two rows that do not agree.

    Attributes:
        kind: `corrected_twice`, two corrections of one row differ; `other_text`, a correction has the id of a row and
            another text; `other_row`, it has the id of one row and the text of another.
        number: The number of the correction among the corrections, the later one of two.
        row: The number of the row that it has to do with.
        id: The id, if it has one.
    """

    kind: Literal["corrected_twice", "other_text", "other_row"]
    number: int
    row: int
    id: str | None = None

    def __str__(self) -> str:
        name = "" if self.id is None else f" ({self.id})"
        return f"correction {self.number}{name} {REASONS[self.kind].format(row=self.row)}"


@dataclass(repr=False, slots=True)
class MergedRows(Generic[T]):
    """Rows with corrections in their places.

    Attributes:
        loaded: The rows: those that were there in their order, then new ones.
        changed: Rows that got another record.
        confirmed: Rows whose record was the same.
        added: Rows that are new.
        conflicts: Rows that do not agree.
    """

    loaded: LoadedExamples[T]
    changed: int = 0
    confirmed: int = 0
    added: int = 0
    conflicts: list[MergeConflict] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"MergedRows({self.summary})"

    @property
    def summary(self) -> str:
        """The counts in words."""
        rows = f"{self.changed} rows corrected, {self.confirmed} confirmed, {self.added} new"
        return f"{rows}, {len(self.conflicts)} conflicts"

    def lines(self) -> Iterator[str]:
        """The counts, and the first conflicts."""
        yield self.summary
        yield from (f"  {conflict}" for conflict in self.conflicts[:SHOWN])
        if len(self.conflicts) > SHOWN:
            yield f"  and {len(self.conflicts) - SHOWN} more"


def merge_rows(rows: LoadedExamples[T], corrections: LoadedExamples[T], same: Callable[[T, T], bool]) -> MergedRows[T]:
    """Put corrections into the places of the rows that they correct.

    Args:
        rows: The rows as they are.
        corrections: Corrected rows, later ones last.
        same: True if two records are equal.
    """
    merge = _Merge(rows, same)
    for place, example in enumerate(corrections.examples):
        merge.take(example, corrections.id_at(place), place + 1)
    return merge.result()


class _Merge(Generic[T]):
    """Rows that corrections are put into."""

    def __init__(self, rows: LoadedExamples[T], same: Callable[[T, T], bool]) -> None:
        self._same = same
        self._before = list(rows.examples)
        self._after: list[Example[T]] = list(rows.examples)
        self._numbers = list(rows.numbers)
        self._ids = [rows.id_at(place) for place in range(len(rows.examples))]
        self._by_text: dict[str, list[int]] = {}
        for place, example in enumerate(rows.examples):
            self._by_text.setdefault(example.text, []).append(place)
        self._by_id = {name: place for place, name in enumerate(self._ids) if name is not None}
        self._corrected: set[int] = set()
        self._conflicts: list[MergeConflict] = []

    def take(self, example: Example[T], name: str | None, number: int) -> None:
        """Put one correction into its place."""
        named = None if name is None else self._by_id.get(name)
        places = self._by_text.get(example.text, [])
        if named is not None and places and named not in places:
            self._conflicts.append(MergeConflict("other_row", number, self._numbers[named], name))
        elif named is not None and not places:
            self._conflicts.append(MergeConflict("other_text", number, self._numbers[named], name))
            places = [named]
        if not places:
            places = [self._add(name)]
            self._after.append(example)
        for place in places:
            twice = place in self._corrected and not self._same(self._after[place].output, example.output)
            if twice and place == places[0]:
                self._conflicts.append(MergeConflict("corrected_twice", number, self._numbers[place], name))
            self._after[place] = example
            self._corrected.add(place)
        self._by_text[example.text] = places

    def _add(self, name: str | None) -> int:
        place = len(self._after)
        self._numbers.append(max(self._numbers, default=0) + 1)
        self._ids.append(name)
        if name is not None:
            self._by_id[name] = place
        return place

    def result(self) -> MergedRows[T]:
        """The rows as they are now."""
        old = [place for place in sorted(self._corrected) if place < len(self._before)]
        confirmed = sum(self._same(self._before[place].output, self._after[place].output) for place in old)
        loaded = LoadedExamples(self._after, self._numbers, self._ids)
        added = len(self._after) - len(self._before)
        return MergedRows(loaded, len(old) - confirmed, confirmed, added, self._conflicts)
