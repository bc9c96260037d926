"""The plan of a run's steps: the engine, the size of its passes, and the activations to recompute.

Decided once before training, from what a token costs and what memory there is; corrected when memory runs out all the
same.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from extractft.config import TrainingConfig
from extractft.errors import PerformanceWarning, TrainingError
from extractft.modeling import available_memory, is_out_of_memory
from extractft.training.memory import (
    RECOMPUTE,
    Recompute,
    can_recompute_cheap,
    decoder_weights,
    recomputed_bytes_per_token,
    saved_bytes_per_token,
)
from extractft.training.packed_batches import packed_engine
from extractft.training.padded_batches import PaddedEngine
from extractft.training.step_engine import StepEngine, model_device, unwrapped
from extractft.training.training_rows import Features, TrainingRow

__all__ = ["Plan", "make_plan", "step_with_retry"]

SHARE = 0.6
"""Share of the free memory that a pass's activations may take; the rest is for logits, gradients and workspaces."""
MAX_TOKENS = 16384
"""Tokens in one packed pass at most: beyond it nothing is gained, however much memory there is."""
CPU_TOKENS = 256
"""Tokens of rows in one packed pass of a large model on a CPU: products are as fast as they get, and less is kept."""
LARGE = 300_000_000
"""Decoder weights from which on a CPU's time goes into products: smaller passes and recomputing the rest are then free.
Below, they are not: 135M weights took half as long again (`docs/lab-notes.md`)."""
LOGIT_COPIES = 3
"""Padded passes hold the logits of all tokens, their softmax and their gradients, in float32."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run's steps.

    Attributes:
        engine: Computes them.
        recompute: What is recomputed in the backward pass.
    """

    engine: StepEngine
    recompute: Recompute


def make_plan(model: nn.Module, features: Features, config: TrainingConfig, *, sharing: int = 1) -> Plan:
    """The fastest way that works with this model and fits into memory.

    Rows in a pass are `per_device_train_batch_size` at most. A pass of fewer rows costs a packing engine little,
    recomputing whole layers a third more, so passes shrink down to one row before that is done.

    Args:
        model: The model with its adapter.
        features: Rows to train on.
        config: Training settings.
        sharing: Processes that share the memory of a CPU.
    """
    device = model_device(model)
    budget = SHARE * available_memory(device) / (sharing if device.type == "cpu" else 1)
    rows, longest = config.per_device_train_batch_size, max(features.lengths)
    packed = packed_engine(model, max_rows=rows, max_tokens=MAX_TOKENS)
    smallest_pass = longest
    if isinstance(packed, str):
        warnings.warn(
            f"Training goes with padded batches, which takes longer and gives the same weights: {packed}. To avoid it, "
            "take a base model with plain attention, such as Llama, Qwen3, Gemma 3 or Mistral.",
            PerformanceWarning,
            stacklevel=2,
        )
        smallest_pass = rows * longest
        budget -= smallest_pass * LOGIT_COPIES * 4 * unwrapped(model).config.get_text_config().vocab_size
    recompute, cost = _recompute(model, config.gradient_checkpointing, budget / smallest_pass)
    if isinstance(packed, str):
        return Plan(PaddedEngine(model, batch_size=rows), recompute)
    packed.max_tokens = min(MAX_TOKENS, max(longest, int(budget / cost)))
    if _is_large_on_cpu(model):
        packed.max_tokens = min(packed.max_tokens, features.prefix_length + CPU_TOKENS)
    return Plan(packed, recompute)


def _recompute(model: nn.Module, wanted: bool | str, bytes_per_token: float) -> tuple[Recompute, int]:
    """Activations to recompute so that a token keeps at most `bytes_per_token`, and the bytes that it keeps then.

    For a large model on a CPU what is cheap is always recomputed, since it takes no time that could be measured; for a
    small one, and on a GPU, the many small operations do, so only when needed.
    """
    saved = saved_bytes_per_token(model)
    choices = RECOMPUTE
    if wanted == "auto":
        choices = choices[1:] if _is_large_on_cpu(model) else choices
        if not can_recompute_cheap(model):
            choices = ("nothing", "layers")
    else:
        choices = ("layers",) if wanted else ("nothing",)
    costs = {choice: recomputed_bytes_per_token(model, saved, choice) for choice in choices}
    chosen = next((choice for choice in choices if costs[choice] <= bytes_per_token), choices[-1])
    if chosen != choices[0]:
        logger.info("recomputing activations: memory for %.1f MB a token, not %.1f", bytes_per_token / 1e6, saved / 1e6)
    return chosen, costs[chosen]


def _is_large_on_cpu(model: nn.Module) -> bool:
    return model_device(model).type == "cpu" and decoder_weights(model) >= LARGE


def step_with_retry(engine: StepEngine, model: nn.Module, rows: Sequence[TrainingRow], *, labels: int) -> Tensor:
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
            raise TrainingError(f"expected memory for a pass over one row of {longest} tokens, found less").hint(
                "Set gradient_checkpointing=True, lower max_length, or take a smaller base model or lora.r."
            ) from failure
        logger.warning("out of memory: going on with smaller passes")
