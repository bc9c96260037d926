"""The extractors of one service under their names, and the one way that anything in it asks them.

A text gets a place or is refused, waits for its turn at the engine, joins the running batch, and is given up at its
deadline or when nobody waits for it. Knows extractors and clients by name; knows no HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from extractft.completion import capabilities_of
from extractft.errors import ConfigError, ExtractionError
from extractft.extractor import Extraction, Extractor
from extractft.schema import Schema
from extractft.serving.admission import Admission
from extractft.serving.fair_turns import FairTurns
from extractft.serving.problem_details import Problem, extraction_problem
from extractft.serving.request_context import current_client
from extractft.serving.server_config import ServerConfig
from extractft.serving.service_metrics import ExtractorMetrics, ServiceMetrics

__all__ = ["ExtractionService", "draining_problem", "require_name", "warm_up"]

WARM_UP_TEXT = "warm-up"
FORBIDDEN = frozenset("/\\?#%{}")
"""Characters that a name in a path cannot have."""
AHEAD = 4
"""Every so many rows of an engine have one text more in it that waits for the first free row: rows do not stand empty
while the next text is on its way."""


@dataclass(frozen=True, slots=True)
class _Served:
    """An extractor, its line and its numbers."""

    extractor: Extractor[Any]
    turns: FairTurns
    metrics: ExtractorMetrics
    measures_confidence: bool


class ExtractionService:
    """Asks extractors for records on an event loop. Concurrent requests join one running batch of their extractor.

    Args:
        extractors: Extractors by the name that they have in addresses.
        settings: Settings of the service.

    Raises:
        ConfigError: There is no extractor, or a name cannot stand in an address.

    Attributes:
        settings: Settings of the service.
        metrics: Its numbers.
        admission: Its places.
        draining: True once it is about to stop: what is under way is finished, and nothing else begun.
        open_requests: Requests that are being answered.
        open_batches: Batches among them.
        observers: Are told of each record before it is answered: its extractor's name, its schema, and the extraction.
    """

    def __init__(self, extractors: Mapping[str, Extractor[Any]], settings: ServerConfig) -> None:
        if not extractors:
            raise ConfigError("Expected at least one extractor to serve, found none.")
        for name in extractors:
            require_name(name)
        self.settings = settings
        self.metrics = ServiceMetrics(extractors)
        self.admission = Admission(settings.max_queue, settings.client_limit)
        self.draining, self._is_cut_off = False, False
        self.open_requests, self.open_batches = 0, 0
        self.observers: list[Callable[[str, Schema[Any], Extraction[Any]], Awaitable[None]]] = []
        self._deadlines: set[asyncio.Timeout] = set()
        self._served = {name: self._serve(name, extractor) for name, extractor in extractors.items()}

    def _serve(self, name: str, extractor: Extractor[Any]) -> _Served:
        rows = self.settings.batch_size or extractor.texts_at_once
        turns, metrics = FairTurns(rows + max(1, rows // AHEAD)), self.metrics.extractors[name]
        metrics.watch_queue(lambda: turns.waiting)
        has_confidence = capabilities_of(extractor.engine).logprobs != "none"
        return _Served(extractor, turns, metrics, has_confidence and self.settings.measure_confidence)

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __getitem__(self, name: str) -> Extractor[Any]:
        return self._served[name].extractor

    def texts_at_once(self, name: str) -> int:
        """Texts of an extractor that its engine and its line keep busy with."""
        return self._served[name].turns.slots

    async def inspect(
        self, name: str, text: str, *, explain: Collection[str] = (), timeout: float | None = None
    ) -> Extraction[Any]:
        """Extract from one text. Cancelling the caller cancels the decoding.

        Args:
            name: The extractor.
            text: The text.
            explain: Parts to compute, of `"confidence"` and `"spans"`.
            timeout: Seconds in which the record is needed, if fewer than the settings allow.

        Raises:
            KeyError: There is no such extractor.
            Problem: There is no place, no valid record, or none in time.
        """
        served, client = self._served[name], current_client()
        try:
            self.admission.enter(client)
        except Problem as problem:
            served.metrics.outcome(problem.code)
            raise
        try:
            return await self.inspect_admitted(name, text, explain=explain, timeout=timeout)
        finally:
            self.admission.leave(client)

    async def inspect_admitted(
        self, name: str, text: str, *, explain: Collection[str] = (), timeout: float | None = None
    ) -> Extraction[Any]:
        """`inspect` for a caller that holds a place already."""
        metrics, outcome = self._served[name].metrics, "server-error"
        try:
            async with self.deadline(timeout):
                extraction = await self._decode(name, text, explain)
            outcome = "record"
            for observe in self.observers:
                await observe(name, self[name].schema, extraction)
            return extraction
        except ExtractionError as error:
            problem = extraction_problem(error)
            outcome = problem.code
            raise problem from None
        except Problem as problem:
            outcome = problem.code
            raise
        except asyncio.CancelledError:
            outcome = "hung-up"
            raise
        finally:
            metrics.outcome(outcome)

    async def _decode(self, name: str, text: str, explain: Collection[str]) -> Extraction[Any]:
        served, client, arrived = self._served[name], current_client(), time.perf_counter()
        parts = {*explain, "confidence"} if served.measures_confidence else explain
        async with served.turns.turn(client):
            begun = time.perf_counter()
            served.metrics.queue_seconds.observe(begun - arrived)
            served.metrics.batch_size.observe(served.turns.running)
            extraction = await served.extractor.ainspect(text, explain=parts, batch_size=self.settings.batch_size)
            served.metrics.engine_seconds.observe(time.perf_counter() - begun)
        served.metrics.tokens.inc(len(extraction.completion.steps))
        if extraction.confidence is not None:
            served.metrics.confidence.observe(extraction.confidence.record)
        return extraction

    @asynccontextmanager
    async def deadline(self, timeout: float | None = None) -> AsyncIterator[None]:
        """Give up what is done within after the settings' seconds, or fewer, or when the grace period is over.

        Raises:
            Problem: The time is over.
        """
        if self._is_cut_off:
            raise draining_problem()
        longest = self.settings.request_seconds
        seconds = longest if timeout is None else min(timeout, longest)
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if self._is_cut_off:
                raise draining_problem() from None
            again = {"Retry-After": str(self.admission.seconds_until_free())}
            detail = f"Expected a record within {seconds:g} seconds, found none."
            raise Problem(503, "deadline-exceeded", detail, headers=again) from None

    def cut_off(self) -> int:
        """Give up what is still under way; how much that was."""
        self._is_cut_off = True
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            with suppress(RuntimeError):  # it is over already
                deadline.reschedule(now)
        return len(self._deadlines)


def warm_up(extractors: Iterable[Extractor[Any]]) -> None:
    """Extract from a word with each, so that the first client need not wait for what is done once."""
    for extractor in extractors:
        with suppress(ExtractionError):  # there is nothing in it
            extractor.extract(WARM_UP_TEXT)


def draining_problem() -> Problem:
    """The problem of what comes too late."""
    detail = "The server is about to stop: send the request to another one, or again in a while."
    return Problem(503, "draining", detail, headers={"Retry-After": "5", "Connection": "close"})


def require_name(name: str) -> None:
    """Check the name of an extractor, before anything is loaded for it.

    Raises:
        ConfigError: It cannot stand in an address.
    """
    if not name or name in (".", "..") or FORBIDDEN & set(name) or not name.isprintable() or name != name.strip():
        raise ConfigError(f"Expected a name of an extractor that can stand in an address, found {name!r}.").hint(
            "The name is that of the directory, or the one given as NAME=DIRECTORY."
        )
