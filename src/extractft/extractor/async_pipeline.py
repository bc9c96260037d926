"""From texts to records on an event loop: the steps of the pipeline, with the waiting left to the loop.

Requests are written and records are read in threads, since grammars and validators take time. Knows no engine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import nullcontext
from typing import Any, Generic, TypeVar

from extractft.completion import Completion, GenerationRequest
from extractft.errors import ExtractionError
from extractft.extractor.async_requests import AsyncRequests
from extractft.extractor.extraction import Outcome
from extractft.extractor.pipeline import Pipeline
from extractft.extractor.text_source import require_batch_size, require_texts
from extractft.processes import BoundToProcess

__all__ = ["AsyncPipeline"]

T = TypeVar("T")
R = TypeVar("R")
END: Any = object()


class AsyncPipeline(BoundToProcess, Generic[T]):
    """Runs texts through an engine on an event loop.

    Args:
        pipeline: Writes requests and reads completions.
    """

    def __init__(self, pipeline: Pipeline[T]) -> None:
        self._pipeline = pipeline
        self._requests = AsyncRequests(pipeline.engine, pipeline.generation.batch_size)

    @property
    def in_flight(self) -> int:
        """Requests side by side, where the caller does not say."""
        return self._requests.in_flight

    async def run_one(
        self, text: str, *, slots: asyncio.Semaphore | None = None, batch_size: int | None = None
    ) -> Outcome[T]:
        """The outcome of one text. Cancelling the caller cancels its requests.

        Args:
            text: The text.
            slots: Held by each request while it is under way.
            batch_size: Requests side by side in an engine that computes here.
        """
        job = await asyncio.to_thread(self._pipeline.job, text)
        if isinstance(job, ExtractionError):
            return job
        tasks: deque[asyncio.Task[Completion]] = deque()
        outcome: Outcome[T] | None = None
        try:
            while job.requests:
                tasks.append(asyncio.create_task(self._complete(job.requests.popleft(), slots, batch_size)))
            while tasks:
                outcome = await asyncio.to_thread(self._pipeline.settle, job, await tasks[0])
                tasks.popleft()
        finally:
            await _cancelled(tasks)
        assert outcome is not None  # there is at least one window
        return outcome

    def outcomes(
        self, texts: Iterable[str] | AsyncIterable[str], batch_size: int | None, convert: Callable[[Outcome[T]], R]
    ) -> AsyncIterator[R]:
        """Outcomes of many texts in order, each converted; read no more than two batches ahead of the first of them.

        If reading `texts` fails, the texts read so far are dealt with first.

        Raises:
            TypeError: `texts` is one text, a table, a mapping, a set, a file or no iterable.
            ConfigError: `batch_size` is less than 1.
        """
        require_batch_size(batch_size)
        return self._run(_Texts(texts), batch_size, convert)

    async def _run(
        self, source: _Texts, batch_size: int | None, convert: Callable[[Outcome[T]], R]
    ) -> AsyncIterator[R]:
        rows = batch_size or self.in_flight
        slots = asyncio.Semaphore(rows)
        line: deque[asyncio.Task[Any]] = deque()
        reading: asyncio.Task[Any] | None = None
        try:
            while True:
                if reading is None and not source.exhausted and len(line) < 2 * rows:
                    reading = asyncio.create_task(source.read())
                waiting = [task for task in (reading, line[0] if line else None) if task is not None]
                if not waiting:
                    break
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if reading is not None and reading.done():
                    if (text := reading.result()) is not END:
                        line.append(asyncio.create_task(self.run_one(text, slots=slots, batch_size=batch_size)))
                    reading = None
                if line and line[0].done():
                    yield convert(line.popleft().result())
        finally:
            await _cancelled([*line, *([reading] if reading is not None else [])])
        if source.failure is not None:
            raise source.failure

    async def _complete(
        self, request: GenerationRequest, slots: asyncio.Semaphore | None, batch_size: int | None
    ) -> Completion:
        async with slots if slots is not None else nullcontext():
            return await self._requests.complete(request, batch_size)


class _Texts:
    """Texts on their way in, from an iterable of either kind; remembers how it ended.

    Attributes:
        exhausted: True if there is nothing more to read.
        failure: What the iterable raised, if it did.
    """

    def __init__(self, texts: Iterable[str] | AsyncIterable[str]) -> None:
        self.exhausted = False
        self.failure: Exception | None = None
        self._later = texts.__aiter__() if isinstance(texts, AsyncIterable) else None
        self._now = iter(()) if isinstance(texts, AsyncIterable) else require_texts(texts)

    async def read(self) -> Any:
        """The next text, or `END`."""
        try:
            return next(self._now) if self._later is None else await anext(self._later)
        except (StopIteration, StopAsyncIteration):
            self.exhausted = True
        except Exception as error:  # the caller's iterable may raise anything
            self.exhausted, self.failure = True, error
        return END


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have ended, whatever with."""
    left = list(tasks)
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
