"""The entry point `main`: UTF-8, quiet libraries, and an exit code and a message for each end of a command.

Exit codes: 0 done; 1 an error, with a message on stderr; 2 wrong usage; 3 done, but some rows failed, the data has
errors or a verification found differences; 130 and 143 stopped by Ctrl-C or SIGTERM; 141 the reader of the output went
away. Records go to stdout or to a file, everything else to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from types import FrameType
from typing import NoReturn

from extractft.cli import (
    convert_command,
    data_commands,
    doctor_command,
    documents_command,
    evaluate_commands,
    export_commands,
    extract_command,
    label_command,
    review_commands,
    run_command,
    select_command,
    serve_command,
    train_commands,
)
from extractft.cli.app import Stopped, app
from extractft.cli.error_messages import error_text, with_flags
from extractft.cli.progress_report import show_log_lines
from extractft.cli.streams import prepare_streams, say
from extractft.errors import ExtractFTError
from extractft.storage import DirectoryInUse

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    convert_command,
    data_commands,
    doctor_command,
    documents_command,
    evaluate_commands,
    export_commands,
    extract_command,
    label_command,
    review_commands,
    run_command,
    select_command,
    serve_command,
    train_commands,
)
"""Modules whose commands register with `app` when they are imported."""

INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command like Ctrl-C."""


def main() -> None:
    """Run the command line."""
    prepare_streams()
    _quiet_libraries()
    show_log_lines("extractft.training.callbacks")
    show_log_lines("extractft.extractor.preflight")
    ours, hook = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, sys.excepthook
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except Stopped as stop:
        _end_stopped(stop.__cause__ or stop)
    except KeyboardInterrupt as interrupt:  # before or after the command itself
        _end_stopped(interrupt)
    except (ExtractFTError, DirectoryInUse, OSError) as error:
        say(error_text(error))
        raise SystemExit(1) from None
    finally:
        sys.excepthook = hook  # typer leaves its own
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the second time at once
    raise Terminated


def _end_stopped(cause: BaseException) -> NoReturn:
    """Print the notes that say where the work is, and exit with the code that shells expect."""
    if isinstance(cause, BrokenPipeError):
        code = READER_GONE
        _discard_stdout()
    else:
        code = TERMINATED if isinstance(cause, Terminated) else INTERRUPTED
        say("Terminated." if code == TERMINATED else "Interrupted.")
    for note in getattr(cause, "__notes__", ()):
        say(with_flags(note))
    raise SystemExit(code) from None


def _discard_stdout() -> None:
    """Redirect standard output to nowhere, so that the interpreter can flush it without an error."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


def _quiet_libraries() -> None:
    """Silence warnings of other libraries that a user of the command line cannot act on."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # without it, a warning at every fork
    if not sys.warnoptions:
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"transformers|peft|accelerate|torch\.utils")
