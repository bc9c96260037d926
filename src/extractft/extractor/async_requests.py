"""Requests to an engine on an event loop: awaited where it can be, else made in threads that join its running batch.

Knows engines by their protocol; knows no text and no record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from extractft.completion import Completion, Engine, GenerationRequest
from extractft.processes import BoundToProcess, reset_after_fork

__all__ = ["AsyncRequests"]

IN_FLIGHT = 64
"""Requests at once to an engine that is awaited, where the caller does not say; it may hold back some of them."""
MAX_THREADS = 256


class AsyncRequests(BoundToProcess):
    """An engine as an event loop asks it. Safe to share between loops.

    An engine may have a coroutine `agenerate(request)`, which is awaited, and a method `cancel(request)`, which makes
    its `generate` give up a request that another thread waits for.

    Args:
        engine: The engine.
        batch_size: Requests side by side in an engine that computes here.

    Attributes:
        in_flight: Requests at once, where the caller does not say.
    """

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self._engine = engine
        self._await: Callable[[GenerationRequest], Awaitable[Completion]] | None = getattr(engine, "agenerate", None)
        self._cancel: Callable[[GenerationRequest], None] | None = getattr(engine, "cancel", None)
        self._start_threads()
        self.in_flight = IN_FLIGHT if self._await is not None else batch_size
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the threads of the other process."""
        self._start_threads()

    def _start_threads(self) -> None:
        """Make room for threads, which begin when they are needed."""
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="extractft-request")
        self._cancelling = ThreadPoolExecutor(1, thread_name_prefix="extractft-cancel")

    async def complete(self, request: GenerationRequest, batch_size: int | None) -> Completion:
        """Make a completion; cancelling the caller cancels the request."""
        if self._await is not None:
            return await self._await(request)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._generate, request, batch_size)
        except asyncio.CancelledError:
            if self._cancel is not None:
                self._cancelling.submit(self._cancel, request)  # it may have to wait for the end of a pass
            raise

    def _generate(self, request: GenerationRequest, batch_size: int | None) -> Completion:
        return next(iter(self._engine.generate([request], batch_size=batch_size)))
