"""The training loop: transformers' `Trainer` around a step engine, with scoring, the best weights, and resuming.

The trainer gets one batch an optimizer step and hands it to the engine whole. What a score means is up to the caller,
who passes a scorer. Knows rows and weights, not text, schemas or generation.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState

from extractft.config import TrainingConfig
from extractft.errors import TrainingError
from extractft.training.arguments import StepSampler, training_arguments
from extractft.training.callbacks import CheckpointSchedule
from extractft.training.checkpoints import (
    Progress,
    adapter_state,
    load_adapter_state,
    read_adapter,
    write_adapter,
)
from extractft.training.failures import reading
from extractft.training.memory import recomputing
from extractft.training.parallel import Processes
from extractft.training.plan import make_plan, step_with_retry
from extractft.training.reporting import reporters
from extractft.training.result import TrainingResult
from extractft.training.run_directory import RunDirectory
from extractft.training.run_identity import run_identity
from extractft.training.run_session import (
    finished_result,
    progress_bar,
    require_trainable,
    run_session,
    training_result,
)
from extractft.training.step_engine import StepEngine, label_count, mean_loss, model_device, require_finite_loss
from extractft.training.tracking import tracked
from extractft.training.training_rows import Features, TrainingRow

__all__ = ["Scorer", "train"]

Scorer = Callable[[PeftModel], Mapping[str, float]]
"""Scores the model as it stands; has to return at least `field_f1`."""

METRIC = "field_f1"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """A run's model, rows and settings, with the ways to score it; see `train`."""

    model: PeftModel
    features: Features
    config: TrainingConfig
    scorer: Scorer | None
    eval_features: Features | None
    scored_rows: int | None
    callbacks: Sequence[TrainerCallback | type[TrainerCallback]]

    def __post_init__(self) -> None:
        """Refuse a model that has nothing to train."""
        require_trainable(self.model)


def train(
    model: PeftModel,
    features: Features,
    *,
    config: TrainingConfig,
    output_dir: Path,
    scorer: Scorer | None = None,
    eval_features: Features | None = None,
    resume: bool = False,
    tokenizer: Any = None,
    progress: bool | None = None,
    checkpoint_seconds: float = 300.0,
    scored_rows: int | None = None,
    callbacks: Sequence[TrainerCallback | type[TrainerCallback]] = (),
) -> TrainingResult:
    """Train the adapter of `model`, score it after each epoch, and leave the best weights in it; see `_select`.

    Args:
        model: A PEFT model with a trainable adapter, on its device. It is in evaluation mode afterwards.
        features: Rows to train on. Processes that `torchrun` or `accelerate launch` started share each step's rows.
        config: Training settings.
        output_dir: Place of checkpoints and result, seen by all processes; a *finished* run there is replaced.
        scorer: Called with the model, in evaluation mode, after each epoch.
        eval_features: Rows whose loss is computed after each epoch.
        resume: Go on with the same run in `output_dir`: from scratch if there is none, at once if it is finished.
        tokenizer: Saved next to the kept adapter.
        progress: Show a progress bar; `None` shows one on a terminal.
        checkpoint_seconds: Seconds after which a checkpoint is written within an epoch.
        scored_rows: Texts that the scorer scores, if not as many as `eval_features` has rows.
        callbacks: Callbacks of the caller's own, which every process calls.

    Raises:
        MissingDependencyError: `config.tracking` asks for a package that is not installed.
        TrainingError: Loss or gradients are not usable, memory does not suffice, or a run cannot begin or resume.
    """
    inputs = _Inputs(model, features, config, scorer, eval_features, scored_rows, callbacks)
    with run_session(Path(output_dir)) as run:
        processes = Processes.join(model_device(model))
        run.path = processes.broadcast(run.path)
        identity = run_identity(model, features, eval_features, config, processes=processes.count)
        checkpoint = processes.on_main(lambda: run.begin(identity, resume=resume))
        if run.finished:
            return finished_result(model, run)
        result = _train_from(checkpoint, inputs, run, processes, progress=progress, seconds=checkpoint_seconds)
        return result.at(processes.on_main(lambda: run.finish(model, result.to_dict(), tokenizer)))


def _train_from(
    checkpoint: Path | None,
    inputs: _Inputs,
    run: RunDirectory,
    processes: Processes,
    *,
    progress: bool | None,
    seconds: float,
) -> TrainingResult:
    """Train to the end, from scratch or from a checkpoint, and leave the best weights in the model.

    `progress` and `seconds` are `progress` and `checkpoint_seconds` of `train`.
    """
    model, features = inputs.model, inputs.features
    state = Progress.load(checkpoint) if checkpoint else Progress()
    with ExitStack() as stack:
        plan = make_plan(model, features, inputs.config, sharing=processes.local_count)
        stack.enter_context(recomputing(model, plan.recompute))
        trainer = _StepTrainer(inputs, run, state, plan.engine, processes)
        evaluate, broadcast = bool(inputs.scorer or inputs.eval_features), processes.broadcast
        trainer.add_callback(CheckpointSchedule(evaluate=evaluate, checkpoint_seconds=seconds, broadcast=broadcast))
        for given in inputs.callbacks:
            trainer.add_callback(given)
        if processes.main:
            for callback in [*stack.enter_context(tracked(inputs.config, run.path)), *reporters(inputs.config)]:
                trainer.add_callback(callback)
            stack.enter_context(progress_bar(trainer, shown=progress))
        trainer_state = trainer.run_from(checkpoint)
    if state.best_adapter is not None:
        load_adapter_state(model, state.best_adapter)
    model.eval()
    require_finite_loss(plan.engine, features.rows[:1])
    return processes.broadcast(training_result(state, trainer_state, features, plan.engine))


class _StepTrainer(Trainer):
    """A `Trainer` whose step is an engine's and whose checkpoints are whole or not there."""

    def __init__(
        self, inputs: _Inputs, run: RunDirectory, progress: Progress, engine: StepEngine, processes: Processes
    ) -> None:
        super().__init__(
            model=inputs.model,
            args=training_arguments(inputs.config, run.path, model_device(inputs.model), processes),
            train_dataset=inputs.features,
            data_collator=_collate,
        )
        self.remove_callback(PrinterCallback)
        self.adapted = inputs.model
        self.features = inputs.features
        self.config = inputs.config
        self.run = run
        self.progress = progress
        self.engine = engine
        self.scorer = inputs.scorer
        self.eval_features = inputs.eval_features
        self.processes = processes
        self._clock = time.perf_counter()
        self._checked = False
        self._incoming = run.path
        self.scored_rows = inputs.scored_rows

    def run_from(self, checkpoint: Path | None) -> TrainerState:
        """Train to the end, from scratch or from a checkpoint, and return the trainer's final state."""
        if checkpoint is not None:
            with reading(checkpoint):
                state: TrainerState = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            logger.info("going on at step %d of %d", state.global_step, state.max_steps)
            if self.progress.stopped_early or state.global_step >= state.max_steps:
                load_adapter_state(self.adapted, read_adapter(checkpoint))
                return state
        self._clock = time.perf_counter()
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        self._count_seconds()
        return self.state

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Whole steps, the same in every process: each takes its own rows out of a step when it computes it."""
        rows_per_step = self.args.per_device_train_batch_size * self.processes.count
        steps = StepSampler(
            len(self.features), rows_per_step, seed=self.config.seed, epoch=lambda: self._epoch(len(steps))
        )
        return DataLoader(self.features, batch_sampler=steps, collate_fn=_collate)  # type: ignore[arg-type]

    def _epoch(self, steps: int) -> int:
        return int(self.state.global_step) // steps

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One optimizer step's gradients."""
        rows: Sequence[TrainingRow] = inputs["rows"]
        self.adapted.train()
        self.processes.seed_step(self.config.seed, self.state.global_step)
        loss = torch.zeros((), device=self.args.device)
        if own := self.processes.shard(rows):
            loss = step_with_retry(self.engine, self.adapted, own, labels=label_count(rows))
        loss = self.processes.all_reduce(loss, (p for p in self.adapted.parameters() if p.requires_grad))
        if not math.isfinite(loss):
            step = self.state.global_step + 1
            error = TrainingError(f"expected a finite loss, found {float(loss)} at step {step}")
            raise error.hint("Lower learning_rate, or set dtype='float32' if the base model runs in half precision.")
        if not self._checked:
            _require_gradients(self.adapted)
            self._checked = True
        self.progress.tokens += sum(len(row) for row in rows)
        return loss.to(self.args.device)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Score the model, keep its weights if they are the best so far, stop if patience has run out."""
        if self.scorer is None and self.eval_features is None:  # a callback asked, and there is nothing to score with
            return {}
        self._count_seconds()
        self.adapted.eval()
        with _untouched_randomness(model_device(self.adapted)):
            metrics = self.processes.on_main(self._metrics)
        named = {f"eval_{name}": value for name, value in metrics.items()}
        self.log(named)
        self._select(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
        now = time.perf_counter()
        self.progress.scoring_seconds += now - self._clock
        self._clock = now
        logger.info("epoch %.2f: %s", self.state.epoch or 0, ", ".join(f"{k} {v:.4f}" for k, v in metrics.items()))
        return metrics

    def _metrics(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self.scorer is not None:
            metrics.update((name, float(value)) for name, value in self.scorer(self.adapted).items())
            if METRIC not in metrics:
                raise TrainingError(f"expected the scorer to return {METRIC!r}, found {sorted(metrics)}")
        if self.eval_features is not None:
            batch = self.config.per_device_train_batch_size
            metrics["loss"] = mean_loss(self.engine, self.eval_features.rows, chunk=batch)
        return metrics

    def _select(self, metrics: dict[str, float]) -> None:
        """Keep the weights if they are the best so far.

        The best have the highest `field_f1`, until later ones have a lower evaluation loss and a score within one
        standard error of it, which so few held-out rows cannot tell apart. Without a scorer they have the lowest loss.
        """
        progress, patience = self.progress, self.config.early_stopping_patience
        best, highest, score = progress.best_metrics, progress.highest, _score(metrics)
        if best is None or highest is None or score > highest or self._as_good(metrics, best, highest):
            progress.best_adapter = adapter_state(self.adapted)
            progress.best_step = self.state.global_step
            progress.best_metrics = metrics
        if highest is None or score > highest:
            progress.highest, progress.evaluations_without_gain = score, 0
        else:
            progress.evaluations_without_gain += 1
        if patience is not None and progress.evaluations_without_gain >= patience:
            progress.stopped_early = self.state.global_step < self.state.max_steps
            self.control.should_training_stop = True

    def _as_good(self, metrics: Mapping[str, float], best: Mapping[str, float], highest: float) -> bool:
        """True if weights of a lower loss have a score that the few held-out rows cannot tell from the highest."""
        if METRIC not in metrics or self.eval_features is None:
            return False
        rows = min(self.scored_rows or len(self.eval_features.rows), self.config.max_eval_rows)
        error = math.sqrt(max(0.0, highest * (1 - highest)) / rows)
        return metrics[METRIC] >= highest - error and metrics["loss"] < best["loss"]

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._count_seconds()
        if not self.processes.main:
            return
        with self.run.new_checkpoint(self.state.global_step) as directory:
            self._incoming = directory
            super()._save_checkpoint(model, trial)
            written = directory / f"checkpoint-{self.state.global_step}"
            for entry in written.iterdir():
                entry.rename(directory / entry.name)
            written.rmdir()
            self.progress.save(directory)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._incoming)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        write_adapter(self.adapted, Path(output_dir or self._incoming))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with reading(Path(resume_from_checkpoint)):
            load_adapter_state(self.adapted, read_adapter(Path(resume_from_checkpoint)))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading(Path(checkpoint or "")):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading(Path(checkpoint or "")):
            super()._load_rng_state(checkpoint)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the trainer's formula knows nothing of shared prefixes."""
        return 0

    def store_flos(self) -> None:
        """Not counted, so not added up either, which all processes would have to do together."""

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self._clock
        self._clock = now


def _collate(rows: list[TrainingRow]) -> dict[str, list[TrainingRow]]:
    return {"rows": rows}


def _score(metrics: Mapping[str, float]) -> float:
    """Value by which evaluations are compared: the score, or the loss without one."""
    return metrics[METRIC] if METRIC in metrics else -metrics.get("loss", 0.0)


def _require_gradients(model: nn.Module) -> None:
    """After the first backward pass every `lora_B` must have a gradient, or it would never leave zero.

    Experts of a mixture may have been left out by the router.
    """
    silent = [
        name
        for name, parameter in model.named_parameters()
        if "lora_B" in name
        and parameter.requires_grad
        and "expert" not in name
        and (parameter.grad is None or not parameter.grad.any())
    ]
    if silent:
        raise TrainingError(
            f"expected a gradient for every lora_B, found none for {len(silent)}, such as {silent[0]}"
        ).hint("A layer that takes no part in the answer cannot be a target: see TrainingConfig.lora.target_modules.")


@contextmanager
def _untouched_randomness(device: torch.device) -> Iterator[None]:
    """Scoring takes no numbers from the stream that dropout uses: a scored run trains like one without."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
