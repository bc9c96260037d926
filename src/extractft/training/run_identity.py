"""Identity of a run: data, model and the settings that the weights depend on.

Settings that only say how a step is computed (how rows are split over passes and processes, checkpointing, device,
tracking) may change between the sessions of one run. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn

from extractft.config import TrainingConfig
from extractft.training.training_rows import Features

__all__ = ["model_fingerprint", "run_identity"]

FORMAT = 1
SAMPLES = 64
FREE = frozenset(
    {
        "device",
        "gradient_accumulation_steps",
        "gradient_checkpointing",
        "max_length",
        "overlong",
        "per_device_train_batch_size",
        "report_to",
        "tracking",
    }
)


def run_identity(
    model: nn.Module, features: Features, eval_features: Features | None, config: TrainingConfig, *, processes: int = 1
) -> dict[str, Any]:
    """The identity of a run as flat JSON values, comparable one by one."""
    settings = {name: value for name, value in config.model_dump(mode="json").items() if name not in FREE}
    return {
        "format": FORMAT,
        "rows": len(features),
        "rows_sha256": features.fingerprint(),
        "eval_rows_sha256": eval_features.fingerprint() if eval_features else None,
        "model_sha256": model_fingerprint(model),
        "rows_per_step": config.per_device_train_batch_size * config.gradient_accumulation_steps * processes,
        **settings,
    }


def model_fingerprint(model: nn.Module) -> str:
    """SHA-256 over names, shapes, types and a sample of every weight: tells models apart without reading it all."""
    digest = hashlib.sha256()
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
            flat = parameter.detach().reshape(-1)
            sample = flat[:: max(1, flat.numel() // SAMPLES)][:SAMPLES]
            digest.update(sample.to("cpu", torch.float32).numpy().tobytes())
    return digest.hexdigest()
