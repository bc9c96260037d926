"""The end of a training run in plain, JSON-able values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

__all__ = ["TrainingResult"]


@dataclass(frozen=True, repr=False, slots=True)
class TrainingResult:
    """Result and cost of a training run.

    Attributes:
        metrics: Metrics of the kept weights: `field_f1` and whatever else the scorer returned, and `loss`, the
            evaluation's cross-entropy per answer token in nats. Empty if nothing was evaluated.
        best_step: Optimizer step whose weights were kept.
        log_history: One entry a step (`step`, `epoch`, `loss`, `grad_norm`, `learning_rate`) and one an evaluation
            (`eval_...`), in order, over all sessions of the run.
        steps: Optimizer steps.
        seconds: Seconds of training, scoring not counted.
        scoring_seconds: Seconds of scoring.
        tokens: Tokens trained on, prompts included, each epoch counted.
        skipped: Numbers of the rows that were left out as too long, in the user's data: a file's own (see `RowIssue`);
            in memory the first row is 1.
        engine: How steps were computed: `"packed"` or `"padded"`.
        stopped_early: Whether patience ran out before the last epoch.
        best_checkpoint: Directory of the kept adapter, loadable by PEFT.
    """

    metrics: dict[str, float]
    best_step: int
    log_history: tuple[dict[str, Any], ...]
    steps: int
    seconds: float
    scoring_seconds: float
    tokens: int
    skipped: tuple[int, ...]
    engine: str
    stopped_early: bool
    best_checkpoint: Path | None = None

    def __repr__(self) -> str:
        scores = "".join(f", {name}={value:.3f}" for name, value in self.metrics.items())
        return f"TrainingResult(steps={self.steps}, best_step={self.best_step}, seconds={self.seconds:.0f}{scores})"

    @property
    def tokens_per_second(self) -> float:
        """Tokens trained on in a second, scoring not counted."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def at(self, directory: Path) -> Self:
        """The same with its adapter's directory."""
        return replace(self, best_checkpoint=directory)

    def to_dict(self) -> dict[str, Any]:
        """Values for a JSON file, without the directory that the file itself is in."""
        return {name: value for name, value in asdict(self).items() if name != "best_checkpoint"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, best_checkpoint: Path | None = None) -> Self:
        """Read what `to_dict` wrote."""
        return cls(
            **{
                **values,
                "log_history": tuple(values["log_history"]),
                "skipped": tuple(values["skipped"]),
                "best_checkpoint": best_checkpoint,
            }
        )
