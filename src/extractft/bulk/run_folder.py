"""The directory of a bulk run: where its parts are, and how a shard with all that belongs to it gets there at once.

    run.json        input, extractor, settings          shards/part-00000.parquet   records
    summary.json    counts and rates                    failed/part-00000.jsonl     rows without a record
    state/          marks of shards that are done       review/part-00000.jsonl     records for a person to look over

A shard's files are published together in `state/pending-00000/`, then moved to their places, the mark last. A kill
before that leaves nothing, and what a kill leaves after it is moved by the next run: the same files in either case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from extractft.errors import BulkRunError, ConfigError
from extractft.storage import DirectoryInUse, file_digest, lock_directory, publish_text, published_directory
from extractft.storage.atomic import sync_directory

__all__ = ["FAILED", "REVIEW", "SHARDS", "FileWriter", "RunFolder"]

SHARDS, FAILED, REVIEW, STATE = "shards", "failed", "review", "state"
MANIFEST, SUMMARY = "run.json", "summary.json"
MARK = "mark.json"
OWN_ENTRIES = {
    STATE: re.compile(r"part-\d+\.json|pending-\d+|(texts|names)\.sqlite.*|query\.jsonl|\..*\.extractft-.*"),
    SHARDS: re.compile(r"part-\d+\.(parquet|jsonl)"),
    FAILED: re.compile(r"part-\d+\.jsonl"),
    REVIEW: re.compile(r"part-\d+\.jsonl"),
}
"""The directories of a run, in the order in which they are cleared, and the names of its files in them."""
BEFORE_MANIFEST = re.compile(r"(texts|names)\.sqlite.*|query\.jsonl")
"""Names in `state/` of what a kill may leave before there is a manifest."""
MARK_KEYS = frozenset({"attempt", "input", "rows", "places", "counts", "files"})
FileWriter = Callable[[Path], None]


class RunFolder:
    """The directory of a run.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: str | Path) -> None:
        if "\0" in os.fspath(path):
            raise ConfigError("expected the path of a directory for the run, found a zero character in it")
        self.path = Path(os.path.abspath(Path(path).expanduser()))
        self.manifest_path = self.path / MANIFEST
        self.summary_path = self.path / SUMMARY
        self.state = self.path / STATE
        self._sound: set[int] = set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the directory while the block runs.

        Raises:
            BulkRunError: Another run holds it, or it cannot be written.
        """
        try:
            with lock_directory(self.path):
                yield
        except DirectoryInUse as error:
            raise BulkRunError(f"{self.path} is in use by another run: {error.holder}.").hint(
                "Wait for it, or end that process; then the same command goes on with what is done."
            ) from error
        except FileExistsError as error:
            raise BulkRunError(f"Expected a directory for the run, found the file {self.path}.") from error

    def require_own(self) -> None:
        """Refuse a directory that holds files and no run.

        Raises:
            BulkRunError: There is something else in it.
        """
        if self.manifest_path.exists():
            return
        others = [*self._others()]
        if others:
            raise BulkRunError(f"Expected a new directory or one of a run, found {others[0]} in {self.path}.").hint(
                "Name another directory for the output."
            )

    def _others(self) -> Iterator[str]:
        """Names in a directory without a manifest that no killed run can have left there."""
        for entry in sorted(self.path.iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.name not in OWN_ENTRIES or not entry.is_dir():
                yield entry.name
                continue
            for inner in sorted(entry.iterdir()):
                left = entry.name == STATE and BEFORE_MANIFEST.fullmatch(inner.name)
                if not left and not inner.name.startswith("."):  # hidden files are in nobody's way
                    yield f"{entry.name}/{inner.name}"

    def require_outside(self, inputs: Sequence[Path]) -> None:
        """Refuse input that lies where the run writes.

        Raises:
            BulkRunError: A file does.
        """
        own = {Path(os.path.realpath(self.path / name)) for name in OWN_ENTRIES}
        for path in inputs:
            if own & {*Path(os.path.realpath(path)).parents}:
                raise BulkRunError(f"Expected input outside of the output, found {path.name} in {path.parent}.").hint(
                    "Name another directory for the output."
                )

    def clear(self) -> None:
        """Remove what an earlier run left; other files stay.

        Marks go first and the manifest last: a kill in between leaves a run with shards to do.
        """
        for name, own in OWN_ENTRIES.items():
            directory = self.path / name
            for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
                if own.fullmatch(entry.name):
                    _remove(entry)
        self.summary_path.unlink(missing_ok=True)
        self.manifest_path.unlink(missing_ok=True)
        self._sound.clear()

    def prepare(self) -> None:
        """Make the directories that shards go to."""
        for name in (SHARDS, FAILED, REVIEW, STATE):
            (self.path / name).mkdir(exist_ok=True)

    def write_json(self, path: Path, values: Mapping[str, Any]) -> None:
        """Publish JSON values."""
        publish_text(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")

    def read_json(self, path: Path) -> dict[str, Any]:
        """The JSON values of a file.

        Raises:
            BulkRunError: It is damaged.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BulkRunError(f"{path} cannot be read ({type(error).__name__}).").hint(
                "Start again in a new directory, or with force=True in this one."
            ) from error
        if not isinstance(values, dict):
            raise BulkRunError(f"{path} cannot be read: expected an object, found something else.").hint(
                "Start again in a new directory, or with force=True in this one."
            )
        return values

    # ------------------------------------------------------------------------------------------------------- shards

    def mark_path(self, number: int) -> Path:
        """The place of the mark of a shard that is done."""
        return self.state / f"part-{number:05d}.json"

    def marks(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The shards that are done, with their marks."""
        for number in _numbers(self.state, r"part-(\d+)\.json"):
            mark = self.mark(number)
            if mark is not None:
                yield number, mark

    def mark(self, number: int) -> dict[str, Any] | None:
        """The mark of a shard that is done; `None` if it is not, or if one of its files is gone or damaged."""
        path = self.mark_path(number)
        if not path.exists():
            return None
        try:
            mark = self.read_json(path)
        except BulkRunError:  # half a file: the shard is made again
            return None
        if not mark.keys() >= MARK_KEYS:
            return None
        if number not in self._sound and not self._is_whole(mark):
            return None
        self._sound.add(number)
        return mark

    def _is_whole(self, mark: Mapping[str, Any]) -> bool:
        """True if the files of a shard are as they were written; those for review may have been worked on."""
        for kind, name in mark["files"].items():
            path, known = self.path / name, mark.get("sums", {}).get(kind)
            if not path.is_file():
                return False
            if known is None or kind == REVIEW:
                continue
            if path.stat().st_size != known["size"] or file_digest(path) != known["sha256"]:
                return False
        return True

    def stage(self, number: int, mark: Mapping[str, Any], writers: Mapping[str, FileWriter]) -> None:
        """Publish the files of a shard and its mark beside their places, all or none; `move` brings them there.

        Args:
            number: The number of the shard.
            mark: What is known of it; its `files` say where the file of each writer belongs.
            writers: By name, what writes a file.

        Raises:
            OSError: Something cannot be written.
        """
        with published_directory(self._pending(number)) as directory:
            for name, write in writers.items():
                write(directory / name)
            sums = {name: _sum_of(directory / name) for name in writers}
            (directory / MARK).write_text(json.dumps({**mark, "sums": sums}, ensure_ascii=False) + "\n", "utf-8")

    def pending(self) -> list[int]:
        """The numbers of shards that are published beside their places."""
        return _numbers(self.state, r"pending-(\d+)")

    def pending_mark(self, number: int) -> dict[str, Any]:
        """The mark of a shard that is published beside its place, or of one that is in its place already."""
        for path in (self._pending(number) / MARK, self.mark_path(number)):
            if path.exists():
                return self.read_json(path)
        return {"attempt": -1}  # a kill while it was discarded

    def discard(self, number: int) -> None:
        """Remove what is published beside its place."""
        shutil.rmtree(self._pending(number))

    def move(self, number: int) -> None:
        """Move the files of a shard that is published beside their places; may be begun again after a kill."""
        pending = self._pending(number)
        if (pending / MARK).exists():
            mark = self.read_json(pending / MARK)
            for name in (SHARDS, FAILED, REVIEW):
                self._move_one(pending / name, mark["files"].get(name), number, name)
            os.replace(pending / MARK, self.mark_path(number))
            sync_directory(self.state)
        shutil.rmtree(pending)

    def _move_one(self, source: Path, target: str | None, number: int, name: str) -> None:
        """Move a file; where there is none now, remove that of an earlier try."""
        if target is None:
            for old in (self.path / name).glob(f"part-{number:05d}.*"):
                old.unlink()
        elif source.exists():
            os.replace(source, self.path / target)
        else:
            return
        sync_directory(self.path / name)

    def _pending(self, number: int) -> Path:
        return self.state / f"pending-{number:05d}"

    def clean_state(self, *, keep_rows: bool) -> None:
        """Remove what only an unfinished run needs, and rows of a database unless some may be decoded again."""
        for path in self.state.glob("texts.sqlite*"):
            path.unlink()
        if not keep_rows:
            self.rows_path.unlink(missing_ok=True)

    @property
    def rows_path(self) -> Path:
        """The rows of a database that the run is of, as JSONL."""
        return self.state / "query.jsonl"

    @property
    def scratch(self) -> Path:
        """A directory for what is read before it is known that the run begins."""
        return self.path / ".extractft-new"


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _numbers(directory: Path, pattern: str) -> list[int]:
    """The numbers in names of a directory that match a pattern whole."""
    found = (re.fullmatch(pattern, path.name) for path in directory.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _sum_of(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": file_digest(path)}
