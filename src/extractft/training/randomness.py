"""The process's random numbers, lent to one training at a time and given back as they were.

Initialisation, dropout and the trainer's own seeding draw from the global generators of Python, NumPy and PyTorch. Two
trainings at once would take numbers from each other, so the second waits.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy
import torch

__all__ = ["exclusive_randomness"]

_lock = threading.RLock()


@contextmanager
def exclusive_randomness() -> Iterator[None]:
    """Wait until no other thread trains, and restore all global random states when the block ends.

    A block within a block of the same thread does not wait.
    """
    with _lock:
        restore = _states()
        try:
            yield
        finally:
            for put_back in restore:
                put_back()


def _states() -> list[Callable[[], None]]:
    """Restorers of each global random state to what it is now."""
    python, numbers, cpu = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    restore: list[Callable[[], None]] = [
        lambda: random.setstate(python),
        lambda: numpy.random.set_state(numbers),
        lambda: torch.set_rng_state(cpu),
    ]
    if torch.cuda.is_available():
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            devices = torch.cuda.get_rng_state_all()
            restore.append(lambda: torch.cuda.set_rng_state_all(devices))
        else:  # nothing has been drawn yet; the GPUs have the seed that the processor was given
            seed = torch.initial_seed()
            restore.append(lambda: torch.cuda.manual_seed_all(seed))
    if torch.backends.mps.is_available():
        apple = torch.mps.get_rng_state()
        restore.append(lambda: torch.mps.set_rng_state(apple))
    return restore


def _forget_holder() -> None:
    """A fork has none of the threads that might hold the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_holder)
