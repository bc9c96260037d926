"""An engine that asks a server: many requests under way, completions in order, cancelled with their caller."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Protocol

from extractft.completion import Completion, EngineCapabilities, GenerationRequest
from extractft.errors import ConfigError, GrammarError, InvalidAnswerError
from extractft.remote.bounded_answer import LONGEST_ANSWER
from extractft.remote.event_loop import submit
from extractft.remote.retrying_client import ServerAnswerError, ServerClient
from extractft.remote.server_dialect import MALFORMED, RequestSettings, ServerDialect

__all__ = ["RemoteEngine"]


class OwnedServer(Protocol):
    """A server, or a part in one, that was started for an engine."""

    def close(self) -> None:
        """End it."""
        ...


class RemoteEngine:
    """Makes completions on a server. Safe to share between threads and event loops.

    Made by `connect`, which finds out about the server first.

    Args:
        client: The server.
        dialect: Its kind.
        capabilities: Features that were found on connecting.
        settings: Settings that all requests share.

    Attributes:
        capabilities: Features of the server.
    """

    def __init__(
        self,
        client: ServerClient,
        dialect: ServerDialect,
        capabilities: EngineCapabilities,
        settings: RequestSettings,
    ) -> None:
        self.capabilities = capabilities
        self._client = client
        self._dialect = dialect
        self._settings = settings
        self._server: OwnedServer | None = None

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        """Yield one completion for each request, in order.

        Requests are taken lazily, at most twice `batch_size` ahead of the completion that is waited for, so that one
        slow record does not leave the server idle. An iterator that is closed or dropped cancels what it asked for.

        Args:
            requests: The requests.
            batch_size: Requests under way for this caller; the client's own limit if `None`.

        Raises:
            ConfigError: `batch_size` is less than 1.
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"Expected batch_size of at least 1, found {batch_size}.")
        limit = min(batch_size or self._client.max_in_flight, self._client.max_in_flight)
        ahead, gate = 2 * limit, asyncio.Semaphore(limit)
        pending: deque[Future[Completion]] = deque()
        try:
            for request in requests:
                pending.append(submit(self._complete_within(gate, request)))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
                while pending and pending[0].done():
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    async def agenerate(self, request: GenerationRequest) -> Completion:
        """Make one completion, for callers on an event loop; cancelling the caller cancels the request."""
        return await asyncio.wrap_future(submit(self._complete(request)))

    def own(self, server: OwnedServer) -> None:
        """Take over a server that was started for this engine: it ends with it."""
        self._server = server

    def close(self) -> None:
        """Close the connections to the server, and end it if it was started for this engine."""
        with suppress(RuntimeError):  # the loop is gone at the end of the process
            submit(self._client.close()).result(timeout=5)
        if self._server is not None:
            self._server.close()

    async def _complete_within(self, gate: asyncio.Semaphore, request: GenerationRequest) -> Completion:
        async with gate:
            return await self._complete(request)

    async def _complete(self, request: GenerationRequest) -> Completion:
        asked = self._dialect.request(request, self._settings)
        longest = LONGEST_ANSWER + request.max_new_tokens * asked.token_bytes
        try:
            answer = await self._client.post(asked.path, asked.body, longest=longest)
        except ServerAnswerError as error:
            return Completion((), "error", str(error), cause=error)
        # off the event loop, which has other answers to receive: reading takes as long as the grammar's masks
        return await asyncio.to_thread(self._read, request, answer)

    def _read(self, request: GenerationRequest, answer: Any) -> Completion:
        try:
            return self._dialect.completion(request, answer, self._settings)
        except InvalidAnswerError as error:
            return Completion((), "error", str(error), cause=error)
        except (*MALFORMED, GrammarError) as error:  # may quote the answer
            found = f"Expected an answer as {self.capabilities.kind} gives it, found another form"
            return Completion((), "error", f"{found} ({type(error).__name__}).")
