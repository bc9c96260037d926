"""Batches: lines of JSON in, lines of JSON out as their texts are done. Knows ASGI's messages; knows no engine.

The body is read as fast as it comes, whatever becomes of the answers: many clients send all of it before they read.
A batch holds one place from its beginning to its end, so that it always goes on, and more while there are some free.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json
from starlette.types import Receive, Send

from extractft.serving.admission import Admission
from extractft.serving.problem_details import Problem, invalid_request
from extractft.serving.record_answers import ExtractRequest
from extractft.serving.request_body import ClientHungUp, body_chunks, require_single_keys
from extractft.serving.request_context import current_client, current_request
from extractft.serving.request_log import log_event
from extractft.serving.server_config import ServerConfig

__all__ = ["BatchLine", "BatchOptions", "BatchStream"]

Answerer = Callable[[ExtractRequest], Awaitable[dict[str, Any]]]


class BatchLine(ExtractRequest):
    """A line of a batch: a text to extract a record from."""

    id: str | int | None = None
    """Given back with its answer."""


class BatchOptions(BaseModel):
    """Options of a batch, in the query of its address."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    order: Literal["done", "input"] = "done"
    """Order of the answers: as they are done, or as their lines came in."""


class BatchStream:
    """One batch on its way.

    Args:
        answer: Answers a line that has a place.
        admission: The places.
        settings: Those of the service.
        options: Those of the batch.
        window: Lines under way at once at most.
    """

    def __init__(
        self, answer: Answerer, admission: Admission, settings: ServerConfig, options: BatchOptions, *, window: int
    ) -> None:
        self._answer = answer
        self._admission = admission
        self._settings = settings
        self._in_order = options.order == "input"
        self._window = min(window, settings.client_limit)
        self._client = current_client()
        self._lines: deque[tuple[int, bytes | Problem]] = deque()
        self._read_all, self._gone = False, False
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._held = 0
        self._begun, self._written = 0, 0
        self._done: dict[int, bytes] = {}
        self._records, self._failed = 0, 0

    async def run(self, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        """Read the lines and write the answers, until all are written or the client is gone.

        Raises:
            Problem: There is no place for the batch; nothing is written then.
            ClientHungUp: The client is gone.
        """
        self._admission.enter(self._client)
        self._held = 1
        reading = asyncio.create_task(self._read(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._write_all(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            left = [reading, *self._running]
            self._lines.clear()
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            for _ in range(self._held):
                self._admission.leave(self._client)
            request = current_request.get()
            if request is not None:
                request.notes |= {"records": self._records, "failed": self._failed}

    # ------------------------------------------------------------------------------------------------- reading

    async def _read(self, receive: Receive) -> None:
        """Read all lines; then wait for the client to hang up."""
        try:
            await self._read_lines(receive)
        except Problem as problem:  # too large or too slow: what has come is answered
            self._lines.append((self._line_number, problem))
            return
        except ClientHungUp:
            self._gone = True
            return
        finally:
            self._read_all = True
            self._go_on()
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._wake.set()

    async def _read_lines(self, receive: Receive) -> None:
        rest, skipping, self._line_number = bytearray(), False, 1
        longest = self._settings.max_body_bytes
        async for chunk in body_chunks(receive, self._settings.idle_seconds):
            *whole, last = chunk.split(b"\n")
            for piece in whole:
                rest += piece
                if not skipping:
                    self._take(bytes(rest), longest)
                self._line_number += 1
                rest, skipping = bytearray(), False
            rest += b"" if skipping else last
            if len(rest) > longest:
                self._take(bytes(rest), longest)
                rest, skipping = bytearray(), True
            self._go_on()
        if not skipping:
            self._take(bytes(rest), longest)

    def _take(self, line: bytes, longest: int) -> None:
        """Put a line into the queue; an empty one is none."""
        if len(line) > longest:
            found = Problem(413, "body-too-large", f"Expected a line of at most {longest} bytes, found more.")
            self._lines.append((self._line_number, found))
        elif line.strip():
            self._lines.append((self._line_number, line))

    # ------------------------------------------------------------------------------------------------- answering

    def _go_on(self) -> None:
        """Begin as many lines as there are places for, give places back that are not needed, wake the writer."""
        while self._lines and len(self._running) < self._window and self._find_place():
            number, line = self._lines.popleft()
            task = asyncio.create_task(self._answer_line(self._begun, number, line))
            self._begun += 1
            self._running.add(task)
            task.add_done_callback(self._finished)
        while self._held > max(1, len(self._running)):
            self._held -= 1
            self._admission.leave(self._client)
        self._wake.set()

    def _find_place(self) -> bool:
        if len(self._running) < self._held:
            return True
        found = self._admission.try_enter(self._client)
        self._held += found
        return found

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._go_on()

    async def _answer_line(self, position: int, number: int, line: bytes | Problem) -> None:
        answer: dict[str, Any] = {"line": number}
        try:
            asked = _parsed(line, answer)
            answer |= await self._answer(asked)
            self._records += 1
        except Problem as problem:
            answer["error"] = problem.to_dict()
            self._failed += 1
        except Exception as error:  # as the guard does for a whole request
            log_event("failed", level=logging.ERROR, failure=error, line=number)
            answer["error"] = Problem(500, "server-error", "The server failed; its log says where.").to_dict()
            self._failed += 1
        self._done[position] = to_json(answer) + b"\n"

    # ------------------------------------------------------------------------------------------------- writing

    async def _write_all(self, send: Send) -> None:
        while True:
            if self._gone:
                raise ClientHungUp
            if content := self._ready():
                await self._write(send, content)
            elif self._read_all and not self._lines and not self._running:
                return
            else:
                await self._wake.wait()
                self._wake.clear()

    def _ready(self) -> bytes:
        """The answers that can be written now."""
        if not self._in_order:
            content = b"".join(self._done.values())
            self._done.clear()
            return content
        found = []
        while self._written in self._done:
            found.append(self._done.pop(self._written))
            self._written += 1
        return b"".join(found)

    async def _write(self, send: Send, content: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.idle_seconds):
                await send({"type": "http.response.body", "body": content, "more_body": True})
        except TimeoutError:
            raise ClientHungUp from None


def _parsed(line: bytes | Problem, answer: dict[str, Any]) -> BatchLine:
    """The line, read; its id goes into its answer, also if the rest of it is wrong.

    Raises:
        Problem: It cannot be read.
    """
    if isinstance(line, Problem):
        raise line
    try:
        asked = BatchLine.model_validate_json(line)
    except ValidationError as error:
        with suppress(ValueError):
            found = from_json(line)
            given = found.get("id") if isinstance(found, dict) else None
            if isinstance(given, str | int):
                answer["id"] = given
        raise invalid_request(error.errors(include_url=False, include_input=False, include_context=False)) from None
    if asked.id is not None:
        answer["id"] = asked.id
    require_single_keys(line)
    return asked
