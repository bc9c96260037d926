"""Choose the device and the number type of the base weights by the hardware.

Nothing is measured: the choice is conservative and the same on every run.
"""

from __future__ import annotations

import os

import torch

from extractft.errors import ConfigError

__all__ = ["choose_device", "choose_dtype"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(name: str = "auto") -> torch.device:
    """Choose the device to compute on.

    Args:
        name: `auto` (CUDA, else MPS, else the CPU), `cpu`, `cuda`, `cuda:1` or `mps`.

    Raises:
        ConfigError: There is no such device, or not on this machine.
    """
    available = _available_devices()
    if name == "auto":
        return available[0]
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _no_device(name, available) from error
    same_kind = [found for found in available if found.type == device.type]
    if not same_kind or (device.index is not None and device.index >= len(same_kind)):
        raise _no_device(name, available)
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Choose the number type of the base weights; an adapter stays in float32 whatever this is.

    `auto` is bfloat16 on CUDA devices that compute in it (compute capability 8 or more) and float32 elsewhere: bfloat16
    is only emulated on older ones, float16 overflows in training, and on a CPU float32 is both the faster type without
    special units and the only one in which an output does not depend on the batch it was computed in.

    Args:
        name: `auto`, `float32`, `bfloat16` or `float16`.
        device: The device of the model.

    Raises:
        ConfigError: There is no such type.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and _computes_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise ConfigError(f"Expected dtype to be one of auto, {', '.join(DTYPES)}, found {name!r}.")
    return DTYPES[name]


def _available_devices() -> list[torch.device]:
    """The devices of this machine, the preferred one first: of several GPUs the one of this process's local rank."""
    own = int(os.environ.get("LOCAL_RANK", "0"))
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    devices.sort(key=lambda device: device.index != own)
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    return [*devices, torch.device("cpu")]


def _computes_bfloat16(device: torch.device) -> bool:
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _no_device(name: str, available: list[torch.device]) -> ConfigError:
    found = ", ".join(str(device) for device in available)
    return ConfigError(f"Expected a device of this machine (auto, {found}), found {name!r}.").hint(
        "A CUDA device needs a PyTorch build with CUDA and a working driver: see `torch.cuda.is_available()`."
    )
