"""Turns at an engine: so many texts at once, and of those that wait, one of each client after the other.

Knows clients by name; knows no texts and no engine.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["FairTurns"]


class FairTurns:
    """A semaphore whose line is one for each client, served in turn. Used by one event loop.

    Args:
        slots: Turns at once.

    Attributes:
        slots: Turns at once.
        running: Turns that are taken.
        waiting: Callers in line.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.running = 0
        self.waiting = 0

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        await self._begin(client)
        try:
            yield
        finally:
            self._end()

    async def _begin(self, client: str) -> None:
        if self.running < self.slots and not self._lines:
            self.running += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(place)
        self.waiting += 1
        try:
            await place  # whoever ends a turn hands it over
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # handed over, and nobody is there to take it
                self._end()
            raise
        finally:
            self.waiting -= 1

    def _end(self) -> None:
        """Hand a turn to the first in the line of the next client, or give it back."""
        while self._lines:
            client, line = self._lines.popitem(last=False)
            place = line.popleft()
            if line:
                self._lines[client] = line  # behind all others
            if not place.done():
                place.set_result(None)
                return
        self.running -= 1
