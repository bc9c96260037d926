"""Places for texts: how many may be under way in all, and how many of one client. Knows clients by name, and no HTTP.

Who gets a place keeps it until the text is done or given up; who gets none is told at once, and does not wait.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from extractft.serving.problem_details import Problem

__all__ = ["Admission"]

RECENT = 64
"""Texts that the present rate is computed from."""
LONGEST_WAIT = 60


class Admission:
    """A bounded number of places, with a share for each client. Used by one event loop.

    Args:
        places: Texts that may be under way.
        client_limit: Texts of one client that may be under way.
    """

    def __init__(self, places: int, client_limit: int) -> None:
        self._places = places
        self._client_limit = client_limit
        self._taken: Counter[str] = Counter()
        self._finished: deque[float] = deque(maxlen=RECENT)
        self.taken = 0

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Hold a place.

        Raises:
            Problem: There is none, or the client has its share.
        """
        self.enter(client)
        try:
            yield
        finally:
            self.leave(client)

    def enter(self, client: str) -> None:
        """Take a place.

        Raises:
            Problem: There is none, or the client has its share.
        """
        problem = self._refusal(client)
        if problem is not None:
            raise problem
        self._take(client)

    def try_enter(self, client: str) -> bool:
        """Take a place, if there is one."""
        if self.taken >= self._places or self._taken[client] >= self._client_limit:
            return False
        self._take(client)
        return True

    def leave(self, client: str) -> None:
        """Give a place back."""
        self.taken -= 1
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
        self._finished.append(time.monotonic())

    def _take(self, client: str) -> None:
        self.taken += 1
        self._taken[client] += 1

    def _refusal(self, client: str) -> Problem | None:
        again = {"Retry-After": str(self.seconds_until_free())}
        if self.taken >= self._places:
            return Problem(
                503, "queue-full", f"Expected fewer than {self._places} texts under way, found no place.", headers=again
            )
        if self._taken[client] >= self._client_limit:
            detail = f"Expected at most {self._client_limit} texts of one client under way, found as many."
            return Problem(429, "client-over-its-share", detail, headers=again)
        return None

    def seconds_until_free(self) -> int:
        """Whole seconds after which half of what is under way should be done, at the present rate; at least 1."""
        if len(self._finished) < 2:
            return 1
        seconds = self._finished[-1] - self._finished[0]
        each = seconds / (len(self._finished) - 1)
        return max(1, min(LONGEST_WAIT, math.ceil(each * self.taken / 2)))
