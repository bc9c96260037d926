"""Load a model with complete weights or an error, one model at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from extractft.errors import ArtifactMismatchError
from extractft.processes import fork_safe_lock

__all__ = ["LOADING_LOCK", "load_complete_model", "no_progress_bars"]

MAX_SHOWN_KEYS = 5
LOADING_LOCK = fork_safe_lock()
"""transformers changes defaults of the whole process while it loads: in parallel threads, weights get lost."""


def load_complete_model(name: str, path: str, **options: Any) -> PreTrainedModel:
    """Load a causal language model in evaluation mode, every weight from its files.

    Args:
        name: The name of the model in messages.
        path: Its directory.
        options: Passed on to transformers.

    Raises:
        ArtifactMismatchError: Weights are missing, left over or of another shape; tied ones count as present.
        OSError, ValueError, KeyError, RuntimeError, ImportError: Errors of transformers.
    """
    with LOADING_LOCK, no_progress_bars():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, output_loading_info=True, **options
        )
    model, info = loaded  # a pair, because of output_loading_info
    faults = []
    for kind in ("missing", "unexpected", "mismatched"):
        keys = sorted(key if isinstance(key, str) else key[0] for key in info.get(f"{kind}_keys", ()))
        if keys:
            more = f" and {len(keys) - MAX_SHOWN_KEYS} more" if len(keys) > MAX_SHOWN_KEYS else ""
            faults.append(f"{len(keys)} {kind}: {', '.join(keys[:MAX_SHOWN_KEYS])}{more}")
    faults += info.get("error_msgs", ())
    if faults:
        raise ArtifactMismatchError(
            f"Base model {name!r}: expected weights for exactly the configured layers, found {'; '.join(faults)}.",
            expected="every weight once, in its configured shape",
            found="; ".join(faults),
        ).hint("Weights are never initialised at random. Fetch or save the model again; config.json may be another's.")
    assert isinstance(model, PreTrainedModel)
    model.eval()  # type: ignore[no-untyped-call]
    return model


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Turn off the progress bars of transformers, which it draws even into logs and pipes."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
