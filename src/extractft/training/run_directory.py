"""The output directory of one run: begun, found again, written to, finished.

```
output_dir/
  .extractft-lock        says who works here
  run.json               what is being trained: a resumed run has to be the same one
  checkpoint-120/        adapter, optimizer, schedule, random state, trainer state, progress, best adapter so far
  best/                  the adapter that was kept, once the run is finished; PEFT can load it
  result.json            how the run ended; its presence means finished
  extractor/             the finished extractor, if whoever trains saves it here
```

A directory or file gets its final name only when it is complete, and says itself whose it is and what it must hold
(see `checkpoint_seals`). What does not say so is never replaced or removed. Knows files and adapter weights, not the
training loop.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from peft import PeftModel

from extractft.errors import TrainingError
from extractft.storage import (
    LOCK_FILE,
    DirectoryInUse,
    lock_directory,
    published_directory,
    remove_leftovers,
    remove_tree,
)
from extractft.training.checkpoint_seals import Seal, SealError, digest_of, read_sealed, seal_directory, write_sealed
from extractft.training.checkpoints import write_adapter
from extractft.training.failures import writing

__all__ = ["RunDirectory"]

RUN_FILE, RESULT_FILE, BEST = "run.json", "result.json", "best"
EXTRACTOR = "extractor"
"""Name under which whoever trains may save the result beside the run's own files."""
PREFIX = "checkpoint-"
KEPT = 2
"""Checkpoints that are kept, so that there is one to fall back to."""
NAMES = re.compile(rf"{PREFIX}\d+|{BEST}|{re.escape(RUN_FILE)}|{re.escape(RESULT_FILE)}")
LEFTOVER = re.compile(rf"\.({NAMES.pattern})\.extractft-.*")
logger = logging.getLogger(__name__)
_held = threading.local()


class RunDirectory:
    """The output directory of one run.

    Args:
        path: The directory; made when the run starts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._run = ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the directory while the block runs; a block within a block of this thread is fine.

        Raises:
            TrainingError: Another run is in there, it cannot be written, or it holds files of others under the names
                of a run's. Then nothing in it has been touched.
        """
        key, paths = os.path.realpath(self.path), _held.__dict__.setdefault("paths", set())
        if key in paths:
            yield
            return
        if not (self.path / LOCK_FILE).exists():  # no run has been here: look before the lock file is made
            self.require_own()
        with ExitStack() as stack:
            try:
                stack.enter_context(lock_directory(self.path))
            except DirectoryInUse as error:
                raise TrainingError(f"expected a free output_dir, found {self.path} in use by {error.holder}").hint(
                    "Wait until that run has ended, or give another output_dir."
                ) from error
            except OSError as error:
                raise _not_writable(self.path, error) from error
            self.require_own()
            paths.add(key)
            stack.callback(paths.discard, key)
            yield

    def require_own(self, *, resume: bool = True) -> None:
        """Refuse a directory in which something of others has a name that the run needs. Touches nothing.

        Args:
            resume: Off, an interrupted run is refused as well, and so is whatever keeps its place from being cleared.

        Raises:
            TrainingError: What is in the way, and what to do about it.
        """
        entries = sorted(entry for entry in self._entries() if NAMES.fullmatch(entry.name))
        if not any(entry.name == RUN_FILE for entry in entries):
            if entries:
                raise self._foreign(entries[0], "there is no run.json that makes it a run's")
            return
        for entry in sorted(entries, key=lambda entry: entry.name != RUN_FILE):
            try:
                if entry.is_symlink():
                    raise SealError("it is a link")
                if entry.name in (RUN_FILE, RESULT_FILE):
                    read_sealed(entry)
                    continue
                others = Seal.read(entry).foreign_files(entry)
            except SealError as error:
                raise self._foreign(entry, str(error)) from error
            if others and not (resume and (entry.name != BEST or self.finished)):
                raise self._foreign(entry, f"it holds {others[0]}, which no run wrote")
        checkpoints = self.checkpoints()
        if not resume and checkpoints and not self.finished:
            raise TrainingError(f"expected no interrupted run in {self.path}, found {checkpoints[-1].name}").hint(
                "Pass resume=True to go on with it, or another output_dir to start afresh."
            )

    def require_unfinished(self, *, resume: bool) -> None:
        """Refuse a directory with a finished run, or with the extractor that one left.

        Args:
            resume: On, only an extractor whose run is not there is refused: there is nothing to go on with.

        Raises:
            TrainingError: There is one; what can be done with it.
        """
        extractor = self.path / EXTRACTOR
        is_saved, has_run = (extractor / "manifest.json").exists(), (self.path / RUN_FILE).exists()
        if (resume and has_run) or not (is_saved or self.finished):
            return
        found = f", whose extractor is in {extractor}" if is_saved else ""
        at_once = "resume=True to get its extractor at once, " if has_run else ""
        raise TrainingError(f"expected no finished run in {self.path}, found one{found}").hint(
            f"Pass {at_once}overwrite=True to train anew in its place, or another output_dir."
        )

    def begin(self, identity: Mapping[str, Any], *, resume: bool) -> Path | None:
        """Start the run or find where it goes on.

        Args:
            identity: What is trained; compared with the interrupted run's.
            resume: Go on with what is there. With nothing there the run starts from scratch.

        Returns:
            The newest whole checkpoint, or `None` to start from scratch.

        Raises:
            TrainingError: An interrupted run is there and `resume` is off, it trained something else, or no
                checkpoint of it is whole.
        """
        self.require_own(resume=resume)
        with writing("a run", self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for entry in self._entries():
                if match := LEFTOVER.fullmatch(entry.name):
                    remove_leftovers(self.path / match[1])
        self._run = digest_of(json.loads(json.dumps(identity)))
        if resume and (self.path / RUN_FILE).exists():
            self._require_same(identity)
            return None if self.finished else self._newest_whole()
        with writing(RUN_FILE, self.path):
            self._discard(*self.checkpoints())
            (self.path / RESULT_FILE).unlink(missing_ok=True)
            self._discard(self.path / BEST)
            write_sealed(self.path / RUN_FILE, identity)
        return None

    @property
    def finished(self) -> bool:
        """True if the run in this directory came to its end."""
        return (self.path / RESULT_FILE).exists()

    @contextmanager
    def new_checkpoint(self, step: int) -> Iterator[Path]:
        """Fill a checkpoint that gets its name, complete, when the block ends well; then the oldest are dropped.

        Raises:
            TrainingError: It cannot be written.
        """
        with self._published(self.path / f"{PREFIX}{step}", step) as directory:
            yield directory
        with writing("checkpoints", self.path):
            self._discard(*self.checkpoints()[:-KEPT])

    def finish(self, model: PeftModel, result: Mapping[str, Any], tokenizer: Any = None) -> Path:
        """Keep the model's adapter in `best/`, note the result, drop the checkpoints.

        Returns:
            The directory of the adapter.

        Raises:
            TrainingError: It cannot be written.
        """
        best = self.path / BEST
        with self._published(best, int(result.get("best_step", 0))) as directory:
            write_adapter(model, directory)
            if tokenizer is not None:
                tokenizer.save_pretrained(directory)
        with writing(RESULT_FILE, self.path):
            write_sealed(self.path / RESULT_FILE, {"run": self._run, "result": result})
            self._discard(*self.checkpoints())
        return best

    def result(self) -> dict[str, Any]:
        """Result that `finish` noted, once it is certain that the kept adapter is the one that it speaks of.

        Raises:
            TrainingError: `best/` or the result is not as it was written.
        """
        best = self.path / BEST
        try:
            seal = Seal.read(best)
            seal.require_whole(best)
            values = read_sealed(self.path / RESULT_FILE)
        except SealError as error:
            raise TrainingError(f"the finished run in {self.path} is damaged: {BEST}, {error}").hint(
                f"Delete {best} and {self.path / RESULT_FILE} to train again, or copy them anew."
            ) from error
        if seal.run != values["run"]:
            raise TrainingError(f"expected {best} of the run in {self.path}, found that of another run").hint(
                f"Delete {best} and {self.path / RESULT_FILE} to train again."
            )
        result: dict[str, Any] = values["result"]
        return result

    def checkpoints(self) -> list[Path]:
        """Checkpoints by their names, the oldest first."""
        found = {int(e.name.removeprefix(PREFIX)): e for e in self._entries() if re.fullmatch(rf"{PREFIX}\d+", e.name)}
        return [found[step] for step in sorted(found)]

    def _entries(self) -> list[Path]:
        try:
            return list(self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _not_writable(self.path, error) from error

    @contextmanager
    def _published(self, target: Path, step: int) -> Iterator[Path]:
        """Fill a sealed directory; whatever goes wrong is a `TrainingError`, full disks recognised while they are."""
        with writing(target.name, self.path):
            if target.exists() or target.is_symlink():
                self._require_removable(target)
            seal = functools.partial(seal_directory, run=self._run, step=step)
            with published_directory(target, prepare=seal) as made, writing(target.name, self.path):
                yield made

    def _newest_whole(self) -> Path | None:
        """The newest checkpoint that is as it was written; newer ones that are not are removed.

        Raises:
            TrainingError: A checkpoint is another run's, or there are checkpoints and none is whole.
        """
        damaged: dict[Path, str] = {}
        for checkpoint in reversed(self.checkpoints()):
            fault = self._fault(checkpoint)
            if fault:
                damaged[checkpoint] = fault
                continue
            for worse, found in damaged.items():
                logger.warning("%s is damaged (%s): going on from %s", worse, found, checkpoint.name)
                self._require_removable(worse)
                self._discard(worse)
            return checkpoint
        if not damaged:
            return None
        newest, found = next(iter(damaged.items()))
        raise TrainingError(f"{newest.name} in {self.path} is damaged: {found}; no other one is whole").hint(
            f"Copy it anew, or delete {' and '.join(map(str, damaged))} to start from the beginning."
        )

    def _fault(self, checkpoint: Path) -> str:
        """Fault of a checkpoint of this run; empty if it is whole.

        Raises:
            TrainingError: Another run wrote it.
        """
        seal = Seal.read(checkpoint)
        if (seal.run, f"{PREFIX}{seal.step}") != (self._run, checkpoint.name):
            raise self._foreign(checkpoint, "another run wrote it")
        try:
            seal.require_whole(checkpoint)
        except SealError as error:
            return str(error)
        return ""

    def _require_same(self, identity: Mapping[str, Any]) -> None:
        before = read_sealed(self.path / RUN_FILE)
        now = json.loads(json.dumps(identity))
        if before == now:
            return
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        details = "; ".join(f"{name}: expected {before.get(name)}, found {now.get(name)}" for name in names)
        raise TrainingError(f"the interrupted run in {self.path} trained something else: {details}").hint(
            "Resume with the same data, base model and settings, or pass another output_dir."
        )

    def _require_removable(self, directory: Path) -> None:
        """Refuse to replace what is not provably a run's alone."""
        try:
            others = Seal.read(directory).foreign_files(directory)
        except SealError as error:
            raise self._foreign(directory, str(error)) from error
        if others:
            raise self._foreign(directory, f"it holds {others[0]}, which no run wrote")

    def _discard(self, *directories: Path) -> None:
        """Delete what is provably a run's alone; leave the rest where it is."""
        for directory in directories:
            if not directory.exists():
                continue
            try:
                self._require_removable(directory)
            except TrainingError as error:
                logger.warning("left in place: %s", error)
            else:
                remove_tree(directory)

    def _foreign(self, entry: Path, why: str) -> TrainingError:
        return TrainingError(
            f"expected an empty directory or a run of extractft in {self.path}, found {entry.name}: {why}"
        ).hint(f"Move or delete {entry}, or give another output_dir.")


def _not_writable(path: Path, error: OSError) -> TrainingError:
    found = error.strerror or type(error).__name__
    return TrainingError(f"expected an output_dir to write to, found {path}: {found}")
