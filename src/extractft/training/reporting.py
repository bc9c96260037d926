"""Callbacks of the caller's own, and transformers' callbacks for trackers such as TensorBoard, W&B and MLflow.

All of them are checked before compute is spent. Trackers see the trainer's logs and arguments, no rows. Knows
transformers' names for trackers; imports a tracker only if it is asked for.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations import integration_utils

from extractft.config import TrainingConfig
from extractft.errors import ConfigError, MissingDependencyError

__all__ = ["check_callbacks", "check_reporting", "reporters"]

SWANLAB = "swanlab"
PLACES = {"tensorboard": "TENSORBOARD_LOGGING_DIR"}
"""Trackers that write into the output directory, and the variables that name another place."""


def check_callbacks(callbacks: Any) -> None:
    """Refuse what is no sequence of callbacks.

    Args:
        callbacks: `TrainerCallback`s or classes of them, as transformers' `Trainer` takes them.

    Raises:
        ConfigError: One is something else.
    """
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise ConfigError(f"callbacks: expected a list of TrainerCallbacks, found {type(callbacks).__name__}.")
    for given in callbacks:
        known = issubclass(given, TrainerCallback) if isinstance(given, type) else isinstance(given, TrainerCallback)
        if not known:
            name = given.__name__ if isinstance(given, type) else type(given).__name__
            raise ConfigError(f"callbacks: expected TrainerCallbacks, found {name}.").hint(
                "Derive it from transformers.TrainerCallback and override on_log, on_evaluate, on_step_end, ..."
            )


def check_reporting(config: TrainingConfig, output_dir: Path | None) -> None:
    """Refuse trackers that are unknown or not installed, or that would write into a directory that is not kept.

    Args:
        config: Training settings.
        output_dir: The directory of the run, if it is kept.

    Raises:
        ConfigError: There is no such tracker, or no place for what it writes.
        MissingDependencyError: One is not installed.
    """
    reporters(config)
    writing = [name for name in config.report_to if name in PLACES and not os.environ.get(PLACES[name])]
    if writing and output_dir is None:
        raise ConfigError(f"report_to: {writing[0]} writes into output_dir, found None.").hint(
            f"Give an output_dir, or set {PLACES[writing[0]]} in the environment."
        )


def reporters(config: TrainingConfig) -> list[TrainerCallback]:
    """The callbacks of the trackers in `config.report_to`.

    Raises:
        ConfigError: There is no such tracker.
        MissingDependencyError: One is not installed.
    """
    return [_reporter(name) for name in dict.fromkeys(config.report_to)]


def _reporter(name: str) -> TrainerCallback:
    known: dict[str, type[TrainerCallback]] = integration_utils.INTEGRATION_TO_CALLBACK
    if name == SWANLAB:
        raise ConfigError("report_to: swanlab has settings of its own here.").hint(
            "See TrainingConfig.tracking, and set TrackingConfig(mode='offline') or TrackingConfig(mode='online')."
        )
    if name not in known:
        names = [other for other in known if other != SWANLAB]
        near = difflib.get_close_matches(name.lower(), names, n=1)
        proposed = f"Did you mean {near[0]}?" if near else f"It may name {', '.join(names)}."
        raise ConfigError(f"report_to: expected a tracker that transformers knows, found {name!r}.").hint(proposed)
    try:
        return known[name]()
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(f"report_to: {name} cannot be used ({type(error).__name__})").hint(
            f"{error} Or leave it out of report_to."
        ) from error
