"""Callbacks of one's own, and trackers by transformers' own callbacks."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from extractft.config import TrackingConfig, TrainingConfig
from extractft.errors import ConfigError, MissingDependencyError
from extractft.training import Features, check_callbacks, check_reporting, train

CONFIG = TrainingConfig(num_train_epochs=3, per_device_train_batch_size=2, early_stopping_patience=None)


class Seen(TrainerCallback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.losses: list[float] = []
        self.scores: list[dict[str, float]] = []

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("begin")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        self.scores.append({"step": state.global_step, **metrics})

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self.events.append("end")


def weights(model: Any) -> list[torch.Tensor]:
    return [parameter.detach().clone() for name, parameter in model.named_parameters() if "lora" in name]


def test_callbacks_are_told_of_losses_and_scores_and_change_no_weight(
    adapted: Any, make_rows: Any, tmp_path: Path
) -> None:
    seen = Seen()
    scores = iter([0.25, 0.5, 0.75, 0.25, 0.5, 0.75])

    def run(name: str, **options: Any) -> tuple[Any, list[torch.Tensor]]:
        model = adapted(dropout=0.1)
        scorer = lambda _: {"field_f1": next(scores)}  # noqa: E731
        rows = Features(make_rows(4), 20)
        result = train(model, rows, config=CONFIG, output_dir=tmp_path / name, scorer=scorer, **options)
        return result, weights(model)

    result, told = run("told", callbacks=[seen])
    _, untold = run("untold")
    assert seen.events == ["begin", "end"]
    assert seen.losses == [entry["loss"] for entry in result.log_history if "loss" in entry]
    assert seen.scores == [{"step": 2 * n, "eval_field_f1": n / 4, "epoch": n} for n in (1, 2, 3)]
    assert all(torch.equal(one, other) for one, other in zip(told, untold, strict=True))


def test_a_callback_stops_training_and_may_be_a_class(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    class StopAtThree(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.global_step == 3

    rows = Features(make_rows(4), 20)
    result = train(adapted(), rows, config=CONFIG, output_dir=tmp_path, callbacks=[StopAtThree])
    assert result.steps == 3


def test_scores_that_nobody_can_give_are_not_made_up(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    class AskEveryStep(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_evaluate = True

    config = CONFIG.replace(early_stopping_patience=1)
    rows, seen = Features(make_rows(4), 20), Seen()
    result = train(adapted(), rows, config=config, output_dir=tmp_path, callbacks=[AskEveryStep(), seen])
    assert (result.steps, result.best_step, result.metrics, seen.scores) == (6, 6, {}, [])


def test_scores_that_a_callback_asks_for_count(adapted: Any, make_rows: Any, tmp_path: Path) -> None:
    class AskAtThree(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_evaluate = state.global_step == 3

    scores, seen = iter([0.25, 0.75, 0.5, 0.25]), Seen()
    scorer = lambda _: {"field_f1": next(scores)}  # noqa: E731
    rows, given = Features(make_rows(4), 20), [AskAtThree(), seen]
    result = train(adapted(), rows, config=CONFIG, output_dir=tmp_path, scorer=scorer, callbacks=given)
    assert [score["step"] for score in seen.scores] == [2, 3, 4, 6]
    assert result.best_step == 3


def test_what_is_no_callback_is_refused() -> None:
    check_callbacks([Seen, Seen()])
    for wrong in ("tensorboard", print, [print], [dict], [None]):
        with pytest.raises(ConfigError, match="callbacks: expected"):
            check_callbacks(wrong)


def test_tensorboard_has_the_losses_and_scores_of_the_run(
    adapted: Any, make_rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    config = CONFIG.replace(report_to="tensorboard", tracking=TrackingConfig(mode="off"))
    scores = iter([0.25, 0.5, 0.75])
    scorer = lambda _: {"field_f1": next(scores)}  # noqa: E731
    rows = Features(make_rows(4), 20)
    result = train(adapted(), rows, config=config, output_dir=tmp_path / "run", scorer=scorer)
    (directory,) = (tmp_path / "run" / "runs").iterdir()
    events = EventAccumulator(str(directory)).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("train/loss")]
    logged = [(entry["step"], entry["loss"]) for entry in result.log_history if "loss" in entry]
    assert losses == [(step, pytest.approx(loss)) for step, loss in logged]
    assert [(e.step, e.value) for e in events.Scalars("eval/field_f1")] == [(2, 0.25), (4, 0.5), (6, 0.75)]


@pytest.mark.parametrize("given", ["tensorboard", ["tensorboard"], ("tensorboard",)])
def test_one_name_is_enough(given: Any) -> None:
    assert TrainingConfig(report_to=given).report_to == ("tensorboard",)
    assert TrainingConfig(report_to="none").report_to == ()


def test_trackers_are_checked_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    config = TrainingConfig(report_to="tensorboard")
    with pytest.raises(ConfigError, match="writes into output_dir"):
        check_reporting(config, None)
    check_reporting(config, tmp_path)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path))
    check_reporting(config, None)
    for name, hint in (("tensorbord", "Did you mean tensorboard"), ("all", "It may name"), ("swanlab", "tracking")):
        with pytest.raises(ConfigError) as caught:
            check_reporting(TrainingConfig(report_to=name), tmp_path)
        assert hint in "".join(caught.value.__notes__)


def test_a_tracker_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration_utils, "is_wandb_available", lambda: False)
    with pytest.raises(MissingDependencyError, match="wandb"):
        check_reporting(TrainingConfig(report_to=["wandb"]), tmp_path)
