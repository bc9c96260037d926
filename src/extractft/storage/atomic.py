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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

__all__ = [
    "host_mark",
    "is_abandoned",
    "publish_bytes",
    "publish_text",
    "published_directory",
    "published_file",
    "remove_leftovers",
    "remove_tree",
    "restore_lost",
    "sync_tree",
]

RENAME_EXCHANGE = 2  # linux/fs.h
AT_FDCWD = -100  # fcntl.h: relative to the working directory
NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP})
"""Errors of kernels and file systems that cannot exchange two names."""
NO_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM})
"""Errors of file systems on which a directory cannot be flushed, or not by this user."""
LONGEST_NAME = 120
"""Bytes of a target's name that a name beside it repeats; file systems allow 255 for the whole."""
in_progress: set[str] = set()
"""Names beside targets that this process writes to at the moment. A number says little of a process that is always
number 1, as in a container."""


@contextmanager
def published_file(path: str | Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` when the block ends well, and vanishes otherwise.

    Args:
        path: The file to publish; one that is there is replaced, its permissions kept. A device or a pipe is written
            to and not replaced.
        mode: `"w"` or `"wb"`.
        **options: Passed to `open`, such as `encoding` and `newline`.

    Yields:
        The open file, which lies beside its place.

    Raises:
        OSError: It cannot be written.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))  # a link stays a link
    if target.exists() and not target.is_file():
        with target.open(mode, **options) as file:
            yield file
        return
    remove_leftovers(target)
    with _beside(target) as partial:
        with partial.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
        os.replace(partial, target)
        sync_directory(target.parent)


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

    Permissions of what was written follow the umask, whatever the library that wrote it thinks; a directory that is
    replaced keeps its own. It is replaced in one step where the system can exchange two names (Linux), else by two
    renames of which `restore_lost` and the next publication undo the first.

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
    with _beside(target) as partial:
        partial.mkdir()
        if target.is_dir():  # what lies in a private directory is not shown while it is made
            os.chmod(partial, stat.S_IMODE(partial.stat().st_mode & target.stat().st_mode) | stat.S_IRWXU)
        yield partial
        if prepare is not None:
            prepare(partial)
        _apply_umask(partial)
        sync_tree(partial)
        if target.is_dir():
            _replace_directory(target, partial, keep)
        else:
            os.rename(partial, target)
        sync_directory(target.parent)


def restore_lost(path: str | Path) -> None:
    """Put back a directory that a killed process had moved away and not yet replaced; nothing else is touched.

    Call it where a directory is expected and not there. Errors of the file system are left to whoever opens it.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    for entry, pid, is_old in _leftovers(target):
        if is_old and not _writing(entry.name, pid):
            _put_back(entry, target)


def _replace_directory(target: Path, partial: Path, keep: Callable[[Path], bool]) -> None:
    """Exchange `partial` and `target`, after the entries to keep are carried over."""
    _carry_over(target, partial, keep)
    os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
    inside = _working_directory_below(target)
    _exchange(partial, target)
    if inside is not None:
        os.chdir(target / inside)
    with suppress(OSError):
        _carry_over(partial, target, keep)  # what came into the old directory meanwhile


def sync_tree(directory: Path) -> None:
    """Flush all files of a directory to the disk, so that a power cut after the rename finds them whole."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("r+b" if os.name == "nt" else "rb") as file:  # Windows flushes what is open for writing
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_directory(path)
    sync_directory(directory)


def sync_directory(path: Path) -> None:
    """Flush the names in a directory, where the system and the file system can."""
    if os.name == "nt":  # directories cannot be opened there
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            raise


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes of this machine left beside `target`; a lost target is put back first.

    The target is lost only where two names cannot be exchanged and the process died between its two renames.
    """
    for entry, pid, is_old in _leftovers(target):
        if _writing(entry.name, pid) or (is_old and _put_back(entry, target)):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.unlink(missing_ok=True)


def remove_tree(directory: Path) -> None:
    """Delete a directory, which loses its name first, so that no reader finds a part of it.

    What a kill leaves is a leftover like any other.
    """
    with _beside(directory) as doomed:
        os.rename(directory, doomed)


def is_abandoned(pid: int, *, in_use: bool) -> bool:
    """True if what a process of this machine made is nobody's any more.

    Args:
        pid: The process that made it.
        in_use: Whether this process uses it, should the number be its own.
    """
    return not in_use if pid == os.getpid() else not _alive(pid)


def host_mark() -> str:
    """This machine's name as it stands in names of files."""
    return _host()


class _Leftover(NamedTuple):
    """An entry beside a target that an interrupted publication may have left.

    Attributes:
        entry: Its path.
        pid: The process that made it.
        is_old: True if it is the old target, which was moved away.
    """

    entry: Path
    pid: int
    is_old: bool


def _leftovers(target: Path) -> list[_Leftover]:
    """The entries beside `target` that publications of it have made."""
    pattern = re.compile(rf"\.{re.escape(_short(target.name))}\.extractft-{_host()}-(\d+)-[0-9a-f]{{8}}(\.old)?")
    try:
        entries = list(target.parent.iterdir())
    except OSError:  # no such directory, or not ours to read
        return []
    found = [(entry, pattern.fullmatch(entry.name)) for entry in entries]
    return [_Leftover(entry, int(match[1]), match[2] is not None) for entry, match in found if match]


def _put_back(entry: Path, target: Path) -> bool:
    """Rename a target that was moved away back; False if there is a new one, or renaming fails."""
    if target.exists() or target.is_symlink():
        return False
    try:
        os.rename(entry, target)
    except OSError:
        return False
    return True


def _writing(name: str, pid: int) -> bool:
    """True while the process that made a name beside a target may still be at work there."""
    return not is_abandoned(pid, in_use=name.removesuffix(".old") in in_progress)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A new hidden path beside `target`, marked with machine and process; removed at the end."""
    partial = target.with_name(f".{_short(target.name)}.extractft-{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    in_progress.add(partial.name)
    try:
        yield partial
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)  # an unfinished new directory, or the old one
        else:
            partial.unlink(missing_ok=True)
        in_progress.discard(partial.name)


def _short(name: str) -> str:
    """A name, shortened to a prefix and a check sum if it is long."""
    content = os.fsencode(name)
    if len(content) <= LONGEST_NAME:
        return name
    return f"{content[:40].decode(errors='ignore')}~{zlib.crc32(content):08x}"


def _working_directory_below(target: Path) -> Path | None:
    """The working directory relative to `target`, if it is in there: a process must not end up in a removed one."""
    try:
        return Path.cwd().relative_to(target)
    except (ValueError, OSError):
        return None


def _host() -> str:
    """A hash of this machine's name: on a shared disk, another machine's files are not removed."""
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


def _apply_umask(directory: Path) -> None:
    """Apply the umask to files that libraries made readable for their owner alone."""
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
    """Exchange two directories, by a system call or else by renaming."""
    if sys.platform == "linux" and _exchanged(new, target):
        return
    old = new.with_name(new.name + ".old")
    try:
        os.rename(target, old)
        os.rename(new, target)
    except BaseException:  # Ctrl-C between the two as well
        if old.exists():
            _put_back(old, target)
        raise
    os.rename(old, new)


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
