"""Parts of a checkpoint: the adapter's weights and the progress of the run.

Knows adapter weights and files, not the training loop and not where checkpoints lie.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractft.errors import TrainingError
from extractft.training.failures import reading

__all__ = ["Progress", "adapter_state", "load_adapter_state", "read_adapter", "write_adapter"]

ADAPTER = "adapter_model.safetensors"


@dataclass
class Progress:
    """Progress of a run beyond the trainer's own state: the best weights and the counters.

    Attributes:
        best_metrics: Metrics of the evaluation whose weights are kept; `None` before the first.
        best_step: Optimizer step of that evaluation.
        best_adapter: Adapter weights at that step, on the CPU.
        highest: The highest score of all evaluations, which is not always that of the best one.
        evaluations_without_gain: Evaluations since the highest score.
        stopped_early: Whether patience ran out.
        seconds: Seconds of training so far, scoring not counted, over all sessions of the run.
        scoring_seconds: Seconds of scoring so far.
        tokens: Tokens trained on so far, prompt and completion.
    """

    best_metrics: dict[str, float] | None = None
    best_step: int = 0
    best_adapter: dict[str, Tensor] | None = field(default=None, repr=False)
    highest: float | None = None
    evaluations_without_gain: int = 0
    stopped_early: bool = False
    seconds: float = 0.0
    scoring_seconds: float = 0.0
    tokens: int = 0

    def save(self, directory: Path) -> None:
        """Write into a checkpoint that is being made."""
        values = {name: value for name, value in vars(self).items() if name != "best_adapter"}
        (directory / "progress.json").write_text(json.dumps(values, indent=2), encoding="utf-8")
        if self.best_adapter is not None:
            save_file(self.best_adapter, directory / "best_adapter.safetensors")

    @classmethod
    def load(cls, directory: Path) -> Progress:
        """Read from a whole checkpoint.

        Raises:
            TrainingError: Another version wrote it.
        """
        with reading(directory):
            progress = cls(**json.loads((directory / "progress.json").read_text(encoding="utf-8")))
            if progress.best_metrics is not None:
                progress.best_adapter = load_file(directory / "best_adapter.safetensors")
            return progress


def adapter_state(model: PeftModel) -> dict[str, Tensor]:
    """A copy of the adapter's weights on the CPU, under the names that PEFT files have."""
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}


def load_adapter_state(model: PeftModel, state: Mapping[str, Tensor]) -> None:
    """Put weights from `adapter_state` back into the model.

    Raises:
        TrainingError: The weights are those of another adapter.
    """
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes, found = _shapes(expected), _shapes(state)
    different = {name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name)}
    if different:
        raise TrainingError(
            f"expected the weights of this adapter ({len(expected)} tensors), "
            f"found others: {len(different)} missing, unknown or of another shape, such as {min(different)}"
        )
    with torch.no_grad():
        set_peft_model_state_dict(model, dict(state))


def write_adapter(model: PeftModel, directory: Path) -> None:
    """Write `adapter_model.safetensors` and `adapter_config.json`, without asking any hub about the base model."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(adapter_state(model), directory / ADAPTER, metadata={"format": "pt"})
    model.peft_config[model.active_adapter].save_pretrained(str(directory))


def read_adapter(directory: Path) -> dict[str, Tensor]:
    """The weights that `write_adapter` wrote."""
    state: dict[str, Tensor] = load_file(directory / ADAPTER)
    return state


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
