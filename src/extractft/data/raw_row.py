"""A raw row on its way to becoming an example. Knows nothing else."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from extractft.errors import RowIssue

__all__ = ["InvalidRow", "RawRow", "RowFault", "RowIssue", "with_value_shown"]

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


@dataclass(frozen=True, slots=True)
class RowFault:
    """One thing that is wrong with a row whose number is not known here.

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
    """What is wrong with one row; caught inside this room, where the row's number is known."""

    def __init__(self, faults: Sequence[RowFault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(faults)

    @classmethod
    def one(cls, kind: str, message: str, field: str = "", value: Any = None) -> InvalidRow:
        """A problem that stands alone."""
        return cls([RowFault(kind, message, field, value)])

    def issues(self, row: int) -> list[RowIssue]:
        """The problems as issues of that row."""
        return [RowIssue(row, found.kind, found.message, found.field, value=found.value) for found in self.faults]


def with_value_shown(issue: RowIssue) -> RowIssue:
    """The issue with what was found in its message, shortened."""
    if issue.value is None:
        return issue
    return replace(issue, message=f"{issue.message}; found {SHORT.repr(issue.value)}")
