"""Close connections that wait for nothing: clients that never finish a request, and those that do not take an answer.

Knows uvicorn's connections by `cycle` and `transport`; knows no requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from extractft.serving.server_config import ServerConfig

__all__ = ["IdleConnections"]

TICK = 0.5


@dataclass(slots=True)
class _Idle:
    """Time since when a connection has been as it is."""

    state: str
    since: float


class IdleConnections:
    """Looks at the connections of a server, and closes those that have been idle for too long.

    Args:
        connections: The open ones, whenever it looks.
        settings: How long they may be idle, and how many may be open.
    """

    def __init__(self, connections: Callable[[], Iterable[Any]], settings: ServerConfig) -> None:
        self._connections = connections
        self._settings = settings
        self._known: dict[Any, _Idle] = {}
        self._longest = {
            "new": settings.idle_seconds,
            "between": settings.keep_alive_seconds,
            "closing": settings.idle_seconds,
        }

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(min(TICK, self._settings.idle_seconds / 4))
            self.close_idle(time.monotonic())

    def close_idle(self, now: float) -> None:
        """Close what has been idle for too long, and what has been longest beyond the number that may be open."""
        connections = list(self._connections())
        known: dict[Any, _Idle] = {}
        for connection in connections:
            state = _state(connection)
            if state == "answering":
                continue
            before = self._known.get(connection)
            known[connection] = before if before is not None and before.state == state else _Idle(state, now)
        self._known = known
        oldest = sorted(known, key=lambda connection: known[connection].since)
        surplus = max(0, len(connections) - self._settings.max_connections)
        for position, connection in enumerate(oldest):
            idle = known[connection]
            if position < surplus or now - idle.since >= self._longest[idle.state]:
                _close(connection)
                del self._known[connection]


def _state(connection: Any) -> str:
    if connection.transport is None or connection.transport.is_closing():
        return "closing"  # its last bytes are not taken
    if connection.cycle is None:
        return "new"
    return "between" if connection.cycle.response_complete else "answering"


def _close(connection: Any) -> None:
    transport = connection.transport
    if transport is not None:
        transport.abort() if transport.is_closing() else transport.close()
