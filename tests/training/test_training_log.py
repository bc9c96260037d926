"""Progress of training off a terminal: a line in the log now and then, and none where nobody is to wait for it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from extractft.training.callbacks import ProgressBar


def steps(bar: ProgressBar, number: int) -> None:
    state, control = TrainerState(max_steps=10), TrainerControl()
    arguments: Any = None
    bar.on_train_begin(arguments, state, control)
    for step in range(1, number + 1):
        state.global_step, state.epoch = step, step / 5
        bar.on_log(arguments, state, control, {"loss": 0.5, "eval_field_f1": 0.75})
        bar.on_step_end(arguments, state, control)
    bar.close()


def test_a_line_now_and_then(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProgressBar, "log_seconds", 0.0)
    with caplog.at_level(logging.INFO, logger="extractft.training.callbacks"):
        steps(ProgressBar(shown=False), 3)
    assert caplog.messages[-1] == "step 3/10, epoch 0.6, loss 0.500, F1 0.750, 0 min left"
    assert len(caplog.messages) == 3


def test_a_short_training_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="extractft.training.callbacks"):
        steps(ProgressBar(shown=False), 3)
    assert caplog.messages == []
