"""What a run leaves on disk, so that a kill at any moment costs little and breaks nothing.

```
output_dir/
  run.json               what is being trained: a resumed run has to be the same one
  checkpoint-120/        adapter, optimizer, schedule, random state, trainer state, progress, best adapter so far
  best/                  the adapter that was kept, once the run is finished; PEFT can load it
  result.json            how the run ended; its presence means finished
```

A directory or file gets its final name only when it is complete, so whatever has such a name can be trusted. Knows
files and adapter weights, not the training loop.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from extractft.errors import TrainingError

__all__ = ["Progress", "RunDirectory", "adapter_state", "load_adapter_state", "read_adapter", "write_adapter"]

ADAPTER = "adapter_model.safetensors"
PREFIX = "checkpoint-"
PARTIAL = ".partial-"


@dataclass
class Progress:
    """What the run has reached beyond the trainer's own state: the best weights and the counters.

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
        """Read from a complete checkpoint."""
        progress = cls(**json.loads((directory / "progress.json").read_text(encoding="utf-8")))
        if progress.best_metrics is not None:
            progress.best_adapter = load_file(directory / "best_adapter.safetensors")
        return progress


class RunDirectory:
    """The output directory of one run.

    Args:
        path: The directory; made when the run starts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, identity: Mapping[str, Any], *, resume: bool) -> Path | None:
        """Start the run or find where it goes on.

        Args:
            identity: What is trained; compared with the interrupted run's.
            resume: Go on with what is there. With nothing there the run starts from scratch.

        Returns:
            The newest complete checkpoint, or `None` to start from scratch.

        Raises:
            TrainingError: An interrupted run is there and `resume` is off, or it trained something else.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._discard(*self.path.glob(f"{PARTIAL}*"))
        checkpoints = self._checkpoints()
        if resume and (self.path / "run.json").exists():
            self._require_same(identity)
        elif checkpoints and not self.finished:
            raise TrainingError(f"expected no interrupted run in {self.path}, found {checkpoints[-1].name}").hint(
                "Pass resume=True to go on with it, or another output_dir to start afresh."
            )
        else:
            (self.path / "result.json").unlink(missing_ok=True)
            self._discard(*checkpoints, self.path / "best")
            checkpoints = []
            self._write_json("run.json", identity)
        self._discard(*checkpoints[:-1])
        return checkpoints[-1] if checkpoints else None

    @property
    def finished(self) -> bool:
        """Whether the run in this directory came to its end."""
        return (self.path / "result.json").exists()

    @property
    def incoming(self) -> Path:
        """Where the next checkpoint is written before it is published."""
        return self.path / f"{PARTIAL}incoming"

    def publish(self, checkpoint: Path) -> Path:
        """Give a complete checkpoint its name and drop the older ones.

        Args:
            checkpoint: A directory named `checkpoint-N` inside `incoming`.
        """
        _sync(checkpoint)
        target = self.path / checkpoint.name
        older = self._checkpoints()
        self._discard(target)
        checkpoint.rename(target)
        _sync_directory(self.path)
        self._discard(*(path for path in older if path != target), self.incoming)
        return target

    def finish(self, model: PeftModel, result: Mapping[str, Any], tokenizer: Any = None) -> Path:
        """Keep the model's adapter in `best/`, note the result, drop the checkpoints.

        Returns:
            The directory of the adapter.
        """
        partial, best = self.path / f"{PARTIAL}best", self.path / "best"
        write_adapter(model, partial)
        if tokenizer is not None:
            tokenizer.save_pretrained(partial)
        _sync(partial)
        self._discard(best)
        partial.rename(best)
        self._write_json("result.json", result)
        self._discard(*self._checkpoints())
        return best

    def result(self) -> dict[str, Any]:
        """What `finish` noted."""
        values: dict[str, Any] = json.loads((self.path / "result.json").read_text(encoding="utf-8"))
        return values

    def _checkpoints(self) -> list[Path]:
        """Complete checkpoints, the oldest first."""
        found = {
            int(path.name.removeprefix(PREFIX)): path
            for path in self.path.glob(f"{PREFIX}*")
            if path.name.removeprefix(PREFIX).isdecimal() and (path / "progress.json").exists()
        }
        return [found[step] for step in sorted(found)]

    def _require_same(self, identity: Mapping[str, Any]) -> None:
        before = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        now = json.loads(json.dumps(identity))
        if before == now:
            return
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        details = "; ".join(f"{name}: expected {before.get(name)}, found {now.get(name)}" for name in names)
        raise TrainingError(f"the interrupted run in {self.path} trained something else: {details}").hint(
            "Resume with the same data, base model and settings, or pass another output_dir."
        )

    def _write_json(self, name: str, values: Mapping[str, Any]) -> None:
        partial = self.path / f"{PARTIAL}{name}"
        partial.write_text(json.dumps(values, indent=2, ensure_ascii=False), encoding="utf-8")
        _sync_file(partial)
        partial.replace(self.path / name)
        _sync_directory(self.path)

    def _discard(self, *paths: Path) -> None:
        """Delete directories or files; one that is deleted by half has lost its name first."""
        for path in paths:
            if not path.exists():
                continue
            if path.is_file():
                path.unlink()
                continue
            doomed = path
            if not path.name.startswith(PARTIAL):
                doomed = path.rename(path.with_name(f"{PARTIAL}old-{path.name}"))
            shutil.rmtree(doomed)


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


def _sync(directory: Path) -> None:
    """Flush all files of a directory to the disk, so that a power cut after the rename finds them whole."""
    for path in directory.rglob("*"):
        if path.is_file():
            _sync_file(path)
    _sync_directory(directory)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
