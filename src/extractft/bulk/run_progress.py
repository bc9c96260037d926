"""Progress of a bulk run: counts, rates and the time left. Knows numbers; prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from extractft.bulk.row_result import RowResult

__all__ = ["ProgressListener", "RunProgress", "duration_words", "rate_words"]


@dataclass
class RunProgress:
    """Progress of a run.

    Attributes:
        total: Rows of the input.
        before: Rows that were done when this run began.
        done: Rows that are done, those before included.
        failed: Rows without a record.
        review: Records for a person to look over.
        tokens: Tokens decoded since this run began.
        started: When it began, by a clock that only goes forward.
    """

    total: int
    before: int = 0
    done: int = 0
    failed: int = 0
    review: int = 0
    tokens: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, result: RowResult, *, reused: bool, below: bool) -> None:
        """Count a result."""
        self.done += 1
        self.failed += bool(result.error)
        self.review += below
        self.tokens += 0 if reused else result.tokens

    @property
    def seconds(self) -> float:
        """Seconds since this run began."""
        return max(time.monotonic() - self.started, 1e-9)

    @property
    def rows_per_second(self) -> float:
        """Rows in a second since this run began."""
        return (self.done - self.before) / self.seconds

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate; `None` before the first row."""
        return (self.total - self.done) / self.rows_per_second if self.done > self.before else None

    def line(self) -> str:
        """The progress in one line."""
        left = self.seconds_left
        share = f"{self.review / self.done:.1%}" if self.done else "0.0%"
        return (
            f"{self.done}/{self.total} rows, {rate_words(self.done - self.before, self.seconds, 'row')}, "
            f"{self.tokens / self.seconds:.0f} tokens/s, "
            f"{self.failed} failed, {share} for review, {'?' if left is None else duration_words(left)} left"
        )


ProgressListener = Callable[[RunProgress], None]


def rate_words(count: int, seconds: float, unit: str) -> str:
    """A rate in words: pieces in a second, or seconds for a piece if it takes more than one."""
    if count == 0 or seconds <= count:
        return f"{count / max(seconds, 1e-9):.1f} {unit}s/s"
    return f"{seconds / count:.1f} s/{unit}"


def duration_words(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
