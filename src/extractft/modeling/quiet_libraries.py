"""Keep other libraries quiet while they load and build models: no progress bars, no warnings to their own authors.

What is turned off is turned off for the whole process, so only one thread at a time may do so: see `LOADING_LOCK`.
Knows transformers and PEFT, not what is loaded.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tqdm.auto import tqdm  # type: ignore[import-untyped]
from transformers.utils import logging as transformers_logging

from extractft.processes import fork_safe_lock

__all__ = ["LOADING_LOCK", "no_library_warnings", "no_progress_bars"]

LOADING_LOCK = fork_safe_lock()
"""transformers changes defaults of the whole process while it loads: in parallel threads, weights get lost."""


class _HiddenBar(tqdm):  # type: ignore[misc]
    """A progress bar that is never drawn."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **{**options, "disable": True})


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Turn off the progress bars of transformers, which it draws even into logs and pipes."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    reader = _gguf_reader()
    bar = getattr(reader, "tqdm", None)
    if bar is not None:  # it goes by no setting
        vars(reader)["tqdm"] = _HiddenBar
    try:
        yield
    finally:
        if bar is not None:
            vars(reader)["tqdm"] = bar
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _gguf_reader() -> ModuleType | None:
    """The module of transformers that reads GGUF files, if this version has it under its usual name."""
    try:
        return importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    except ImportError:
        return None


@contextmanager
def no_library_warnings() -> Iterator[None]:
    """Hide warnings that one library calls another by an old name, or corrects itself: no user can change that."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module=r"(transformers|peft|accelerate|torch)\b")
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to", module="peft")
        yield
