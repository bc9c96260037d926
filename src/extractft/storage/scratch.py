"""Temporary directories that do not stay behind when their process is killed.

The name of each says which process of which machine made it. SIGTERM removes those of the process before it ends; what
SIGKILL or a power cut leaves is removed by the next process that makes one.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from extractft.processes import fork_safe_lock
from extractft.storage.atomic import host_mark, is_abandoned
from extractft.storage.directory_lock import DirectoryInUse, lock_directory

__all__ = ["scratch_directory"]

_lock = fork_safe_lock()
_live: set[Path] = set()
"""The directories of this process that are in use."""


@contextmanager
def scratch_directory(prefix: str) -> Iterator[Path]:
    """Make a directory for temporary files, readable by its owner alone, that is gone when the block ends.

    Args:
        prefix: Begin of its name. Directories of dead processes whose names begin so are removed first.

    Raises:
        OSError: It cannot be made.
    """
    owner = os.getpid()
    with _lock:  # another thread must not find what is made and not yet noted
        _remove_abandoned(Path(tempfile.gettempdir()), prefix)
        directory = Path(tempfile.mkdtemp(prefix=f"{prefix}{host_mark()}-{owner}-"))
        _live.add(directory)
    try:
        with _removed_at_sigterm():
            yield directory
    finally:
        _live.discard(directory)
        if owner == os.getpid():  # not in a fork that leaves the block
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _removed_at_sigterm() -> Iterator[None]:
    """Remove the live directories on SIGTERM, if nobody else handles it and this thread may say who does."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    """Remove what this process has made, then end as the signal would have ended it."""
    for directory in tuple(_live):
        shutil.rmtree(directory, ignore_errors=True)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _remove_abandoned(place: Path, prefix: str) -> None:
    """Remove this user's directories of dead processes of this machine that nobody has locked."""
    pattern = re.compile(rf"{re.escape(prefix)}{host_mark()}-(\d+)-\w+")
    try:
        found = [(entry, match) for entry in place.iterdir() if (match := pattern.fullmatch(entry.name))]
    except OSError:
        return
    for entry, match in found:
        if not is_abandoned(int(match[1]), in_use=entry in _live) or not _is_own_directory(entry):
            continue
        try:
            with lock_directory(entry):
                pass
        except DirectoryInUse:
            continue
        except OSError:  # a full disk, for one; the process is gone all the same
            pass
        shutil.rmtree(entry, ignore_errors=True)


def _is_own_directory(path: Path) -> bool:
    """True if it is a directory of this user's, and no link to one."""
    try:
        owner = path.lstat().st_uid
    except OSError:
        return False
    return path.is_dir() and not path.is_symlink() and (not hasattr(os, "getuid") or owner == os.getuid())


def _leave_to_parent() -> None:
    """A fork has made none of the directories; SIGTERM ends it as it ends any process."""
    _live.clear()
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
