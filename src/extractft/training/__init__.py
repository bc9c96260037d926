"""Fine-tuning: rows of token ids, the ways to compute a step, the loop around them, what a run leaves on disk.

Knows rows and weights; never imports decoding or evaluation: scores come from a callable that is handed in.
"""

from extractft.training.features import Features, TrainingRow, build_features
from extractft.training.parallel import is_main_process
from extractft.training.randomness import exclusive_randomness
from extractft.training.result import TrainingResult
from extractft.training.run_directory import RunDirectory
from extractft.training.trainer import Scorer, train

__all__ = [
    "Features",
    "RunDirectory",
    "Scorer",
    "TrainingResult",
    "TrainingRow",
    "build_features",
    "exclusive_randomness",
    "is_main_process",
    "train",
]
