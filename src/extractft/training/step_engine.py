"""The seam between the trainer and the ways to compute a step: rows in, accumulated gradients out.

An engine is given all rows of one optimizer step and may split them as it likes. Knows no optimizer and no schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from extractft.errors import TrainingError
from extractft.training.training_rows import TrainingRow

__all__ = ["StepEngine", "label_count", "mean_loss", "model_device", "require_finite_loss", "unwrapped"]


class StepEngine(Protocol):
    """Computes the loss of a step and its gradients."""

    name: str
    """Shown in logs and results: `"padded"`, `"packed"`."""

    def backward(self, rows: Sequence[TrainingRow], *, labels: int) -> Tensor:
        """Add the gradients of the summed cross-entropy divided by `labels` to the trainable parameters.

        Args:
            rows: The rows of this optimizer step (on this device).
            labels: Target tokens of the whole optimizer step, over all devices.

        Returns:
            The summed cross-entropy divided by `labels`, a detached float32 scalar on the model's device.
        """
        ...

    def halve(self) -> bool:
        """Work in passes of half the size from now on; `False` if they cannot be smaller."""
        ...

    def loss_sum(self, rows: Sequence[TrainingRow]) -> Tensor:
        """The summed cross-entropy without gradients, a float32 scalar on the model's device."""
        ...


def label_count(rows: Sequence[TrainingRow]) -> int:
    """Target tokens of these rows."""
    return sum(len(row.completion_ids) for row in rows)


def mean_loss(engine: StepEngine, rows: Sequence[TrainingRow], *, chunk: int) -> float:
    """Cross-entropy per target token over `rows`, in nats, computed `chunk` rows at a time without gradients."""
    total = 0.0
    with torch.no_grad():
        for start in range(0, len(rows), chunk):
            total += float(engine.loss_sum(rows[start : start + chunk]))
    return total / label_count(rows)


def require_finite_loss(engine: StepEngine, rows: Sequence[TrainingRow]) -> None:
    """Refuse weights that the last step has spoilt: its own loss was computed before it.

    Raises:
        TrainingError: The model's outputs are no numbers any more.
    """
    loss = mean_loss(engine, rows, chunk=1)
    if not math.isfinite(loss):
        raise TrainingError(f"expected a finite loss after training, found {loss}").hint("Lower learning_rate.")


def model_device(model: nn.Module) -> torch.device:
    """Device of the model's first parameter."""
    return next(model.parameters()).device


def unwrapped(model: nn.Module) -> Any:
    """The transformers model inside PEFT's wrapper, adapters still in place; the model itself if there is none.

    `Any`, since the methods used on it are untyped in transformers.
    """
    getter: Any = getattr(model, "get_base_model", None)
    return getter() if getter else model
