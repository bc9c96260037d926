"""Runs one program for as long as the process that started this one lives, however that ends.

A script of its own, `python supervisor.py PROGRAM ARGUMENT...`, which imports nothing of the package. Its standard
input is a pipe that the other process holds: when that is gone, cleanly or killed, the pipe ends, and the program with
all its children is ended. Knows processes and signals only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE = 10.0
"""Seconds between asking the program to end and ending it."""
PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """Ask Linux to end the program should this supervisor itself be killed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and the processes that it started, kindly at first."""
    for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def _end_with_pipe(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    _end(process)


def main(command: Sequence[str]) -> int:
    """Run the program until it ends or the pipe does; its exit status."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_parent)
    signal.signal(signal.SIGTERM, lambda number, frame: _end(process))
    threading.Thread(target=_end_with_pipe, args=(process,), daemon=True).start()
    status = process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # children that outlive it
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
