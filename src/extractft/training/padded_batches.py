"""The slow, obvious way to compute a step: padded micro-batches and logits everywhere.

It is the reference that faster engines are tested against, and the one way that works with every causal LM. The loss
is weighted by tokens over the whole optimizer step, so splitting it into micro-batches changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractft.training.step_engine import model_device
from extractft.training.training_rows import IGNORED, TrainingRow

__all__ = ["PaddedEngine", "pad_rows"]


class PaddedEngine:
    """Padded micro-batches.

    Args:
        model: A causal LM, wrapped by PEFT or not.
        batch_size: Rows in one forward and backward pass.
    """

    name = "padded"

    def __init__(self, model: nn.Module, *, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size

    def backward(self, rows: Sequence[TrainingRow], *, labels: int) -> Tensor:
        """See `StepEngine.backward`."""
        total = torch.zeros((), device=model_device(self.model))
        for batch in self._micro_batches(rows):
            loss = self._loss_sum(batch) / labels
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def loss_sum(self, rows: Sequence[TrainingRow]) -> Tensor:
        """See `StepEngine.loss_sum`."""
        with torch.no_grad():
            return torch.stack([self._loss_sum(batch) for batch in self._micro_batches(rows)]).sum()

    def halve(self) -> bool:
        """Work on half as many rows at a time; `False` if one row was the size already."""
        if self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True

    def _micro_batches(self, rows: Sequence[TrainingRow]) -> Iterator[Sequence[TrainingRow]]:
        """Rows of about the same length together, so that little is padded; the longest first."""
        rows = sorted(rows, key=len, reverse=True)
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    def _loss_sum(self, rows: Sequence[TrainingRow]) -> Tensor:
        input_ids, attention_mask, labels = pad_rows(rows, device=model_device(self.model))
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        shifted = logits[:, :-1].flatten(0, 1).float()
        return F.cross_entropy(shifted, labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum")


def pad_rows(rows: Sequence[TrainingRow], *, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Input ids, attention mask and labels, each of shape `[rows, longest row]`, padded on the right.

    The padding id is 0 and means nothing: the mask hides it and its label is `IGNORED`.
    """
    width = max(len(row) for row in rows)
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    for i, row in enumerate(rows):
        input_ids[i, : len(row)] = torch.tensor(row.ids)
        attention_mask[i, : len(row)] = 1
        labels[i, : len(row)] = torch.tensor(row.labels)
    return input_ids.to(device), attention_mask.to(device), labels.to(device)
