"""The entry point: UTF-8, quiet libraries, and an exit code and a message for every way a command can end.

Exit codes: 0 done; 1 an error, with a message on stderr; 2 wrong usage; 3 done, but some rows failed or the data has
errors; 130 and 143 stopped by Ctrl-C or SIGTERM; 141 the reader of the output went away. Records go to stdout or to a
file, everything else to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from types import FrameType
from typing import NoReturn

from extractft.cli import data_commands, evaluate_commands, extract_command, train_commands
from extractft.cli.app import Stopped, app
from extractft.cli.flags import error_text, in_flags
from extractft.cli.streams import prepare_streams, say
from extractft.errors import ExtractFTError
from extractft.storage import DirectoryInUse

__all__ = ["COMMANDS", "main"]

COMMANDS = (data_commands, evaluate_commands, extract_command, train_commands)
"""Modules that have hung their commands on `app`."""

INTERRUPTED, READER_GONE, TERMINATED = 130, 141, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


def main() -> None:
    """Run the command line."""
    prepare_streams()
    _quiet_libraries()
    ours = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
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
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the second time at once
    raise Terminated


def _end_stopped(cause: BaseException) -> NoReturn:
    """Say where the work is, and exit as the shell expects."""
    if isinstance(cause, BrokenPipeError):
        code = READER_GONE
        _drop_stdout()
    else:
        code = TERMINATED if isinstance(cause, Terminated) else INTERRUPTED
        say("Terminated." if code == TERMINATED else "Interrupted.")
    for note in getattr(cause, "__notes__", ()):
        say(in_flags(note))
    raise SystemExit(code) from None


def _drop_stdout() -> None:
    """Let the interpreter flush what nobody reads to nowhere, without a complaint."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


def _quiet_libraries() -> None:
    """Silence what other libraries say on a good run and a user of a command cannot act on."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # without it, a warning at every fork
    if not sys.warnoptions:
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"transformers|peft|accelerate|torch\.utils")
