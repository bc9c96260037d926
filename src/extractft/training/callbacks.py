"""Callbacks at the edges of steps and epochs: they score, save, and show progress in the terminal.

Knows the trainer's control flags; computes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["CheckpointSchedule", "ProgressBar"]

logger = logging.getLogger(__name__)


class CheckpointSchedule(TrainerCallback):
    """Score at the end of each epoch, and save then and in between when the last time is long enough ago.

    Args:
        evaluate: Whether there is anything to score with.
        checkpoint_seconds: Longest stretch of work within an epoch that a kill may cost.
        broadcast: Makes the main process's decision everyone's, since clocks differ.
    """

    epoch_seconds = 5.0
    """Epochs shorter than this do not get a checkpoint each: writing it would take longer than the work it saves."""

    def __init__(
        self,
        *,
        evaluate: bool,
        checkpoint_seconds: float,
        broadcast: Callable[[bool], bool] = lambda decision: decision,
    ) -> None:
        self.evaluate = evaluate
        self.broadcast = broadcast
        self.checkpoint_seconds = checkpoint_seconds
        self._saved_at = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._saved_at = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save if it is time, but not at an epoch's last step: its checkpoint comes after the scoring."""
        last = state.global_step >= state.max_steps or float(state.epoch or 0).is_integer()
        if not last and self.broadcast(self._elapsed() >= self.checkpoint_seconds):
            control.should_save = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Score, then save what has been scored."""
        control.should_evaluate = self.evaluate
        control.should_save = self.broadcast(self._elapsed() >= min(self.checkpoint_seconds, self.epoch_seconds))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Restart the clock."""
        self._saved_at = time.monotonic()

    def _elapsed(self) -> float:
        return time.monotonic() - self._saved_at


class ProgressBar(TrainerCallback):
    """One line on stderr: steps, loss, the newest score and the time left; without a terminal, now and then in the log.

    Args:
        shown: Whether to show it at all; `None` shows it on a terminal.
    """

    def __init__(self, *, shown: bool | None = None) -> None:
        self._console = Console(stderr=True)
        self._visible = self._console.is_terminal if shown is None else shown
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._shown: dict[str, str] = {}
        self._first_step = 0
        self._begun = self._logged_at = time.monotonic()

    log_seconds = 30.0
    """Seconds between two lines of the log."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the bar."""
        self._first_step, self._begun = state.global_step, time.monotonic()
        if not self._visible:
            return
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task = self._bar.add_task("", total=state.max_steps, completed=state.global_step)
        self._bar.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar, or log a line if it is time."""
        if self._bar is not None:
            self._bar.update(self._task, completed=state.global_step)
        elif time.monotonic() - self._logged_at >= self.log_seconds:
            self._logged_at = time.monotonic()
            logger.info("%s", self._line(state))

    def _line(self, state: TrainerState) -> str:
        """Steps, epoch, loss, score and time left."""
        done = state.global_step - self._first_step
        seconds = (time.monotonic() - self._begun) / max(done, 1) * (state.max_steps - state.global_step)
        words = [f"step {state.global_step}/{state.max_steps}", f"epoch {state.epoch or 0:.1f}", *self._shown.values()]
        return ", ".join([*words, f"{seconds / 60:.0f} min left"])

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show the newest loss and score."""
        for key, label in (("loss", "loss"), ("eval_field_f1", "F1"), ("eval_loss", "eval loss")):
            if logs and key in logs:
                self._shown[label] = f"{label} {logs[key]:.3f}"
        if self._bar is not None:
            self._bar.update(self._task, description=" ".join(self._shown.values()))

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
