"""A file that is written piece by piece: readable all the time, kept if the run dies, published when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from extractft.storage.atomic import sync_directory
from extractft.storage.directory_lock import try_lock

__all__ = ["PartialFileExists", "partial_path", "streamed_file"]

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""Errors of a file system without hard links."""


class PartialFileExists(Exception):
    """The place for unfinished output is taken.

    Attributes:
        path: The unfinished file.
        in_use: True if another run is writing it, False if an interrupted one left it.
    """

    def __init__(self, path: Path, in_use: bool) -> None:
        super().__init__(f"{path} is being written by another run" if in_use else f"{path} was left by another run")
        self.path = path
        self.in_use = in_use

    def __reduce__(self) -> tuple[type[PartialFileExists], tuple[Path, bool]]:
        return type(self), (self.path, self.in_use)


def partial_path(path: str | Path) -> Path:
    """The place where the content of `path` is until it is complete."""
    target = _target(path)
    return target.with_name(target.name + ".partial")


@contextmanager
def streamed_file(path: str | Path, *, replace: bool) -> Iterator[IO[bytes]]:
    """Open `<path>.partial` for writing; it becomes `path` when the block ends well.

    If the block fails, the partial file stays unless it is empty, and a note on the exception says where it is. Of
    two runs with the same `path`, the second is refused while the first one writes.

    Args:
        path: The file to publish. A device or a pipe is written to directly.
        replace: Replace a file that is there, and a partial file that an interrupted run left.

    Yields:
        The open partial file, for bytes.

    Raises:
        PartialFileExists: Another run is writing there, or has left what it wrote and `replace` is off.
        FileExistsError: `path` exists and `replace` is off; found out at the end, the partial file stays.
        OSError: It cannot be written.
    """
    target = _target(path)
    if target.exists() and not target.is_file():
        with target.open("wb") as device:
            yield device
        return
    partial = partial_path(target)
    file = _claim(partial, replace=replace)
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        _publish(file, partial, target, replace=replace)
    except BaseException as error:
        with contextlib.suppress(OSError):
            file.flush()
        if partial.exists() and partial.stat().st_size:
            error.add_note(f"What was written so far is in {partial}")
        else:
            partial.unlink(missing_ok=True)
        raise
    finally:
        with contextlib.suppress(OSError):  # closing tries once more to write what a full disk did not take
            file.close()


def _target(path: str | Path) -> Path:
    return Path(os.path.realpath(Path(path).expanduser()))  # a link stays a link


def _claim(partial: Path, *, replace: bool) -> IO[bytes]:
    """Open the partial file, empty and locked."""
    file = partial.open("a+b")
    try:
        if not try_lock(file) or not _is_still(partial, file):
            raise PartialFileExists(partial, in_use=True)
        if os.fstat(file.fileno()).st_size and not replace:
            raise PartialFileExists(partial, in_use=False)
        file.seek(0)
        file.truncate()
    except BaseException:
        file.close()
        raise
    return file


def _is_still(partial: Path, file: IO[bytes]) -> bool:
    """True if the open file still has its name: another run may have published it between opening and locking."""
    try:
        return os.path.samestat(partial.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _publish(file: IO[bytes], partial: Path, target: Path, *, replace: bool) -> None:
    if os.name == "nt":
        file.close()  # open files cannot be renamed there
    if replace:
        if target.exists():
            os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
        os.replace(partial, target)
    else:
        _rename_to_new(partial, target)
    sync_directory(target.parent)


def _rename_to_new(partial: Path, target: Path) -> None:
    """Rename a file and fail if the new name is taken, which `os.rename` does not on every system."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        os.rename(partial, target)
    else:
        partial.unlink()
