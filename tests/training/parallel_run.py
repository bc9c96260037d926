"""Train in this process or, started by `torchrun`, in several at once, and report what came out.

    python parallel_run.py DIRECTORY                                   # one process, twice the batch
    torchrun --nproc-per-node 2 parallel_run.py DIRECTORY [STOP_AT]    # two; the last is killed at a step if one is given

Rows are few enough for a last step that has none for the second process.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback

from extractft.config import PROJECTIONS, TrainingConfig
from extractft.testing import tiny_model
from extractft.training import Features, TrainingRow, train, trainer
from extractft.training.checkpoints import adapter_state
from extractft.training.packed_batches import PackedEngine

RANK, COUNT = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def rows(count: int, seed: int) -> Features:
    generator = random.Random(seed)
    prefix = tuple(range(10, 20))
    ids = [tuple(generator.randrange(256) for _ in range(generator.randint(3, 20))) for _ in range(2 * count)]
    return Features(
        tuple(TrainingRow(prefix + a, (*b, 258)) for a, b in zip(ids[::2], ids[1::2], strict=True)), len(prefix)
    )


def score(model: Any) -> dict[str, float]:
    """Goes up and down with the weights, so that patience runs out; only in the main process."""
    assert RANK == 0
    score.calls += 1  # type: ignore[attr-defined]
    weights = torch.stack([p.detach().sum() for n, p in model.named_parameters() if "lora_B" in n])
    return {"field_f1": float((20 * weights.sum()).sin())}


score.calls = 0  # type: ignore[attr-defined]


class Told(TrainerCallback):
    """Scores as a callback of this process is told of them."""

    def __init__(self) -> None:
        self.scores: list[float] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        self.scores.append(metrics["eval_field_f1"])


def stop_at(step: int) -> None:
    inner, calls = trainer.step_with_retry, 0

    def step_with_retry(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            os._exit(9)
        return inner(*args, **kwargs)

    trainer.step_with_retry = step_with_retry


def main(directory: Path, stop: int | None) -> None:
    torch.set_num_threads(1)
    if stop is not None and RANK == COUNT - 1:
        stop_at(stop)
    model = tiny_model(num_hidden_layers=2)
    torch.manual_seed(RANK)  # the main process's adapter is everyone's
    model = get_peft_model(model, LoraConfig(r=4, lora_dropout=0.0, target_modules=list(PROJECTIONS)))
    told = Told()
    result = train(
        model,
        rows(9, seed=1),
        config=TrainingConfig(
            num_train_epochs=6,
            per_device_train_batch_size=2 * 2 // COUNT,
            gradient_accumulation_steps=1,
            learning_rate=5e-3,
            early_stopping_patience=1,
            seed=7,
        ),
        output_dir=directory / "run",
        scorer=score,
        eval_features=rows(3, seed=2),
        resume=True,
        checkpoint_seconds=0.0,
        callbacks=[told],
    )
    assert isinstance(result.engine, str)
    assert PackedEngine.name == result.engine
    weights = {name: tensor.flatten().tolist() for name, tensor in adapter_state(model).items()}
    report = {"weights": weights, "result": result.to_dict(), "scored": score.calls, "told": told.scores}  # type: ignore[attr-defined]
    (directory / f"report-{RANK}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
