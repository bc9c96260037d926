"""Load a model with complete weights or an error, one model at a time."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel

from extractft.errors import ArtifactMismatchError
from extractft.modeling.quiet_libraries import LOADING_LOCK, no_progress_bars

__all__ = ["load_complete_model"]

MAX_SHOWN_KEYS = 5


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
