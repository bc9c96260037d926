"""Bounds on the time that work takes, which a busy machine cannot break and a slow algorithm cannot keep.

Tests that share a machine run two to four times slower than it could, for seconds at a time. So what counts is
processor time, the fastest of some tries, with a pause that grows before each further one; the first try that keeps
the bound ends the test. Knows nothing of what is timed.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

TRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
"""Seconds before the second try, doubled before each further one: eight tries lie over nine seconds at least."""
NOISE = 0.03
"""Less than so many seconds counts as so many where growth is measured: it may be one switch to another process."""


class Stopwatch:
    """Processor time of this process; without the collector of garbage, whose work depends on all other tests."""

    def __init__(self, clock: Callable[[], float] = time.process_time, sleep: Callable[[float], Any] = time.sleep):
        self._clock, self._sleep = clock, sleep

    def measure(self, work: Callable[[], T]) -> tuple[float, T]:
        """Seconds that work took, and its result."""
        collects = gc.isenabled()
        gc.disable()
        try:
            start = self._clock()
            result = work()
            return self._clock() - start, result
        finally:
            if collects:
                gc.enable()

    def pause(self, tried: int) -> None:
        """Let a burst of other work go by; nothing before the first try."""
        if tried:
            self._sleep(min(FIRST_PAUSE * 2 ** (tried - 1), LONGEST_PAUSE))


STOPWATCH = Stopwatch()


def assert_within(work: Callable[[], T], seconds: float, tries: int = TRIES, *, watch: Stopwatch = STOPWATCH) -> T:
    """Assert that one of some tries takes no more processor time, and return its result.

    Work is repeated, so it has to do the same each time: what it fills, caches or closes, it makes itself.
    """
    fastest = float("inf")
    for tried in range(tries):
        watch.pause(tried)
        took, result = watch.measure(work)
        fastest = min(fastest, took)
        if fastest <= seconds:
            return result
    raise AssertionError(f"Expected at most {seconds:.3f} s, found {fastest:.3f} s as the fastest of {tries} tries")


def assert_growth(
    work_of_size: Callable[[int], Callable[[], Any]],
    small: int,
    large: int,
    most: float,
    tries: int = TRIES,
    *,
    watch: Stopwatch = STOPWATCH,
) -> float:
    """Assert that work of the large size takes at most so many times as long as work of the small size.

    Returns the seconds of the small one.

    Args:
        work_of_size: Prepares the work of a size, which is not timed, and returns the work, which is.
        small: A size.
        large: A larger one. The further apart the two, the better a square is told from a line.
        most: Times as long that the large one may take: between `large / small`, a line, and its square.
        tries: Most pairs that are measured, a small one before and after each large one.
        watch: The clock.
    """
    little, much = work_of_size(small), work_of_size(large)
    short, long = watch.measure(little)[0], float("inf")
    for tried in range(tries):
        watch.pause(tried)
        long = min(long, watch.measure(much)[0])
        short = min(short, watch.measure(little)[0])
        if long <= most * max(short, NOISE):
            return short
    growth = long / max(short, NOISE)
    raise AssertionError(
        f"Expected at most {most:.1f} times as long for {large} as for {small}, "
        f"found {growth:.1f} times: {short:.3f} s and {long:.3f} s, each the fastest of {tries} tries"
    )
