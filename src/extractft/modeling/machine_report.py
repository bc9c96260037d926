"""The machine as a model sees it: processor, memory, devices, and the choices that `auto` makes on it.

Knows hardware; knows no models.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from extractft.modeling.device_memory import available_memory
from extractft.modeling.hardware import choose_device, choose_dtype

__all__ = ["MachineReport", "machine_report"]

FAST_UNITS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve", "i8mm", "bf16")
"""Instruction sets that decide how fast products are, by the names of Linux."""


@dataclass(frozen=True, slots=True)
class MachineReport:
    """A machine.

    Attributes:
        system: Operating system, its release and the architecture.
        processor: Name of the processor.
        cores: Processors that this process may run on.
        threads: Threads that torch computes with.
        units: Instruction sets of `FAST_UNITS` that the processor has; empty where the system does not tell.
        memory: Bytes of memory that can still be allocated, limits of a container included.
        devices: Accelerators by name, with their bytes of memory.
        device: The device that `auto` means here.
        dtype: The type of weights that `auto` means here.
    """

    system: str
    processor: str
    cores: int
    threads: int
    units: tuple[str, ...]
    memory: int
    devices: tuple[tuple[str, int], ...]
    device: str
    dtype: str


def machine_report() -> MachineReport:
    """Look at this machine; takes no more than a few milliseconds and computes nothing."""
    device = choose_device()
    name, units = _processor()
    return MachineReport(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=name,
        cores=_usable_cores(),
        threads=torch.get_num_threads(),
        units=units,
        memory=available_memory(torch.device("cpu")),
        devices=_devices(),
        device=str(device),
        dtype=str(choose_dtype("auto", device)).removeprefix("torch."),
    )


def _usable_cores() -> int:
    """Processors that this process may be scheduled on, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor(path: Path = Path("/proc/cpuinfo")) -> tuple[str, tuple[str, ...]]:
    """Name and instruction sets."""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return platform.processor() or "unknown", ()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    return (name[1].strip() if name else platform.processor() or "unknown"), tuple(u for u in FAST_UNITS if u in known)


def _devices() -> tuple[tuple[str, int], ...]:
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append((f"cuda:{index} {properties.name}", int(properties.total_memory)))
    if torch.backends.mps.is_available():
        found.append(("mps", int(torch.mps.recommended_max_memory())))
    return tuple(found)
