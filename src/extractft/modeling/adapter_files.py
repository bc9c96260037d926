"""Read the two files of an adapter, and check them before any layer is made for them.

PEFT applies every setting in `adapter_config.json` silently, even those that change the base weights. Extractors are
plain LoRA, so other settings are refused. Knows files, no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import load as load_safetensors

from extractft.config import LoRAConfig
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError
from extractft.modeling.base_model_ref import ADAPTER_CONFIG_FILE, ADAPTER_FILE

__all__ = [
    "adapter_mismatch",
    "non_finite_weights",
    "read_adapter_config",
    "read_adapter_weights",
    "require_adapter_files",
    "require_rank",
]

SHAPE_SETTINGS = ("r", "lora_alpha", "lora_dropout", "target_modules")
"""Settings that differ from one adapter to another."""
NEUTRAL_SETTINGS = frozenset(
    {*SHAPE_SETTINGS, "base_model_name_or_path", "fan_in_fan_out", "inference_mode", "peft_version", "revision"}
)
"""Settings that may have any value: PEFT corrects `fan_in_fan_out` by the layers, the others are names."""
LARGEST_NUMBER = 1e30
FIXED_SETTINGS = {"peft_type": "LORA", "task_type": "CAUSAL_LM"}


def require_adapter_files(path: Path) -> None:
    """Refuse a directory without an adapter.

    Raises:
        ArtifactNotFoundError: A file is missing.
    """
    for name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE):
        if not (path / name).is_file():
            raise ArtifactNotFoundError(f"Expected {name} in {path}, found no such file.").hint(
                "Give the directory that `save_pretrained` wrote; an untrained extractor has no adapter."
            )


def read_adapter_config(path: Path, expected: LoRAConfig | None = None) -> LoraConfig:
    """Read PEFT's configuration of the adapter.

    Args:
        path: The directory of the adapter.
        expected: The settings that it was trained with, if they are known from elsewhere.

    Raises:
        ArtifactMismatchError: It is damaged, not plain LoRA, or has other settings than expected.
        ArtifactError: The file cannot be read.
    """
    try:
        settings = json.loads(_content(path / ADAPTER_CONFIG_FILE))
    except (ValueError, RecursionError) as error:
        raise adapter_mismatch(path, f"{ADAPTER_CONFIG_FILE} that is no JSON ({type(error).__name__})") from error
    if not isinstance(settings, dict):
        raise adapter_mismatch(path, f"{ADAPTER_CONFIG_FILE} without settings")
    faults = [*_unknown_settings(settings), *_invalid_shape_settings(settings)]
    if not faults and expected is not None:
        faults = list(_changed_settings(settings, expected))
    if faults:
        raise adapter_mismatch(path, f"in {ADAPTER_CONFIG_FILE} {', '.join(faults)}")
    kept = {name: settings[name] for name in SHAPE_SETTINGS}
    return LoraConfig(task_type="CAUSAL_LM", **kept)


def read_adapter_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the adapter's weights.

    Raises:
        ArtifactMismatchError: The file is damaged, or holds something else than finite floating-point numbers.
        ArtifactError: The file cannot be read.
    """
    content = _content(path / ADAPTER_FILE)
    try:
        weights: dict[str, torch.Tensor] = load_safetensors(content)
    except Exception as error:  # safetensors' own, and KeyError and the like for types that it does not know
        raise ArtifactMismatchError(
            f"{ADAPTER_FILE} in {path} cannot be read; it may be cut short: {error}",
            expected="a whole safetensors file",
            found=f"{len(content)} bytes that are none",
        ).hint("Copy the extractor again.") from error
    faults = [f"{name} of type {tensor.dtype}" for name, tensor in weights.items() if not tensor.is_floating_point()]
    faults = faults or [f"{name} with numbers that are not finite" for name in non_finite_weights(weights)]
    if faults:
        raise adapter_mismatch(path, faults[0])
    return weights


def non_finite_weights(weights: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the weights that hold infinity or NaN."""
    return [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor.float()).all())]


def require_rank(path: Path, config: LoraConfig, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights of another rank than the settings', before layers of that rank are made.

    Raises:
        ArtifactMismatchError: They are of another rank.
    """
    downward = {name: tuple(tensor.shape) for name, tensor in weights.items() if ".lora_A." in name}
    if not downward:
        raise adapter_mismatch(path, f"no LoRA weights in {ADAPTER_FILE}")
    for name, shape in downward.items():
        if shape[:1] != (config.r,):
            raise adapter_mismatch(path, f"{name} of shape {shape}, and another rank in {ADAPTER_CONFIG_FILE}")


def adapter_mismatch(path: Path, found: str) -> ArtifactMismatchError:
    """The error for a whole adapter that does not fit the base model."""
    return ArtifactMismatchError(
        f"The adapter in {path} does not fit the base model: found {found}.",
        expected="a LoRA adapter with exactly the weights that the base model has places for",
        found=found,
    ).hint("Load it with the base model that it was trained on; missing weights are never initialised at random.")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"Expected a readable {file.name} in {file.parent}, found: {error.strerror}.").hint(
            "The file has to be readable for whoever loads the extractor."
        ) from error


def _unknown_settings(settings: Mapping[str, Any]) -> list[str]:
    """Faults: settings that plain LoRA does not have."""
    defaults = LoraConfig().to_dict()
    faults = [f"{name} is not {value!r}" for name, value in FIXED_SETTINGS.items() if settings.get(name) != value]
    for name, value in settings.items():
        if name in NEUTRAL_SETTINGS or name in FIXED_SETTINGS:
            continue
        if name not in defaults and value:
            faults.append(f"{name}, a setting of a newer PEFT")
        elif name in defaults and value != defaults[name]:
            faults.append(f"{name} is not PEFT's default")
    return faults


def _invalid_shape_settings(settings: Mapping[str, Any]) -> list[str]:
    """Faults: settings of the adapter's shape that are missing or make no sense."""
    faults = []
    rank, targets = settings.get("r"), settings.get("target_modules")
    if type(rank) is not int or rank < 1:
        faults.append("r is not a rank")
    for name in ("lora_alpha", "lora_dropout"):
        value = settings.get(name)
        if (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LARGEST_NUMBER
        ):  # NaN is in no range
            faults.append(f"{name} is not a number that it can be")
    if not isinstance(targets, list) or not targets or not all(isinstance(target, str) for target in targets):
        faults.append("target_modules is not a list of names")
    return faults


def _changed_settings(settings: Mapping[str, Any], expected: LoRAConfig) -> list[str]:
    """Faults: settings that are not those of the training."""
    faults = [
        f"{name} is {settings[name]!r} instead of {getattr(expected, name)!r}"
        for name in ("r", "lora_alpha", "lora_dropout")
        if settings[name] != getattr(expected, name)
    ]
    targets = expected.target_modules
    if not isinstance(targets, str) and set(targets) != set(settings["target_modules"]):
        faults.append(f"target_modules are other layers than {', '.join(targets)}")
    return faults
