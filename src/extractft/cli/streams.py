"""Standard streams and output files: UTF-8 whatever the terminal's encoding, messages that can always be printed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import typer

from extractft.cli.command_paths import is_stdout
from extractft.storage import PartialFileExists, publish_text, streamed_file

__all__ = [
    "LineWriter",
    "advising_on_interrupt",
    "lines_to",
    "prepare_streams",
    "print_report",
    "say",
    "stdin_bytes",
    "write_out",
    "write_text",
]

LineWriter = Callable[[Mapping[str, Any]], None]
TABLE_WIDTH = 120


def prepare_streams() -> None:
    """Set standard output to UTF-8, and escape characters that the encoding of standard error does not have."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")


def say(message: str) -> None:
    """Print a line to standard error, if it is open."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a closed pipe, a closed stream, none at all
        sys.stderr.write(message + "\n")
        sys.stderr.flush()


def write_out(text: str) -> None:
    """Print to standard output.

    Raises:
        typer.BadParameter: It is closed.
    """
    if sys.stdout is None:
        raise typer.BadParameter("standard output is closed; name a file", param_hint="--output")
    sys.stdout.write(text)
    sys.stdout.flush()


def stdin_bytes() -> Any:
    """Standard input as a binary stream.

    Raises:
        typer.BadParameter: It is closed.
    """
    if sys.stdin is None:
        raise typer.BadParameter("standard input is closed; name a file", param_hint="TEXTS")
    return sys.stdin.buffer


def print_report(report: Any, *, aside: bool = False) -> None:
    """Print something that `rich` can print.

    Args:
        report: The object to print.
        aside: Print to standard error, because standard output carries data.
    """
    from rich.console import Console

    stream = sys.stderr if aside else sys.stdout
    if stream is not None:
        Console(file=stream, width=None if stream.isatty() else TABLE_WIDTH).print(report)  # the tables are wide
        stream.flush()


def write_text(path: Path, text: str) -> None:
    """Write a whole file at once, or to standard output."""
    if is_stdout(path):
        write_out(text)
    else:
        publish_text(path, text)


@contextmanager
def lines_to(path: Path | None, flag: str, *, force: bool) -> Iterator[LineWriter]:
    """Yield a function that writes an object as a line of JSON and flushes it.

    Args:
        path: The file, or `None` or `-` for standard output. Until it is complete, `<path>.partial` has the lines.
        flag: Its name in messages.
        force: Replace what exists.

    Raises:
        typer.BadParameter: Another run is writing there or was interrupted there, or it cannot be written.
    """
    if path is None or is_stdout(path):
        write_out("")
        yield lambda line: write_out(_json_line(line))
        return
    published = streamed_file(path, replace=force)
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(published)
        except PartialFileExists as error:
            raise typer.BadParameter(_taken(error), param_hint=flag) from error
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint=flag) from error

        def write(line: Mapping[str, Any]) -> None:
            file.write(_json_line(line).encode("utf-8", "backslashreplace"))
            file.flush()

        yield write


def _taken(error: PartialFileExists) -> str:
    if error.in_use:
        return f"{error.path} is being written by another run"
    if error.foreign:
        return f"{error.path} would be overwritten, and no run is known to have left it: move it away"
    return f"{error.path} has what an interrupted run wrote: move it away, or --force writes it anew"


def _json_line(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


@contextmanager
def advising_on_interrupt(advice: str) -> Iterator[None]:
    """Add advice for the user to an interruption, as a note."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(advice)
        raise
