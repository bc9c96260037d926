"""Raw rows, and the faults found in them, on the way to becoming examples. Knows no formats and no schema."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from extractft.errors import RowIssue

__all__ = [
    "InvalidRow",
    "NumberedText",
    "RawExample",
    "RawRow",
    "RawTable",
    "RowFault",
    "RowIssue",
    "numbered_rows",
    "with_value_shown",
]

SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 100


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it was found.

    Attributes:
        number: Its number in its own file, see `RowIssue.row`; in memory the first is 1.
        value: Whatever stood there.
    """

    number: int
    value: Any


class RawTable(NamedTuple):
    """A table as it was found.

    Attributes:
        columns: The names of its columns.
        rows: The rows as mappings, read lazily; an issue in place of a row that cannot be read.
    """

    columns: tuple[str, ...]
    rows: Iterable[RawRow | RowIssue]


class RawExample(NamedTuple):
    """A row taken apart, neither half validated yet.

    Attributes:
        text: The text to extract from.
        output: The record, in whatever form the row has it.
    """

    text: Any
    output: Any


class NumberedText(NamedTuple):
    """A line of a file, or the text of a row, with its number.

    Attributes:
        number: As in `RawRow`.
        text: The text, or the issue that explains why there is none.
    """

    number: int
    text: str | RowIssue


@dataclass(frozen=True, slots=True)
class RowFault:
    """One fault of a row whose number is not known here.

    Attributes:
        kind: As in `RowIssue`, and so are the others.
        message: Quotes no value.
        field: Path to the field.
        value: What was found.
    """

    kind: str
    message: str
    field: str = ""
    value: Any = None


class InvalidRow(Exception):
    """The faults of one row; caught inside this room, where the row's number is known."""

    def __init__(self, faults: Sequence[RowFault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(faults)

    @classmethod
    def one(cls, kind: str, message: str, field: str = "", value: Any = None) -> InvalidRow:
        """A row with a single fault."""
        return cls([RowFault(kind, message, field, value)])

    def issues(self, row: int) -> list[RowIssue]:
        """The faults as issues of that row."""
        return [RowIssue(row, found.kind, found.message, found.field, value=found.value) for found in self.faults]


def numbered_rows(values: Iterable[Any]) -> Iterator[RawRow]:
    """Number values from 1."""
    return (RawRow(number, value) for number, value in enumerate(values, 1))


def with_value_shown(issue: RowIssue) -> RowIssue:
    """The issue, with the value that was found quoted in its message, shortened."""
    if issue.value is None:
        return issue
    return replace(issue, message=f"{issue.message}; found {SHORT.repr(issue.value)}")
