"""Progress of long commands on standard error: a bar on a terminal, a line every half minute in a log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from extractft.bulk.run_progress import duration_words
from extractft.cli.streams import say
from extractft.processes import fork_safe_lock

__all__ = ["ProgressReport", "reporting", "show_log_lines"]

LOG_SECONDS = 30.0
BAR_SECONDS = 0.2
SHORTEST_TICK = 0.05


class _LogLines(logging.Handler):
    """Prints what is logged as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        say(record.getMessage())


def show_log_lines(name: str) -> None:
    """Print the progress that a module logs, with lines of other commands."""
    logger = logging.getLogger(name)
    if not any(isinstance(handler, _LogLines) for handler in logger.handlers):
        logger.addHandler(_LogLines())
        logger.setLevel(logging.INFO)


class ProgressReport:
    """Shows how far a command is.

    Args:
        bar: The bar of a terminal, `None` for lines in a log.
    """

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar
        self._task: Any = None
        self._next = time.monotonic() + (0.0 if bar is not None else LOG_SECONDS)
        self._lock = fork_safe_lock()
        self._over = threading.Event()
        self._line: Callable[[], str] | None = None

    def begin(self, what: str) -> None:
        """Say what the command begins with, and from now on show a line on time even if no piece gets done.

        Args:
            what: In words, such as `loading the model`.
        """
        begun, in_bar = time.monotonic(), self._bar is not None
        self._line = lambda: f"{what} ... {duration_words(time.monotonic() - begun)}"
        if in_bar:
            self.show(what, 0, None)
        else:
            say(f"{what} ...")
            threading.Thread(target=self._show_on_time, name="extractft-progress", daemon=True).start()

    def end(self) -> None:
        """Show nothing more."""
        self._over.set()

    def follow(self, line: Callable[[], str]) -> None:
        """Show this line from now on when it is time; it is asked for from another thread."""
        self._line = line

    def _show_on_time(self) -> None:
        while not self._over.wait(max(LOG_SECONDS / 30, SHORTEST_TICK)):
            with self._lock:
                if self.is_due and self._line is not None and not self._over.is_set():
                    say(self._line())
                    self._next = time.monotonic() + LOG_SECONDS

    @property
    def is_due(self) -> bool:
        """True if something should be shown now; asked often."""
        return time.monotonic() >= self._next

    def show(self, line: str, done: int, total: int | None) -> None:
        """Show the progress.

        Args:
            line: In words.
            done: Pieces that are done.
            total: All pieces, `None` if nobody knows.
        """
        if self._bar is None:
            with self._lock:
                say(line)
                self._next = time.monotonic() + LOG_SECONDS
            return
        if self._task is None:
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done, total=total, description=line)
        self._next = time.monotonic() + BAR_SECONDS


@contextmanager
def reporting(*, beside_records: bool = False) -> Iterator[ProgressReport]:
    """Yield a report for the terminal or the log that standard error is.

    Args:
        beside_records: True if records go to the same terminal, where a bar would come in between.
    """
    if sys.stderr is None or not sys.stderr.isatty() or beside_records:
        with _ended(ProgressReport()) as report:
            yield report
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=20), TextColumn("{task.description}", markup=False))
    with (
        Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar,
        _ended(ProgressReport(bar)) as report,
    ):
        yield report


@contextmanager
def _ended(report: ProgressReport) -> Iterator[ProgressReport]:
    """The report, which shows nothing more afterwards."""
    try:
        yield report
    finally:
        report.end()
