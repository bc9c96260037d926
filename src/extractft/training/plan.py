"""Which engine computes the steps, whether activations are recomputed, and what happens when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import Tensor, nn

from extractft.config import TrainingConfig
from extractft.errors import TrainingError
from extractft.training.engine import StepEngine, model_device
from extractft.training.features import Features, Row
from extractft.training.memory import available_memory, is_out_of_memory, saved_bytes_per_token
from extractft.training.padded import PaddedEngine

__all__ = ["make_engine", "needs_checkpointing", "step_with_retry"]

SHARE = 0.6
"""Share of the free memory that a step's activations may take; the rest is for logits, gradients and workspaces."""
logger = logging.getLogger(__name__)


def make_engine(model: nn.Module, config: TrainingConfig) -> StepEngine:
    """The fastest engine that works with this model."""
    return PaddedEngine(model, batch_size=config.per_device_train_batch_size)


def needs_checkpointing(model: nn.Module, features: Features, config: TrainingConfig) -> bool:
    """Whether to recompute activations: as configured, or when the largest pass would not fit."""
    if config.gradient_checkpointing != "auto":
        return config.gradient_checkpointing
    device = model_device(model)
    tokens = config.per_device_train_batch_size * max(features.lengths)
    needed = tokens * saved_bytes_per_token(model)
    free = available_memory(device)
    decided = needed > SHARE * free
    if decided:
        logger.info("recomputing activations: a pass would keep %.1f GB of %.1f GB free", needed / 1e9, free / 1e9)
    return decided


def step_with_retry(engine: StepEngine, model: nn.Module, rows: Sequence[Row], *, labels: int) -> Tensor:
    """The engine's `backward`, in smaller and smaller passes when memory runs out.

    Raises:
        TrainingError: Memory does not suffice for one row at a time.
    """
    while True:
        try:
            return engine.backward(rows, labels=labels)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)  # the traceback would keep the failed pass in memory
        model.zero_grad(set_to_none=True)
        if not engine.halve():
            longest = max(len(row) for row in rows)
            raise TrainingError(f"expected memory for a pass over one row ({longest} tokens), found too little").hint(
                "Set gradient_checkpointing=True, lower max_length, or take a smaller base model or lora.r."
            ) from failure
        logger.warning("out of memory: going on with smaller passes")
