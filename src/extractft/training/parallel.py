"""Several processes that train one model together: whose rows are whose, who writes, what all of them broadcast on.

The processes are those that `torchrun` or `accelerate launch` started; without them there is one, and nothing here does
anything. Gradients are added up by hand, since the steps of an engine do not pass through a wrapper's forward call.
Knows rows and gradients; no files, no schedule.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from extractft.errors import TrainingError
from extractft.training.training_rows import TrainingRow, partition_by_tokens

__all__ = ["PATIENCE", "Processes", "is_main_process"]

PATIENCE = timedelta(days=1)
"""Time that processes wait for each other: scoring takes as long as it takes, and a launcher ends them if one dies."""

T = TypeVar("T")


def is_main_process() -> bool:
    """True in the process that writes: the only one, or the first of those that a launcher started."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Number of this process; 0 is the main one, which scores and writes.
        count: Processes in all.
        local_count: Processes on this machine, which share its memory.
    """

    rank: int = 0
    count: int = 1
    local_count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Meet the other processes that were started with this one, if there are any.

        Args:
            device: Where this process computes.

        Raises:
            TrainingError: They were started, but PyTorch is built without support for them.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if not distributed.is_available():
            if count > 1:
                raise TrainingError(f"expected PyTorch with torch.distributed for {count} processes, found one without")
            return cls()
        if not distributed.is_initialized():
            if count == 1:
                return cls()
            backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, timeout=PATIENCE)
        count = distributed.get_world_size()
        return cls(distributed.get_rank(), count, int(os.environ.get("LOCAL_WORLD_SIZE", count)))

    @property
    def main(self) -> bool:
        """True in the process that scores and writes."""
        return self.rank == 0

    def broadcast(self, value: T) -> T:
        """The main process's value, in all of them."""
        if self.count == 1:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box, src=0)
        agreed: T = box[0]
        return agreed

    def on_main(self, function: Callable[[], T]) -> T:
        """Call `function` in the main process alone, and return its result in all of them.

        Raises:
            TrainingError: It failed in the main process, which raises its own error.
        """
        if self.count == 1:
            return function()
        value: T | None = None
        failure: Exception | None = None
        if self.main:
            try:
                value = function()
            except Exception as error:
                failure = error
        value, failed = self.broadcast((value, type(failure).__name__ if failure else None))
        if failure is not None:
            raise failure
        if failed is not None:
            raise TrainingError(f"the main process failed ({failed}); its own message says why")
        return value  # type: ignore[return-value]

    def shard(self, rows: Sequence[TrainingRow]) -> Sequence[TrainingRow]:
        """This process's rows out of those of one step, about as many tokens as the others'; maybe none."""
        return rows if self.count == 1 else partition_by_tokens(rows, self.count)[self.rank]

    def seed_step(self, seed: int, step: int) -> None:
        """Dropout that differs between processes and depends on seed and step alone, so that none has to be saved."""
        if self.count > 1:
            torch.manual_seed((seed * 1_000_003 + step) * self.count + self.rank)

    def all_reduce(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Replace the parameters' gradients by their sums over all processes.

        Args:
            loss: This process's share of the loss, detached.
            parameters: The trainable parameters, float32. One without a gradient in every process keeps none.

        Returns:
            The loss of all processes together.
        """
        if self.count == 1:
            return loss
        trained = list(parameters)
        device = trained[0].device
        found = torch.tensor([parameter.grad is not None for parameter in trained], dtype=torch.float32, device=device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        # One message instead of one for each of hundreds of small matrices.
        message = torch.cat([loss.reshape(1).to(device), found, *(gradient.flatten() for gradient in gradients)])
        distributed.all_reduce(message)
        total, found, sums = torch.split(message, [1, len(trained), message.numel() - 1 - len(trained)])
        for parameter, count, gradient in zip(
            trained, found.tolist(), torch.split(sums, [p.numel() for p in trained]), strict=True
        ):
            parameter.grad = gradient.view_as(parameter) if count else None
        return total[0]
