"""Locks that survive a fork, objects that stay in their process, and exceptions out of signal handlers.

Knows no other module of the package.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from types import CodeType
from typing import Any, Protocol

__all__ = ["BoundToProcess", "fork_safe_lock", "raised_by_signal", "reset_after_fork"]


class ForkAware(Protocol):
    """An object that has something to forget in a forked process."""

    def after_fork(self) -> None:
        """Forget what threads of the other process were about."""
        ...


_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_fork_aware: weakref.WeakSet[Any] = weakref.WeakSet()


def fork_safe_lock() -> threading.Lock:
    """Make a lock that is free in a forked process, even if a thread held it that does not exist there."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def reset_after_fork(instance: ForkAware) -> None:
    """Call `instance.after_fork()` in every process that is forked from this one, as long as `instance` lives."""
    _fork_aware.add(instance)


def _after_fork_in_child() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # what `logging` and `threading` do with their own
    for instance in list(_fork_aware):
        instance.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class BoundToProcess:
    """A base of classes that hold a model, locks or native objects and so cannot be pickled or copied."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse, and tell the way to go.

        Raises:
            TypeError: Always.
        """
        error = TypeError(f"expected something that can be pickled or copied, found {type(self).__name__}")
        error.add_note(
            "It holds a model in memory. Save the extractor with save_pretrained, and load it in each process with "
            "Extractor.from_pretrained(path)."
        )
        raise error


def raised_by_signal(error: BaseException) -> bool:
    """True if an exception came out of a signal handler written in Python, such as one that keeps a time limit."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in handlers:
            return True
        traceback = traceback.tb_next
    return False


def _code_of(handler: Any) -> CodeType | None:
    while hasattr(handler, "func"):  # functools.partial
        handler = handler.func
    if not hasattr(handler, "__code__") and callable(handler):
        handler = type(handler).__call__ if not hasattr(handler, "__func__") else handler.__func__
    code = getattr(handler, "__code__", None)
    return code if isinstance(code, CodeType) else None
