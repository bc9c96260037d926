"""Atomic publication: write beside the target, flush to the disk, then rename.

A reader finds the old content or the new one, whole, even after a power cut. What a killed process left beside its
target is removed by the next publication of the same target. All functions raise plain `OSError`; the room that
publishes says what could not be written.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import stat
import sys
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["publish_bytes", "publish_text", "published_directory", "published_file", "sync_tree"]

RENAME_EXCHANGE = 2  # linux/fs.h
AT_FDCWD = -100  # fcntl.h: relative to the working directory
NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP})
"""How a kernel or a file system says that it cannot exchange two names."""


@contextmanager
def published_file(path: str | Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes otherwise.

    Args:
        path: The file to publish; one that is there is replaced, its permissions kept.
        mode: `"w"` or `"wb"`.
        **options: Passed to `open`, such as `encoding` and `newline`.

    Yields:
        The open file, which lies beside its place.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))  # a link stays a link
    remove_leftovers(target)
    partial = _beside(target)
    try:
        with partial.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
        os.replace(partial, target)
        sync_directory(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def publish_bytes(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with published_file(path) as file:
        file.write(content)


def publish_text(path: str | Path, content: str) -> None:
    r"""Write a text file in UTF-8, whole or not at all; lines end with `\n` on every system."""
    publish_bytes(path, content.encode("utf-8"))


@contextmanager
def published_directory(
    path: str | Path,
    *,
    keep: Callable[[Path], bool] = lambda entry: False,
    prepare: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
    """Fill a directory that takes the place of `path` when the block ends well, and vanishes otherwise.

    Permissions of what was written follow the umask, whatever the library that wrote it thinks. A directory that is
    there is replaced in one step where the system can exchange two names (Linux), else by two renames of which the
    next publication can undo the first.

    Args:
        path: The directory to publish.
        keep: True for an entry of the old directory that has to be in the new one as well. Entries that the block
            has written itself win.
        prepare: Called with the filled directory before it is flushed and published, for instance to hash it.

    Yields:
        The new directory, which lies beside its place.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    partial = _beside(target)
    partial.mkdir()
    try:
        yield partial
        if prepare is not None:
            prepare(partial)
        _usual_permissions(partial)
        sync_tree(partial)
        if target.is_dir():
            _carry_over(target, partial, keep)
            _exchange(partial, target)
        else:
            os.rename(partial, target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # an unfinished new one, or the old one


def sync_tree(directory: Path) -> None:
    """Flush all files of a directory to the disk, so that a power cut after the rename finds them whole."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_directory(path)
    sync_directory(directory)


def sync_directory(path: Path) -> None:
    """Flush the names in a directory; does nothing on Windows, where directories cannot be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes of this machine left beside `target`; a lost target is put back first.

    The target is lost only where two names cannot be exchanged and the process died between its two renames.
    """
    pattern = re.compile(rf"\.{re.escape(target.name)}\.extractft-{_host()}-(\d+)-[0-9a-f]{{8}}(\.old)?")
    try:
        found = [(entry, match) for entry in target.parent.iterdir() if (match := pattern.fullmatch(entry.name))]
    except OSError:  # no such directory, or not ours to read: there is nothing to remove
        return
    for entry, match in found:
        if _alive(int(match[1])):
            continue
        if match[2] and not target.exists():
            os.rename(entry, target)
        elif entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """A new hidden name beside `target` that says which process of which machine writes there."""
    return target.with_name(f".{target.name}.extractft-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


def _host() -> str:
    """This machine's name as eight hexadecimal digits, so that nobody removes what a machine beside writes."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _alive(pid: int) -> bool:
    """True if a process of that number runs."""
    if os.name == "nt":
        return True  # os.kill(pid, 0) would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _usual_permissions(directory: Path) -> None:
    """Give what libraries made for its owner alone the permissions that the umask gives everything else."""
    own = stat.S_IMODE(directory.stat().st_mode)  # made by mkdir: 0o777 less the umask
    for path in directory.rglob("*"):
        if not path.is_symlink():
            os.chmod(path, own if path.is_dir() else own & 0o666)


def _carry_over(old: Path, new: Path, keep: Callable[[Path], bool]) -> None:
    """Give the new directory the entries of the old one that it has to keep, as links to the same files."""
    for entry in old.iterdir():
        place = new / entry.name
        if not keep(entry) or place.exists() or place.is_symlink():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, place, symlinks=True, copy_function=_link)
        else:
            _link(str(entry), str(place))


def _link(source: str, target: str) -> None:
    """Make a hard link to a file, or a copy where the file system has none."""
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def _exchange(new: Path, target: Path) -> None:
    """Put `new` in the place of `target`, and what was there in the place of `new`."""
    if sys.platform == "linux" and _exchanged(new, target):
        return
    old = new.with_name(new.name + ".old")
    os.rename(target, old)
    try:
        os.rename(new, target)
    except OSError:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchanged(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where the kernel, the C library or the file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if renameat2(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))
