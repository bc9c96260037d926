"""A run that was killed and resumed ends like one that was left alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extractft.config import TrainingConfig
from extractft.errors import TrainingError
from extractft.training import Features, train
from extractft.training.checkpoints import Progress, adapter_state, load_adapter_state
from extractft.training.run_directory import RunDirectory

SCRIPT = Path(__file__).with_name("killed_run.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


RUNS: dict[str, tuple[float, list[tuple[str, int]]]] = {
    "undisturbed": (1000, []),
    "checkpoint every step": (0, [("step", 1), ("gradients", 3), ("step", 2), ("score", 1)]),
    "checkpoint every epoch": (1000, [("gradients", 6), ("score", 1), ("step", 5)]),
    "killed while writing": (0, [("fsync", n) for n in random.Random(5).sample(range(2, 30), 6)]),
    "killed while publishing": (0, [("rename", n) for n in random.Random(6).sample(range(1, 16), 6)]),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came out of each run. The script fails if a kill did not happen, or more than that."""
    directory = tmp_path_factory.mktemp("runs")
    command = [sys.executable, str(SCRIPT), str(directory), json.dumps(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for run in RUNS:
        # Nothing but the kept result is left.
        names = {path.name for path in (directory / run).iterdir()}
        assert names == {".extractft-lock", "best", "report.json", "result.json", "run.json"}
    return {run: json.loads((directory / run / "report.json").read_text()) for run in RUNS}


@pytest.mark.slow
def test_undisturbed_run_logs_each_step_once(reports: dict[str, dict[str, Any]]) -> None:
    history = reports["undisturbed"]["history"]
    assert [entry["step"] for entry in history if "loss" in entry] == list(range(1, 13))
    assert [entry["step"] for entry in history if "eval_field_f1" in entry] == [4, 8, 12]


@pytest.mark.slow
@pytest.mark.parametrize("run", list(RUNS)[1:])
def test_killed_and_resumed_is_undisturbed(reports: dict[str, dict[str, Any]], run: str) -> None:
    """Bit for bit: weights, losses, gradient norms, learning rates and scores, each step once."""
    assert reports[run] == reports["undisturbed"]


def settings(**changes: Any) -> TrainingConfig:
    return TrainingConfig(num_train_epochs=2, per_device_train_batch_size=2, learning_rate=1e-2, **changes)


class Interrupted(BaseException):
    """Passes every handler, as a kill does."""


def interrupted(adapted: Any, rows: Any, directory: Path) -> None:
    """A run that stopped in its second epoch, checkpoints in place."""
    calls = 0

    def score(model: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Interrupted
        return {"field_f1": 0.5}

    with pytest.raises(Interrupted):
        train(
            adapted(moved=False),
            Features(rows, 20),
            config=settings(),
            output_dir=directory,
            scorer=score,
            checkpoint_seconds=0,
        )


def test_an_interrupted_run_is_not_overwritten(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    rows = make_rows(4)
    interrupted(adapted, rows, tmp_path)
    with pytest.raises(TrainingError, match="interrupted run") as caught:
        train(adapted(moved=False), Features(rows, 20), config=settings(), output_dir=tmp_path)
    assert "resume=True" in "".join(caught.value.__notes__)
    assert RunDirectory(tmp_path).checkpoints()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"rows": 3}, "rows_sha256", id="other rows"),
        pytest.param({"learning_rate": 2e-2}, "learning_rate: expected 0.01, found 0.02", id="other settings"),
        pytest.param({"moved": True}, "model_sha256", id="other weights"),
    ],
)
def test_only_the_same_run_is_resumed(
    adapted: Any, make_rows: Any, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    interrupted(adapted, make_rows(4), tmp_path)
    config = settings().replace(learning_rate=changes.get("learning_rate", 1e-2))
    with pytest.raises(TrainingError, match=named):
        train(
            adapted(moved=changes.get("moved", False)),
            Features(make_rows(changes.get("rows", 4)), 20),
            config=config,
            output_dir=tmp_path,
            resume=True,
        )


def test_how_steps_are_computed_may_change(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    """Four rows a step are four rows a step, in whatever passes."""
    rows = make_rows(4)
    interrupted(adapted, rows, tmp_path)
    config = settings().replace(
        per_device_train_batch_size=1, gradient_accumulation_steps=2, gradient_checkpointing=True
    )
    result = train(
        adapted(moved=False),
        Features(rows, 20),
        config=config,
        output_dir=tmp_path,
        scorer=lambda _: {"field_f1": 0.6},
        resume=True,
    )
    assert [entry["step"] for entry in result.log_history if "loss" in entry] == [1, 2, 3, 4]
    assert result.metrics["field_f1"] == 0.6


def test_a_finished_run_is_returned_untrained(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    features, model = Features(make_rows(4), 20), adapted(moved=False)
    first = train(model, features, config=settings(), output_dir=tmp_path)
    again = adapted(moved=False)
    second = train(again, features, config=settings(), output_dir=tmp_path, resume=True)
    assert second == first
    expected, found = adapter_state(model), adapter_state(again)
    assert all(expected[name].equal(found[name]) for name in expected)
    assert not again.training


def test_without_resume_a_finished_run_is_replaced(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    features = Features(make_rows(4), 20)
    (tmp_path / "mine.txt").write_text("kept")
    train(adapted(moved=False), features, config=settings(), output_dir=tmp_path)
    result = train(adapted(moved=False), features, config=settings(seed=1), output_dir=tmp_path)
    assert len([entry for entry in result.log_history if "loss" in entry]) == 4
    assert (tmp_path / "mine.txt").read_text() == "kept"


def test_resume_with_nothing_there_starts_from_scratch(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    result = train(
        adapted(moved=False), Features(make_rows(4), 20), config=settings(), output_dir=tmp_path / "new", resume=True
    )
    assert result.steps == 4


def test_half_written_checkpoints_are_passed_over(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.begin({"format": 1}, resume=False)
    for step in (2, 10, 11):
        with run.new_checkpoint(step) as directory:
            Progress(tokens=step).save(directory)
    assert [path.name for path in run.checkpoints()] == ["checkpoint-10", "checkpoint-11"]
    with pytest.raises(Interrupted), run.new_checkpoint(12):
        raise Interrupted
    (tmp_path / "checkpoint-best").mkdir()
    found = RunDirectory(tmp_path).begin({"format": 1}, resume=True)
    assert found == tmp_path / "checkpoint-11"
    assert Progress.load(found).tokens == 11
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-10",
        "checkpoint-11",
        "checkpoint-best",
        "run.json",
    ]


def test_weights_of_another_adapter_are_refused(adapted: Any) -> None:
    model = adapted()
    state = adapter_state(model)
    name, tensor = next(iter(state.items()))
    with pytest.raises(TrainingError, match="1 missing"):
        load_adapter_state(model, {key: value for key, value in state.items() if key != name})
    with pytest.raises(TrainingError, match="another shape"):
        load_adapter_state(model, {**state, name: tensor[:1]})
