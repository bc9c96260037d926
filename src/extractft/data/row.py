"""A raw row on its way to becoming an example. Knows nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from extractft.errors import RowIssue

__all__ = ["Row", "RowIssue", "RowProblem"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was found.

    Attributes:
        number: As a person counts, from 1; for JSONL and plain text the line.
        value: Whatever stood there.
    """

    number: int
    value: Any


class RowProblem(Exception):
    """What is wrong with one row; caught inside this room, where the row's number is known.

    Attributes:
        problems: Kind, message and field of each `RowIssue` to be.
    """

    def __init__(self, problems: Sequence[tuple[str, str, str]]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = tuple(problems)

    @classmethod
    def one(cls, kind: str, message: str, field: str = "") -> RowProblem:
        """A problem that stands alone."""
        return cls([(kind, message, field)])

    def issues(self, row: int) -> list[RowIssue]:
        """The problems as issues of that row."""
        return [RowIssue(row, kind, message, field) for kind, message, field in self.problems]
