"""One event loop in a thread of its own, which callers without a loop and callers with another one share."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["submit"]

T = TypeVar("T")


class _LoopThread:
    """A running event loop. A daemon thread: a process that ends does not wait for requests nobody reads."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name="extractft-remote", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_lock = threading.Lock()
_running: _LoopThread | None = None


def _after_fork() -> None:
    global _lock, _running
    _lock, _running = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the shared loop; cancelling the future cancels the coroutine."""
    global _running
    with _lock:
        if _running is None:
            _running = _LoopThread()
        loop = _running.loop
    return asyncio.run_coroutine_threadsafe(work, loop)
