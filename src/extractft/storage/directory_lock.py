"""An exclusive lock on a directory for as long as a process works in it; the system drops it when the process dies."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

__all__ = ["LOCK_FILE", "DirectoryInUse", "lock_directory", "try_lock"]

LOCK_FILE = ".extractft-lock"
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL})
"""Errors of a file system without locks (some of those that clusters share)."""


class DirectoryInUse(Exception):
    """Another run holds the directory.

    Attributes:
        path: The directory.
        holder: Who holds it, for a message: process, machine and since when.
    """

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is in use by {holder}")
        self.path = path
        self.holder = holder

    def __reduce__(self) -> tuple[type[DirectoryInUse], tuple[Path, str]]:
        return type(self), (self.path, self.holder)


@contextmanager
def lock_directory(path: str | Path) -> Iterator[None]:
    """Hold a directory exclusively while the block runs; it is made if it is not there.

    The lock is the system's (`flock`, or `msvcrt` on Windows) on a small file in the directory, which says who holds
    it. A killed process leaves the file and not the lock. Threads of one process exclude each other as well. On a file
    system without locks nobody is excluded.

    Raises:
        DirectoryInUse: Another run holds it.
        OSError: The directory cannot be written.
    """
    directory = Path(path).expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK_FILE).open("a+b") as file:
        if not try_lock(file):
            raise DirectoryInUse(directory, _holder(file))
        try:
            file.truncate(0)
            me = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            file.write(json.dumps(me).encode())
            file.flush()
            yield
        finally:
            _unlock(file)


def _holder(file: IO[bytes]) -> str:
    """The writer of the lock file, in words for a message."""
    try:
        file.seek(0)
        values = json.loads(file.read())
        return f"process {values['pid']} on {values['host']} since {values['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 20  # the lock is on a byte behind the content, which others may read

    def try_lock(file: IO[bytes]) -> bool:
        """Lock an open file until it is closed; False if another run holds it."""
        try:
            file.seek(FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[bytes]) -> bool:
        """Lock an open file until it is closed; False if another run holds it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        return True

    def _unlock(file: IO[bytes]) -> None:
        with suppress(OSError):  # closing the file does it as well
            fcntl.flock(file, fcntl.LOCK_UN)
