"""Experiment tracking with SwanLab: losses, scores and the settings of a run, and nothing else.

Off unless asked, and then SwanLab is not even imported. Whatever reads the machine or the terminal is switched off, so
that no text of a customer can get into a log; only the mode `online` may use a network. Knows the trainer's logs, no
rows.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from transformers import TrainerCallback

from extractft.config import TrainingConfig
from extractft.errors import MissingDependencyError, TrainingError

__all__ = ["tracked"]

PROBES = ("hardware", "runtime", "requirements", "conda", "git", "swanlab", "monitor")
"""Settings that keep SwanLab from collecting facts about machine, environment and repository."""


@contextmanager
def tracked(config: TrainingConfig, output_dir: Path) -> Iterator[list[TrainerCallback]]:
    """The callbacks that track a run, and around it the run in SwanLab.

    A resumed run is a new run in SwanLab that goes on at the same step.

    Args:
        config: `config.tracking` says whether and how; all of it but that is logged as the run's settings.
        output_dir: Logs go to `swanlog` in here unless `config.tracking.log_dir` says otherwise.

    Raises:
        MissingDependencyError: SwanLab, or its dashboard for the mode `local`, is not installed.
        TrainingError: Another SwanLab run is active in this process, with settings of its own, or SwanLab cannot
            start.
    """
    if config.tracking.mode == "off":
        yield []
        return
    swanlab = _swanlab(config.tracking.mode)
    if swanlab.has_run():
        raise TrainingError("expected no active SwanLab run, found one").hint(
            "Call swanlab.finish() first: the run may capture the terminal or use a network that this one must not."
        )
    directory = config.tracking.log_dir or str(output_dir / "swanlog")
    with _starting():
        Path(directory).mkdir(parents=True, exist_ok=True)
        run = swanlab.init(
            settings=_settings(swanlab, config, directory), config=config.model_dump(mode="json", exclude={"tracking"})
        )
    try:
        yield [_callback()]
    except BaseException as error:
        run.finish(state="crashed", error=type(error).__name__)  # its message is nobody's business
        raise
    run.finish()


@contextmanager
def _starting() -> Iterator[None]:
    """Raise a `TrainingError` in place of what SwanLab raises when it cannot start."""
    try:
        yield
    except Exception as error:
        raise TrainingError(f"tracking could not be started ({type(error).__name__}: {error})").hint(
            "Correct TrainingConfig.tracking, or set its mode to 'off' to train without."
        ) from error


def _swanlab(mode: str) -> ModuleType:
    try:
        swanlab = importlib.import_module("swanlab")
    except ImportError as error:
        raise MissingDependencyError("tracking needs the package swanlab, which is not installed").hint(
            "pip install 'extractft[tracking]'"
        ) from error
    if mode == "local" and importlib.util.find_spec("swanboard") is None:
        raise MissingDependencyError("tracking in mode 'local' needs SwanLab's dashboard, which is not installed").hint(
            "pip install 'swanlab[dashboard]', or take mode='offline', which needs nothing more."
        )
    return swanlab


def _settings(swanlab: ModuleType, config: TrainingConfig, directory: str) -> Any:
    tracking = config.tracking
    return swanlab.Settings(
        mode=tracking.mode,
        log_dir=directory,
        project={"name": tracking.project},
        experiment={"name": tracking.experiment_name} if tracking.experiment_name else {},
        terminal={"proxy_type": "none"},
        probe=dict.fromkeys(PROBES, False),
        # A webhook set in the environment would be called in every mode.
        **({} if tracking.mode == "online" else {"integration": {"webhook": {"url": ""}}}),
    )


def _callback() -> TrainerCallback:
    """SwanLab's own callback, without the paths and the model configuration that it would add."""
    base: Any = importlib.import_module("swanlab.integration.transformers").SwanLabCallback

    class Callback(base):  # type: ignore[misc]
        def on_save(self, *args: Any, **kwargs: Any) -> None:
            """The original logs the path of the checkpoint."""

        def on_evaluate(self, *args: Any, **kwargs: Any) -> None:
            """The original logs once more what `on_log` was told."""

    callback: TrainerCallback = Callback(log_config=False)
    return callback
