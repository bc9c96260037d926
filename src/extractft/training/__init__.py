"""Fine-tuning: rows of token ids, the ways to compute a step, the loop around them, what a run leaves on disk.

Knows rows and weights; never imports decoding or evaluation: scores come from a callable that is handed in. Names are
loaded when they are asked for: rows and results need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.training.parallel import is_main_process
    from extractft.training.randomness import exclusive_randomness
    from extractft.training.reporting import check_callbacks, check_reporting
    from extractft.training.result import TrainingResult
    from extractft.training.run_directory import RunDirectory
    from extractft.training.trainer import Scorer, train
    from extractft.training.training_rows import Features, RowEncoder, TrainingRow, build_features

_MODULES = {
    "Features": "training_rows",
    "RowEncoder": "training_rows",
    "RunDirectory": "run_directory",
    "Scorer": "trainer",
    "TrainingResult": "result",
    "TrainingRow": "training_rows",
    "build_features": "training_rows",
    "check_callbacks": "reporting",
    "check_reporting": "reporting",
    "exclusive_randomness": "randomness",
    "is_main_process": "parallel",
    "train": "trainer",
}
"""The module of each public name."""

__all__ = [
    "Features",
    "RowEncoder",
    "RunDirectory",
    "Scorer",
    "TrainingResult",
    "TrainingRow",
    "build_features",
    "check_callbacks",
    "check_reporting",
    "exclusive_randomness",
    "is_main_process",
    "train",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
