"""Check all paths of a command before any work: no file is both read and written, and none is lost.

Knows files and flags, not what a command does with them.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

import typer

from extractft.data.arrow_reader import is_saved_dataset
from extractft.storage import partial_paths

__all__ = ["STDOUT", "CommandPaths", "NamedPath", "file_path", "is_stdout", "user_path"]

STDOUT = Path("-")
STDOUT_NAMES = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})

Identity = tuple[Any, ...]
"""Equal for two names of one file: links, other ways of writing the path, other case."""


def user_path(text: str) -> Path:
    """A path as it was typed, `~` expanded.

    Raises:
        typer.BadParameter: It is empty, or the home directory is unknown.
    """
    if not text.strip():
        raise typer.BadParameter("expected a path, found an empty text")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text}: {error}") from error


def file_path(text: str) -> Path:
    """The path of a file to write; `-` is standard output.

    Raises:
        typer.BadParameter: It is empty or names a directory.
    """
    if text in STDOUT_NAMES:
        return STDOUT
    if text.endswith(("/", os.sep)):
        raise typer.BadParameter(f"expected a file, found the directory {text}")
    return user_path(text)


def is_stdout(path: Path | None) -> bool:
    """True if the path stands for standard output."""
    return path == STDOUT


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A path and the flag or argument that it was given by."""

    flag: str
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandPaths:
    """Paths that a command reads and writes, by flag; options that were not given are `None`.

    Attributes:
        inputs: Files, or folders of saved datasets, that have to be readable; `-` is standard input.
        sources: Files or directories that may be there, such as an extractor, a base model or a folder of data. They
            are checked when they are loaded.
        files: Files to write; `-` is standard output.
        directory: A directory that is published whole.
        work_dir: A directory that the command works in, which may hold an earlier run.
        force: Replace what exists.
    """

    inputs: Mapping[str, str | Path | Sequence[str | Path] | None] = field(default_factory=dict)
    sources: Mapping[str, str | Path | Sequence[str | Path] | None] = field(default_factory=dict)
    files: Mapping[str, Path | None] = field(default_factory=dict)
    directory: NamedPath | None = None
    work_dir: NamedPath | None = None
    force: bool = False

    def check(self) -> None:
        """Check the paths.

        Raises:
            typer.BadParameter: A file is missing, would be lost, or cannot be read or written.
        """
        inputs, sources = list(_named(self.inputs)), list(_named(self.sources))
        files = [NamedPath(flag, path) for flag, path in self.files.items() if path is not None]
        known = {_identity(place.path): place.flag for place in (*inputs, *sources) if place.path != STDOUT}
        if any(place.path == STDOUT for place in inputs):
            known |= dict(_stream_identity(sys.stdin, "standard input"))
        for place in inputs:
            if place.path != STDOUT:
                _require_readable(place)
        _check_stdout(known, [place.flag for place in files if is_stdout(place.path)])
        files = [place for place in files if not is_stdout(place.path)]
        directories = [place for place in (self.directory, self.work_dir) if place is not None]
        for place in (*files, *directories):
            _require_other(known, place)
        for place in files:
            _require_free_partials(known, place)
        for place in files:
            _check_file(place, force=self.force)
        for place in directories:
            _check_directory(place)
        if self.directory is not None and not self.force and _entries(self.directory):
            _refuse(self.directory, f"{self.directory.path} exists; --force replaces it")
        self._check_nesting([*inputs, *sources], [*files, *directories])

    def _check_nesting(self, read: Sequence[NamedPath], written: Sequence[NamedPath]) -> None:
        """Refuse outputs in directories that are read, and any path in the directory that is replaced."""
        for place in written:
            for source in read:
                if source.path.is_dir() and _within(place.path, source.path):
                    _refuse(place, f"{place.path} lies in {source.path} ({source.flag})")
        for place in (*read, *written):
            if self.directory and place is not self.directory and _within(place.path, self.directory.path):
                inner = f"{place.path} ({place.flag})"
                _refuse(self.directory, f"{inner} lies in {self.directory.path}, which is written as a whole")


def _named(values: Mapping[str, str | Path | Sequence[str | Path] | None]) -> Iterator[NamedPath]:
    """All paths that are read, with their flags."""
    for flag, value in values.items():
        paths: Iterable[str | Path] = [value] if isinstance(value, str | Path) else value or ()
        yield from (NamedPath(flag, user_path(str(path))) for path in paths)


def _check_stdout(known: dict[Identity, str], flags: Sequence[str]) -> None:
    """Refuse `>> texts.jsonl`, where the command would read what it writes, and two outputs in one stream."""
    if len(flags) > 1:
        raise typer.BadParameter("would both be written to standard output", param_hint=" and ".join(flags))
    for identity, name in _stream_identity(sys.stdout, "standard output"):
        if identity in known:
            raise typer.BadParameter(f"{name} is the same file", param_hint=known[identity])
        known[identity] = name


def _check_file(place: NamedPath, *, force: bool) -> None:
    status = _status(place)
    if status is not None and stat.S_ISDIR(status.st_mode):
        _refuse(place, f"expected a file, found the directory {place.path}")
    if status is not None and not stat.S_ISREG(status.st_mode):
        return  # a device or a pipe
    if status is not None and not force:
        _refuse(place, f"{place.path} exists; --force replaces it")
    parent = Path(os.path.realpath(place.path)).parent
    if not parent.is_dir():
        _refuse(place, f"there is no directory {parent} to write {place.path.name} in")
    _require_writable(place, parent)


def _check_directory(place: NamedPath) -> None:
    status, real = _status(place), Path(os.path.realpath(place.path))
    if status is not None and not stat.S_ISDIR(status.st_mode):
        _refuse(place, f"expected a directory, found the file {place.path}")
    if Path.cwd().is_relative_to(real):
        _refuse(place, f"{place.path} holds the directory that you are in; name a new one")
    above = next(parent for parent in (real, *real.parents) if os.path.lexists(parent))
    if not above.is_dir():
        _refuse(place, f"{above} is no directory")
    _require_writable(place, above)


def _refuse(place: NamedPath, message: str, cause: Exception | None = None) -> NoReturn:
    raise typer.BadParameter(message, param_hint=place.flag) from cause


def _status(place: NamedPath) -> os.stat_result | None:
    """The status of a path; `None` if it does not exist."""
    try:
        return place.path.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _refuse(place, f"{place.path}: {_reason(error)}", error)


def _entries(place: NamedPath) -> bool:
    """True if the path is a directory that is not empty."""
    try:
        return place.path.is_dir() and any(place.path.iterdir())
    except OSError as error:
        _refuse(place, f"{place.path}: {_reason(error)}", error)


def _require_readable(place: NamedPath) -> None:
    status = _status(place)
    if status is None:
        _refuse(place, f"no such file: {place.path}")
    if stat.S_ISDIR(status.st_mode) and not is_saved_dataset(place.path):
        _refuse(place, f"expected a file, found the directory {place.path}")
    if stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
        try:
            place.path.open("rb").close()
        except OSError as error:
            _refuse(place, f"{place.path} cannot be read: {_reason(error)}", error)


def _require_writable(place: NamedPath, directory: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        _refuse(place, f"{directory} cannot be written in: {_reason(error)}", error)


def _require_other(known: dict[Identity, str], place: NamedPath) -> None:
    """Refuse a path that is known already, and add it to the known ones."""
    status = _status(place)
    if status is not None and not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return  # any number of outputs may go to /dev/null
    identity = _identity(place.path)
    if identity in known:
        _refuse(place, f"{place.path} is {known[identity]} as well")
    known[identity] = place.flag


def _require_free_partials(known: dict[Identity, str], place: NamedPath) -> None:
    """Refuse an output whose unfinished file would have the name of another path, and add the names to the known."""
    status = _status(place)
    if status is not None and not stat.S_ISREG(status.st_mode):
        return  # a device has none
    for path in partial_paths(place.path):
        identity = _identity(path)
        owner = known.setdefault(identity, place.flag)
        if owner != place.flag or identity == _identity(place.path):
            _refuse(place, f"{path}, where unfinished output goes, is {owner} as well")


def _identity(path: Path) -> Identity:
    try:
        status = path.stat()
    except (OSError, ValueError):  # not there yet: names that differ in case alone are one file on many systems
        real = Path(os.path.realpath(path))
        above = () if real.parent == real else _identity(real.parent)
        return (*above, unicodedata.normalize("NFC", real.name).casefold())
    return status.st_dev, status.st_ino


def _stream_identity(stream: IO[Any] | None, name: str) -> Iterator[tuple[Identity, str]]:
    """The file that a standard stream is redirected to; none for a terminal, a pipe or a closed stream."""
    try:
        status = None if stream is None else os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no real stream
        return
    if status is not None and stat.S_ISREG(status.st_mode):
        yield (status.st_dev, status.st_ino), name


def _within(path: Path, directory: Path) -> bool:
    real, whole = Path(os.path.realpath(path)), Path(os.path.realpath(directory))
    return real != whole and real.is_relative_to(whole)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
