"""One run in a directory, and nothing of others touched."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extractft.config import TrainingConfig
from extractft.errors import TrainingError
from extractft.training import Features, train
from extractft.training.run_directory import RunDirectory

CONFIG = TrainingConfig(num_train_epochs=1, per_device_train_batch_size=2)
FOREIGN: dict[str, Callable[[Path], object]] = {
    "best": lambda d: directory(d / "best"),
    "empty best": lambda d: (d / "best").mkdir(),
    "best is a file": lambda d: (d / "best").write_text("mine"),
    "best is a link": lambda d: (d / "best").symlink_to(directory(d / "elsewhere")),
    "best is a broken link": lambda d: (d / "best").symlink_to(d / "nowhere"),
    "result.json": lambda d: (d / "result.json").write_text('{"mine": 1}'),
    "run.json": lambda d: (d / "run.json").write_text('{"format": 1, "rows": 4}'),
    "run.json is a directory": lambda d: directory(d / "run.json"),
    "checkpoint-7": lambda d: directory(d / "checkpoint-7", "progress.json"),
    "checkpoint-7 is a link": lambda d: (d / "checkpoint-7").symlink_to(directory(d / "elsewhere")),
}


def directory(path: Path, name: str = "my-model.bin") -> Path:
    path.mkdir()
    (path / name).write_text("weeks of work")
    return path


def contents(place: Path) -> dict[str, Any]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in place.rglob("*")
        if path.name != ".extractft-lock"
    }


@pytest.fixture
def fit(adapted: Any, make_rows: Any) -> Callable[..., Any]:
    def fit(place: Path, **more: Any) -> Any:
        rows = Features(make_rows(4), 20)
        return train(adapted(moved=False), rows, config=CONFIG, output_dir=place, **more)

    return fit


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("what", FOREIGN)
def test_files_of_others_are_refused_before_anything_is_touched(
    fit: Any, tmp_path: Path, what: str, resume: bool
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    FOREIGN[what](tmp_path)
    before = contents(tmp_path)
    with pytest.raises(TrainingError, match="expected an empty directory or a run of extractft") as caught:
        fit(tmp_path, resume=resume)
    assert what.split(" is")[0].split()[-1] in str(caught.value)
    assert contents(tmp_path) == before
    assert not (tmp_path / ".extractft-lock").exists()


@pytest.mark.parametrize("what", [name for name in FOREIGN if "run.json" not in name])
def test_files_of_others_that_came_later(fit: Any, tmp_path: Path, what: str) -> None:
    run = RunDirectory(tmp_path)
    run.begin({"rows": 1}, resume=False)
    FOREIGN[what](tmp_path)
    before = contents(tmp_path)
    for resume in (False, True):
        with pytest.raises(TrainingError):
            fit(tmp_path, resume=resume)
    name = what.split(" is")[0].split()[-1]
    if name.startswith("checkpoint"):
        with pytest.raises(TrainingError, match=name), run.new_checkpoint(7):
            pass
    assert contents(tmp_path) == before


def test_other_names_are_left_alone(fit: Any, tmp_path: Path) -> None:
    names = (".partial-notes", ".partial-incoming", "checkpoint-best", "checkpoints", "best.txt", ".best.old", "logs")
    for name in names:
        directory(tmp_path / name)
    before = contents(tmp_path)
    fit(tmp_path)
    fit(tmp_path)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before


def test_notes_in_a_finished_run_are_not_lost(fit: Any, tmp_path: Path) -> None:
    fit(tmp_path)
    (tmp_path / "best" / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"best: it holds notes\.txt"):
        fit(tmp_path)
    assert fit(tmp_path, resume=True).steps == 2
    assert (tmp_path / "best" / "notes.txt").read_text() == "mine"


def test_notes_in_a_checkpoint_are_not_lost(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin({"rows": 1}, resume=False)
    for step in (1, 2, 3, 4):
        with run.new_checkpoint(step) as made:
            (made / "weights").write_text(str(step))
        if step == 1:
            (made.parent / "checkpoint-1" / "notes.txt").write_text("mine")
    assert [path.name for path in run.checkpoints()] == ["checkpoint-1", "checkpoint-3", "checkpoint-4"]
    assert RunDirectory(tmp_path).begin({"rows": 1}, resume=True) == tmp_path / "checkpoint-4"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_second_run_is_told_who_is_there(fit: Any, tmp_path: Path) -> None:
    go, ready = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        with RunDirectory(tmp_path).held():
            os.write(ready[1], b"x")
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    for resume in (False, True):
        with pytest.raises(TrainingError, match=f"in use by process {pid} on") as caught:
            fit(tmp_path, resume=resume)
        assert "another output_dir" in caught.value.__notes__[0]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert fit(tmp_path).steps == 2


def test_a_second_run_in_another_thread_is_refused(fit: Any, tmp_path: Path) -> None:
    with RunDirectory(tmp_path / "a").held():
        with RunDirectory(tmp_path / "a" / ".." / "a").held():
            pass
        caught: list[BaseException] = []

        def other() -> None:
            try:
                fit(tmp_path / "a")
            except TrainingError as error:
                caught.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
        assert "in use" in str(caught[0])
    assert fit(tmp_path / "a").steps == 2


def test_a_run_of_other_data_does_not_slip_in_before_the_first_checkpoint(
    adapted: Any, make_rows: Any, tmp_path: Path
) -> None:
    """It once did, and the next resume went on from the checkpoints of the first."""
    inside, go = threading.Event(), threading.Event()

    def score(model: Any) -> dict[str, float]:
        inside.set()
        assert go.wait(60)
        return {"field_f1": 0.5}

    def first() -> None:
        train(adapted(moved=False), Features(make_rows(4), 20), config=CONFIG, output_dir=tmp_path, scorer=score)

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(60)
    with pytest.raises(TrainingError, match="in use"):
        train(adapted(moved=False), Features(make_rows(4, seed=5), 20), config=CONFIG, output_dir=tmp_path)
    go.set()
    thread.join(60)
    assert (tmp_path / "result.json").exists()


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root writes everywhere")
def test_a_read_only_directory(fit: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TrainingError, match="output_dir to write to"):
        fit(tmp_path)
