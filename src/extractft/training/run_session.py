"""Beginning and end of a run: its directory held, its progress shown, its result told. Knows no step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from peft import PeftModel
from transformers import Trainer, TrainerState

from extractft.errors import TrainingError
from extractft.training.callbacks import ProgressBar
from extractft.training.checkpoints import Progress, load_adapter_state, read_adapter
from extractft.training.failures import reading
from extractft.training.parallel import is_main_process
from extractft.training.randomness import exclusive_randomness
from extractft.training.result import TrainingResult
from extractft.training.run_directory import BEST, RunDirectory
from extractft.training.step_engine import StepEngine
from extractft.training.training_rows import Features

__all__ = ["finished_result", "progress_bar", "require_trainable", "run_session", "training_result"]


@contextmanager
def run_session(output_dir: Path) -> Iterator[RunDirectory]:
    """The run's directory and the random numbers of the process, which no other run may use meanwhile."""
    run = RunDirectory(output_dir)
    with ExitStack() as stack:
        if is_main_process():
            stack.enter_context(run.held())
        stack.enter_context(exclusive_randomness())
        yield run


def finished_result(model: PeftModel, run: RunDirectory) -> TrainingResult:
    """The result of a run that came to its end, its weights in the model."""
    values = run.result()
    best = run.path / BEST
    with reading(best):
        load_adapter_state(model, read_adapter(best))
        result = TrainingResult.from_dict(values, best_checkpoint=best)
    model.eval()
    return result


def require_trainable(model: PeftModel) -> None:
    """Refuse a model without adapter weights in float32 to train.

    Raises:
        TrainingError: There are none, or they are of another type.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise TrainingError("expected a model with trainable adapter weights, found none").hint(
            "Load the adapter with trainable=True."
        )
    low = {str(parameter.dtype) for parameter in trainable} - {"torch.float32"}
    if low:
        raise TrainingError(f"expected adapter weights in float32, found {', '.join(sorted(low))}")


@contextmanager
def progress_bar(trainer: Trainer, *, shown: bool | None) -> Iterator[None]:
    """A bar that shows the steps of a trainer, on a terminal if `shown` is `None`."""
    bar = ProgressBar(shown=shown)
    trainer.add_callback(bar)
    try:
        yield
    finally:
        bar.close()


def training_result(progress: Progress, state: TrainerState, features: Features, engine: StepEngine) -> TrainingResult:
    """The result of a run that came to its end."""
    history = tuple(dict(entry) for entry in state.log_history if "train_runtime" not in entry)
    return TrainingResult(
        metrics=dict(progress.best_metrics or {}),
        best_step=progress.best_step if progress.best_metrics else state.global_step,
        log_history=history,
        steps=state.global_step,
        seconds=progress.seconds,
        scoring_seconds=progress.scoring_seconds,
        tokens=progress.tokens,
        skipped=features.skipped,
        engine=engine.name,
        stopped_early=progress.stopped_early,
    )
