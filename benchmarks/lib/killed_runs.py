"""Runs in forked processes that are killed from outside: anywhere, in a shard's write, in the manifest's.

What a kill fell into is read from the files that it left. Knows the names of a run's files; knows no extractors.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["KilledRun", "output_of", "run_in_fork"]

Aim = Literal["anywhere", "shard", "manifest"]
MARKS = {"shard": "/state/.pending-", "manifest": "/.run.json."}
"""Beginnings of the names beside their places under which a shard and the manifest are written."""
LONGEST_WRITE = {"shard": 0.02, "manifest": 0.002}
"""Seconds after the beginning of a write within which the kill comes."""


def output_of(folder: Path) -> dict[str, bytes]:
    """The content of all files of a run, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".extractft-lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def run_in_fork(
    work: Callable[[], Any], *, killer: Callable[[int, int], None] | None = None, watched: str = ""
) -> bool:
    """Do something in a forked process; False if it was killed.

    Args:
        work: The work.
        killer: Given the process and the end of a pipe, on which there is a byte once a watched file is begun.
        watched: What the name of a watched file contains.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if watched:
                _tell_of(watched, writer)
            work()
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    try:
        if killer is not None:
            killer(child, reader)
    finally:
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"a run ended with {status}")
    return status == 0


def _tell_of(watched: str, writer: int) -> None:
    """Write a byte when a file or directory of such a name is made in this process."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("open", "os.mkdir") and watched in str(args[0]):
            os.write(writer, b".")

    sys.addaudithook(hook)


@dataclass
class KilledRun:
    """A run that is killed a number of times, and goes on each time.

    Attributes:
        folder: Its directory.
        work: Begins it, or goes on with it.
        chance: Moments of the kills.
        seconds: A run takes so long if nobody stops it.
        start: Of these, what passes before anything is written.
        fell: Kills by what they fell into.
    """

    folder: Path
    work: Callable[[], Any]
    chance: random.Random
    seconds: float
    start: float
    fell: Counter[str] = field(default_factory=Counter)

    @property
    def kills(self) -> int:
        """Kills so far."""
        return sum(self.fell.values())

    def kill(self, kills: int) -> None:
        """Kill it so many times: one in ten in the manifest's write, four in ten in a shard's, all others anywhere."""
        for number in range(kills):
            aim: Aim = "manifest" if number < kills // 10 else "shard" if number % 2 else "anywhere"
            before = self._names()
            if self._finishes(aim, self.seconds / kills):
                print(f"through after {self.kills} kills", flush=True)
                return
            place = _place(self._names(), before)
            self.fell[place] += 1
            print(f"kill {self.kills}: {place}", flush=True)
            if aim == "manifest" and number + 1 < kills // 10:  # the next one is to have a manifest to write as well
                shutil.rmtree(self.folder, ignore_errors=True)

    def _finishes(self, aim: Aim, pace: float) -> bool:
        """True if the run is through before it can be killed."""
        wait = 0.0 if aim == "manifest" else self.start + self.chance.uniform(0, 1.6 * pace)

        def killer(child: int, reader: int) -> None:
            _until(lambda: _is_over(child), wait)
            if aim != "anywhere":
                while select.select([reader], [], [], 0)[0] and os.read(reader, 4096):
                    pass  # of writes before
                _until(lambda: _is_over(child) or bool(select.select([reader], [], [], 0.1)[0]), float("inf"))
                time.sleep(self.chance.uniform(0, LONGEST_WRITE[aim]))
            os.kill(child, signal.SIGKILL)

        return run_in_fork(self.work, killer=killer, watched="" if aim == "anywhere" else MARKS[aim])

    def _names(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*")}


def _place(names: set[str], before: set[str]) -> str:
    """What a kill fell into, by what it left; what an earlier one left may still be there."""
    new = names - before
    if any(f"/{name}".startswith(MARKS["manifest"]) for name in new):
        return "in the manifest's write"
    if "run.json" not in names:
        return "before the manifest"
    if any(f"/{name}".startswith(MARKS["shard"]) for name in new):
        return "in a shard's write"
    if any(name.startswith("state/pending-") for name in new):
        return "while a shard was moved to its place"
    return "elsewhere"


def _is_over(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for something, so long at most."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not true():
        time.sleep(min(left, 0.002 if seconds == float("inf") else 0.1))
