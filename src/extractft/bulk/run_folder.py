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
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from extractft.errors import BulkRunError
from extractft.storage import DirectoryInUse, lock_directory, publish_text, published_directory
from extractft.storage.atomic import sync_directory

__all__ = ["FAILED", "REVIEW", "SHARDS", "FileWriter", "RunFolder"]

SHARDS, FAILED, REVIEW, STATE = "shards", "failed", "review", "state"
MANIFEST, SUMMARY = "run.json", "summary.json"
MARK = "mark.json"
OWN = frozenset({SHARDS, FAILED, REVIEW, STATE, MANIFEST, SUMMARY})
FileWriter = Callable[[Path], None]


class RunFolder:
    """The directory of a run.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.abspath(Path(path).expanduser()))
        self.manifest_path = self.path / MANIFEST
        self.summary_path = self.path / SUMMARY
        self.state = self.path / STATE

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
        names = {entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")}
        others = sorted(names - OWN)
        if others:
            raise BulkRunError(f"Expected a new directory or one of a run, found {others[0]} in {self.path}.").hint(
                "Name another directory for the output."
            )

    def clear(self) -> None:
        """Remove what an earlier run left; other files stay. The manifest goes first: without it there is no run."""
        for name in (MANIFEST, SUMMARY, STATE, SHARDS, FAILED, REVIEW):
            entry = self.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

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
        return dict(values)

    # ------------------------------------------------------------------------------------------------------- shards

    def mark_path(self, number: int) -> Path:
        """The place of the mark of a shard that is done."""
        return self.state / f"part-{number:05d}.json"

    def mark(self, number: int) -> dict[str, Any] | None:
        """The mark of a shard that is done, `None` if it is not, or if one of its files is gone."""
        path = self.mark_path(number)
        if not path.exists():
            return None
        mark = self.read_json(path)
        return mark if all((self.path / name).exists() for name in mark["files"].values()) else None

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
            (directory / MARK).write_text(json.dumps(mark, ensure_ascii=False) + "\n", "utf-8")

    def pending(self) -> list[int]:
        """The numbers of shards that are published beside their places."""
        return sorted(int(path.name.rpartition("-")[2]) for path in self.state.glob("pending-*"))

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
