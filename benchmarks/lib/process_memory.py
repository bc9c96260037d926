"""Memory of this process: what is resident, and the peak of a while (Linux; on CUDA that of the device)."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch


def resident_memory(name: str) -> int:
    """`VmRSS`, resident now, or `VmHWM`, the most since the last reset; in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def reset_peak() -> None:
    """Begin a new `VmHWM`."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class PeakMemory:
    """The most memory held since it was made, above what was held then."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        gc.collect()
        if self.cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
            return
        ctypes.CDLL(None).malloc_trim(0)
        reset_peak()
        self.before = resident_memory("VmRSS")

    def wait(self) -> None:
        """Until the device is done."""
        if self.cuda:
            torch.cuda.synchronize()

    def bytes(self) -> int:
        return (torch.cuda.max_memory_allocated() if self.cuda else resident_memory("VmHWM")) - self.before
