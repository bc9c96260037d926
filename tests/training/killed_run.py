"""Train in child processes that kill themselves with SIGKILL, resume until the end, and report what came out.

    python killed_run.py DIRECTORY '{"name": [CHECKPOINT_SECONDS, [["step", 3], ["fsync", 20], ...]], ...}'

Each run of the given name takes place in a directory of that name. Each entry is one session: killed before the
gradients of the given step of that session (`step`), after them (`gradients`), after scoring (`score`), at the given
flush of a file (`fsync`) or after the given renaming (`rename`). A last session is left alone.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from extractft.config import PROJECTIONS, TrainingConfig
from extractft.testing import tiny_model
from extractft.training import Features, TrainingRow, train, trainer
from extractft.training.callbacks import CheckpointSchedule

CONFIG = TrainingConfig(
    num_train_epochs=3, per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=5e-3, seed=7
)


def rows(count: int, seed: int) -> Features:
    generator = random.Random(seed)
    prefix = tuple(range(10, 20))
    ids = [tuple(generator.randrange(256) for _ in range(generator.randint(3, 9))) for _ in range(2 * count)]
    return Features(
        tuple(TrainingRow(prefix + a, (*b, 258)) for a, b in zip(ids[::2], ids[1::2], strict=True)), len(prefix)
    )


def score(model: Any) -> dict[str, float]:
    """Depends on the weights, goes up and down, and uses up random numbers as sampling would."""
    weights = torch.stack([p.detach().sum() for n, p in model.named_parameters() if "lora_B" in n])
    return {"field_f1": float((100 * weights.sum()).sin()) + 0 * float(torch.rand(3).sum())}


def session(directory: Path, checkpoint_seconds: float, *, resume: bool) -> None:
    torch.set_num_threads(1)
    model = tiny_model(num_hidden_layers=2)
    torch.manual_seed(0)
    model = get_peft_model(model, LoraConfig(r=4, lora_dropout=0.2, target_modules=list(PROJECTIONS)))
    result = train(
        model,
        rows(14, seed=1),
        config=CONFIG,
        output_dir=directory,
        scorer=lambda model: trainer_score(model),
        eval_features=rows(3, seed=2),
        resume=resume,
        progress=False,
        checkpoint_seconds=checkpoint_seconds,
    )
    history = list(result.log_history)
    weights = {n: p.detach().double().sum().item() for n, p in model.named_parameters() if "lora_" in n}
    report = {"history": history, "weights": weights, "steps": result.steps, "best_step": result.best_step}
    (directory / "report.json").write_text(json.dumps({**report, "tokens": result.tokens}))


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(count: int, function: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and before:
            die()
        value = function(*args, **kwargs)
        if calls == count:
            die()
        return value

    return wrapped


trainer_score = score


def arm(kind: str, count: int) -> None:
    global trainer_score
    if kind == "score":
        trainer_score = at_call(count, score, before=False)
    elif kind == "fsync":
        os.fsync = at_call(count, os.fsync, before=False)
    elif kind == "rename":
        os.rename = at_call(count, os.rename, before=False)
    else:
        trainer.step_with_retry = at_call(count, trainer.step_with_retry, before=kind == "step")


def run(directory: Path, checkpoint_seconds: float, kills: list[Any]) -> None:
    for number, kill in enumerate([*kills, None]):
        child = os.fork()
        if not child:
            if kill:
                arm(*kill)
            session(directory, checkpoint_seconds, resume=number > 0)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != (-signal.SIGKILL if kill else 0):
            sys.exit(f"session {number} ({kill}) in {directory.name} ended with {status}")


if __name__ == "__main__":
    CheckpointSchedule.epoch_seconds = 0.0
    for name, (seconds, sessions) in json.loads(sys.argv[2]).items():
        run(Path(sys.argv[1]) / name, seconds, sessions)
