"""Damaged files of a run: resuming ends with the same weights or a TrainingError, never with others, never raw."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extractft.config import TrainingConfig
from extractft.errors import TrainingError
from extractft.training import Features, TrainingRow, train
from extractft.training.checkpoints import adapter_state
from extractft.training.run_directory import RunDirectory

CONFIG = TrainingConfig(num_train_epochs=3, per_device_train_batch_size=2, learning_rate=1e-2, seed=3)
FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "best_adapter.safetensors",
    "checkpoint.json",
    "optimizer.pt",
    "progress.json",
    "rng_state.pth",
    "scheduler.pt",
    "trainer_state.json",
)
Damage = Callable[[Path], object]


class Interrupted(BaseException):
    """Passes every handler, as a kill does."""


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 0x40
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Damage] = {
    "deleted": Path.unlink,
    "cut": cut,
    "flipped": flip,
    "emptied": lambda p: p.write_bytes(b""),
}


class Runs:
    """An interrupted run, a finished one and an interrupted one of other data, made once."""

    def __init__(self, adapted: Any, make_rows: Any, directory: Path) -> None:
        self.adapted, self.make_rows = adapted, make_rows
        self.interrupted, self.finished, self.other = (
            directory / name for name in ("interrupted", "finished", "other")
        )
        self.fit(self.finished)
        self.want = self.weights
        for place, seed in ((self.interrupted, 0), (self.other, 9)):
            with pytest.raises(Interrupted):
                self.fit(place, seed=seed, stop=3)

    def fit(self, place: Path, *, seed: int = 0, stop: int = 99, resume: bool = False) -> None:
        calls = 0

        def score(model: Any) -> dict[str, float]:
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Interrupted
            weights = [p.detach().sum() for name, p in model.named_parameters() if "lora_B" in name]
            return {"field_f1": float((100 * sum(weights)).sin())}

        model = self.adapted(moved=False, dropout=0.2)
        rows: tuple[TrainingRow, ...] = self.make_rows(4, seed=seed)
        train(
            model,
            Features(rows, 20),
            config=CONFIG,
            output_dir=place,
            scorer=score,
            resume=resume,
            checkpoint_seconds=0,
        )
        self.weights = {name: tensor.tolist() for name, tensor in adapter_state(model).items()}

    def resumed(self, place: Path) -> str:
        """`same` or `other` weights, or the message of the TrainingError."""
        try:
            self.fit(place, resume=True)
        except TrainingError as error:
            return " ".join([str(error), *error.__notes__])
        return "same" if self.weights == self.want else "other"


@pytest.fixture(scope="module")
def runs(adapted: Any, make_rows: Any, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    runs = Runs(adapted, make_rows, tmp_path_factory.mktemp("runs"))
    newest, older = reversed(RunDirectory(runs.interrupted).checkpoints())
    assert {path.name for path in newest.iterdir()} == set(FILES)
    assert {path.name for path in older.iterdir()} == set(FILES)
    return runs


def copied(runs: Runs, tmp_path: Path, which: str = "interrupted") -> tuple[Path, Path, Path]:
    place = tmp_path / "run"
    shutil.copytree(getattr(runs, which), place)
    newest, older = reversed(RunDirectory(place).checkpoints()) if which != "finished" else (place, place)
    return place, newest, older


def test_undamaged_runs_go_on_from_the_newest(runs: Runs, tmp_path: Path) -> None:
    assert runs.resumed(copied(runs, tmp_path)[0]) == "same"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_newest_checkpoint(
    runs: Runs, tmp_path: Path, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    place, newest, _ = copied(runs, tmp_path)
    DAMAGES[damage](newest / file)
    with caplog.at_level(logging.WARNING):
        outcome = runs.resumed(place)
    if file == "checkpoint.json":
        assert newest.name in outcome
        assert file in outcome
        assert "Move or delete" in outcome
        shutil.rmtree(newest)
        outcome = runs.resumed(place)
    else:
        assert f"{newest} is damaged ({file}" in caplog.text
    assert outcome == "same"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_two_damaged_checkpoints_are_no_run_to_go_on_from(runs: Runs, tmp_path: Path, file: str, damage: str) -> None:
    place, newest, older = copied(runs, tmp_path)
    for checkpoint in (newest, older):
        DAMAGES[damage](checkpoint / file)
    before = sorted(path for path in place.rglob("*"))
    outcome = runs.resumed(place)
    assert "checkpoint-" in outcome
    assert file in outcome
    assert "elete" in outcome
    assert sorted(path for path in place.rglob("*")) == before


@pytest.mark.parametrize("file", [*FILES, ""])
def test_files_of_another_run(runs: Runs, tmp_path: Path, file: str) -> None:
    place, newest, _ = copied(runs, tmp_path)
    if file:
        shutil.copy(runs.other / newest.name / file, newest / file)
    else:
        shutil.rmtree(newest)
        shutil.copytree(runs.other / newest.name, newest)
    same_everywhere = (
        file and (runs.other / newest.name / file).read_bytes() == (runs.interrupted / newest.name / file).read_bytes()
    )
    outcome = runs.resumed(place)
    if file in ("", "checkpoint.json") and not same_everywhere:
        assert "another run wrote it" in outcome
    else:
        assert outcome == "same"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["run.json", "result.json", "best/adapter_model.safetensors", "best/checkpoint.json"])
def test_a_damaged_finished_run(runs: Runs, tmp_path: Path, file: str, damage: str) -> None:
    place, _, _ = copied(runs, tmp_path, "finished")
    DAMAGES[damage](place / file)
    outcome = runs.resumed(place)
    if file == "result.json" and damage == "deleted":
        assert outcome == "same"  # as if it had been killed before it was written: trained again
        return
    assert Path(file).name in outcome or "run.json" in outcome
    assert "elete" in outcome


def test_a_damaged_run_file_is_not_taken_for_another_run(runs: Runs, tmp_path: Path) -> None:
    place, _, _ = copied(runs, tmp_path)
    values = json.loads((place / "run.json").read_text())
    values["content"]["rows"] += 1
    (place / "run.json").write_text(json.dumps(values))
    assert "run.json is not as it was written" in runs.resumed(place)


def test_layout_and_line_ends_of_a_seal_are_nothing(runs: Runs, tmp_path: Path) -> None:
    place, newest, _ = copied(runs, tmp_path)
    for file in (place / "run.json", newest / "checkpoint.json"):
        file.write_bytes(json.dumps(json.loads(file.read_text()), indent=7).replace("\n", "\r\n").encode())
    assert runs.resumed(place) == "same"


def test_whole_files_that_this_version_cannot_read(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of another version of PyTorch or transformers is whole, and raises anything when it is read."""
    place, _, _ = copied(runs, tmp_path)

    def unreadable(*args: Any, **kwargs: Any) -> Any:
        raise EOFError("Ran out of input")

    for name in ("torch.load", "extractft.training.checkpoints.load_file", "transformers.TrainerState.load_from_json"):
        with monkeypatch.context() as patch:
            patch.setattr(name, unreadable)
            outcome = runs.resumed(place)
            assert "could not read" in outcome
            assert "EOFError" in outcome
    assert runs.resumed(place) == "same"
