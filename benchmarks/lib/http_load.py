"""Clients of the HTTP service on one event loop: those that ask and wait, and those that do everything else.

A client of its own rather than a library's: on two cores it must cost less than what it measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Load", "run_clients"]

PAUSE = 0.1
"""Seconds between two requests of a hostile client."""


@dataclass
class Load:
    """What clients were answered.

    Attributes:
        statuses: Answers to right requests, by status.
        seconds: How long each 200 took.
        broken: Right requests that got no answer.
        hostile: Answers to the other requests, by what they were and their status.
        elapsed: Seconds from the first request to the last answer.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken: int = 0
    hostile: Counter[str] = field(default_factory=Counter)
    elapsed: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        ordered = sorted(self.seconds)
        quantiles = {f"p{p}": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 95, 99) if ordered}
        return {
            "records": self.statuses[200],
            "records_per_second": self.statuses[200] / self.elapsed if self.elapsed else 0.0,
            "seconds": quantiles,
            "statuses": dict(self.statuses),
            "broken": self.broken,
            "hostile": dict(self.hostile),
        }


class Connection:
    """One connection that is kept open, and opened again when it is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request, and read the answer; its status."""
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        if b"connection: close" in lines:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def post(name: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST /v1/{name}/extract HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def run_clients(
    port: int, name: str, texts: Sequence[str], *, clients: int, seconds: float, hostile: int
) -> Load:
    """Ask for some seconds.

    Args:
        port: Port of the server.
        name: The extractor.
        texts: What to ask; each client begins somewhere else.
        clients: Clients that ask and wait.
        seconds: How long.
        hostile: Clients that do everything else.
    """
    load, begun = Load(), time.monotonic()
    end = begun + seconds
    requests = [post(name, json.dumps({"text": text}, ensure_ascii=False).encode()) for text in texts]
    turn = iter(range(10**12))
    async with asyncio.TaskGroup() as tasks:
        for number in range(hostile):
            tasks.create_task(_harm(port, name, requests, load, end, random.Random(number)))
        await asyncio.gather(*(_ask(Connection(port), requests, turn, load, end) for _ in range(clients)))
        load.elapsed = time.monotonic() - begun
    return load


async def _ask(connection: Connection, requests: Sequence[bytes], turn: Any, load: Load, end: float) -> None:
    while time.monotonic() < end:
        begun, sent = time.monotonic(), requests[next(turn) % len(requests)]
        try:
            status = await connection.ask(sent)
        except ConnectionRefusedError:
            return  # the server is gone, and has not got this one
        except (OSError, asyncio.IncompleteReadError):
            load.broken += 1
            connection.close()
            continue
        load.statuses[status] += 1
        if status == 200:
            load.seconds.append(time.monotonic() - begun)
        else:
            await asyncio.sleep(PAUSE)
    connection.close()


async def _harm(port: int, name: str, requests: Sequence[bytes], load: Load, end: float, chance: random.Random) -> None:
    """Send what is too large, wrong or unfinished, and hang up in the middle."""
    kinds = ("oversize", "malformed", "hang-up", "half", "garbage")
    while time.monotonic() < end:
        kind = chance.choice(kinds)
        outcome = "closed"
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            outcome = await _harm_once(port, name, kind, chance.choice(requests), chance)
        load.hostile[f"{kind} {outcome}"] += 1
        await asyncio.sleep(PAUSE)


async def _harm_once(port: int, name: str, kind: str, request: bytes, chance: random.Random) -> str:
    connection = Connection(port)
    if kind == "oversize":
        return str(await connection.ask(post(name, b'{"text": "' + b"x" * 2_000_000 + b'"}')))
    if kind == "malformed":
        return str(await connection.ask(post(name, chance.choice((b"{", b"[" * 1000, b'{"text": 1}', b"\xff\xfe")))))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    if kind == "garbage":
        writer.write(chance.randbytes(200) + b"\r\n\r\n")
    else:
        writer.write(request if kind == "hang-up" else request[: len(request) // 2])
    await writer.drain()
    await asyncio.sleep(chance.random() * 0.2)
    writer.close()
    return "hung up"
