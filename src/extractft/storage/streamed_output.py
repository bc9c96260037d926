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

__all__ = ["PartialFileExists", "partial_path", "partial_paths", "streamed_file"]

ENDING = ".partial"

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""Errors of a file system without hard links."""


class PartialFileExists(Exception):
    """The place for unfinished output is taken.

    Attributes:
        path: The unfinished file.
        in_use: True if another run is writing it.
        foreign: True if nothing shows that an interrupted run left it: a link, or a file of somebody's own. It is not
            replaced by any means.
    """

    def __init__(self, path: Path, in_use: bool = False, foreign: bool = False) -> None:
        left = "is not known to be left by a run" if foreign else "was left by another run"
        super().__init__(f"{path} {'is being written by another run' if in_use else left}")
        self.path = path
        self.in_use = in_use
        self.foreign = foreign and not in_use

    def __reduce__(self) -> tuple[type[PartialFileExists], tuple[Path, bool, bool]]:
        return type(self), (self.path, self.in_use, self.foreign)


def partial_path(path: str | Path) -> Path:
    """The place where the content of `path` is until it is complete."""
    target = _target(path)
    return target.with_name(target.name + ENDING)


def partial_paths(path: str | Path) -> tuple[Path, Path]:
    """All names beside `path` that are written until it is complete."""
    partial = partial_path(path)
    return partial, _own_name(partial)


@contextmanager
def streamed_file(path: str | Path, *, replace: bool) -> Iterator[IO[bytes]]:
    """Open `<path>.partial` for writing; it becomes `path` when the block ends well.

    If the block fails, the partial file stays unless it is empty, and a note on the exception says where it is. Of
    two runs with the same `path`, the second is refused while the first one writes. A partial file has a second, hidden
    name beside it, by which the next run knows it; a link or a file without it is never replaced.

    Args:
        path: The file to publish. A device or a pipe is written to directly.
        replace: Replace a file that is there, and a partial file that an interrupted run left.

    Yields:
        The open partial file, for bytes.

    Raises:
        PartialFileExists: Another run is writing there, or has left what it wrote and `replace` is off; or a link or
            a file that no run is known to have left has that name.
        FileExistsError: `path` exists and `replace` is off; found out at the end, the partial file stays.
        OSError: It cannot be written.
    """
    target = _target(path)
    if target.exists() and not target.is_file():
        with target.open("wb") as device:
            yield device
        return
    partial, own = partial_paths(target)
    file = _claim(partial, replace=replace)
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
        ours = _is_at(own, file)
        _publish(file, partial, target, replace=replace)
        if ours:
            own.unlink(missing_ok=True)
    except BaseException as error:
        if _keep_if_written(file, partial, own):
            error.add_note(f"What was written so far is in {partial}")
        raise
    finally:
        with contextlib.suppress(OSError):  # closing tries once more to write what a full disk did not take
            file.close()


def _keep_if_written(file: IO[bytes], partial: Path, own: Path) -> bool:
    """Keep what a failed block wrote, and remove an empty file; true if something is kept."""
    with contextlib.suppress(OSError):
        file.flush()
    if file.closed:
        return False
    if os.fstat(file.fileno()).st_size:
        return True
    _unlink_if_at(partial, file)
    _unlink_if_at(own, file)
    return False


def _target(path: str | Path) -> Path:
    return Path(os.path.realpath(Path(path).expanduser()))  # a link stays a link


def _own_name(partial: Path) -> Path:
    """A second, hidden name of a partial file: only what has it is known to be ours."""
    return partial.with_name(f".{partial.name.removesuffix(ENDING)}.extractft-partial")


def _claim(partial: Path, *, replace: bool) -> IO[bytes]:
    """Make the partial file anew and lock it; nothing that is there is ever opened for writing or truncated."""
    own = _own_name(partial)
    _remove_leftover(partial, own, replace=replace)
    try:
        file = _open(own, os.O_CREAT | os.O_EXCL)
    except FileExistsError as error:
        raise PartialFileExists(partial, in_use=True) from error
    try:
        if not try_lock(file) or not _is_at(own, file):
            raise PartialFileExists(partial, in_use=True)
        try:
            os.link(own, partial)
        except FileExistsError as error:
            raise PartialFileExists(partial, foreign=True) from error
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            file = _claim_without_links(partial, own, file)
    except BaseException:
        _unlink_if_at(own, file)
        file.close()
        raise
    return file


def _claim_without_links(partial: Path, own: Path, file: IO[bytes]) -> IO[bytes]:
    """The partial file under its one name; what an interrupted run leaves cannot be told from other files then."""
    try:
        only = _open(partial, os.O_CREAT | os.O_EXCL)
    except FileExistsError as error:
        raise PartialFileExists(partial, foreign=True) from error
    _unlink_if_at(own, file)
    file.close()
    if not try_lock(only):
        only.close()
        raise PartialFileExists(partial, in_use=True)
    return only


def _remove_leftover(partial: Path, own: Path, *, replace: bool) -> None:
    """Remove what an interrupted run left.

    Raises:
        PartialFileExists: It is in use, must not be replaced, or is not known to be ours.
    """
    if not os.path.lexists(own):
        if os.path.lexists(partial):
            raise PartialFileExists(partial, in_use=_is_locked(partial), foreign=True)
        return
    if not stat.S_ISREG(own.lstat().st_mode):
        raise PartialFileExists(own, foreign=True)
    with _open(own) as file:
        if not try_lock(file) or not _is_at(own, file):
            raise PartialFileExists(partial, in_use=True)
        status = os.fstat(file.fileno())
        beside = os.path.lexists(partial)
        if beside and not _is_at(partial, file):
            raise PartialFileExists(partial, foreign=True)
        if status.st_size and not replace and (beside or status.st_nlink == 1):
            raise PartialFileExists(partial if beside else own)
        if os.name == "nt":
            file.close()  # open files cannot be removed there
        if beside:
            partial.unlink()
        own.unlink()


def _open(path: Path, flags: int = 0) -> IO[bytes]:
    """Open a file for reading and writing; a link is not followed."""
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, os.O_RDWR | flags | safe, 0o666), "r+b")


def _is_locked(path: Path) -> bool:
    """True if a file with one name is being written by another run."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with _open(path) as file:
            return not try_lock(file)
    except OSError:
        return False


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """True if the open file has this name: another run may have published it between opening and locking."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except (OSError, ValueError):  # no such name, or the file is closed
        return False


def _unlink_if_at(path: Path, file: IO[bytes]) -> None:
    if _is_at(path, file):
        if os.name == "nt":
            file.close()
        path.unlink(missing_ok=True)


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
