"""Timing assertions hold on a machine that is slow in bursts, and still tell a square from a line."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from timing import NOISE, Stopwatch, assert_growth, assert_within


class BusyMachine:
    """A machine with a clock of its own, two to four times slower in bursts of some seconds; a step takes 1 ms."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.wall = self.processor = 0.0
        self._slow_until = self._next_burst = 0.0
        self._slowness = 1.0
        self.watch = Stopwatch(lambda: self.processor, self._sleep)

    def work(self, steps: int) -> None:
        for _ in range(steps):
            self._weather()
            self.wall += 0.001 * self._slowness
            self.processor += 0.001 * self._slowness

    def _sleep(self, seconds: float) -> None:
        self.wall += seconds

    def _weather(self) -> None:
        while self.wall >= self._next_burst:
            self._slow_until = self._next_burst + self._random.uniform(0.2, 1.5)
            self._next_burst = self._slow_until + self._random.uniform(0.5, 2)
            self._slowness = self._random.uniform(2, 4)
        if self.wall >= self._slow_until:
            self._slowness = 1.0


def test_bursts_break_no_bound() -> None:
    for seed in range(200):
        busy = BusyMachine(seed)
        assert_within(lambda busy=busy: busy.work(200), 0.25, watch=busy.watch)
        assert busy.processor > 0


def test_bursts_break_no_line() -> None:
    for seed in range(200):
        busy = BusyMachine(seed)
        assert_growth(lambda size, busy=busy: lambda: busy.work(size), 50, 200, 6, watch=busy.watch)


def test_bursts_hide_no_square() -> None:
    for seed in range(50):
        busy = BusyMachine(seed)
        with pytest.raises(AssertionError, match="times as long for 80 as for 10, found"):
            assert_growth(lambda size, busy=busy: lambda: busy.work(size * size), 10, 80, 12, watch=busy.watch)


def test_bursts_hide_no_slow_work() -> None:
    for seed in range(50):
        busy = BusyMachine(seed)
        with pytest.raises(AssertionError, match=r"at most 0\.200 s, found 0\.(2[5-9]|[3-9])\d+ s as the fastest of 8"):
            assert_within(lambda busy=busy: busy.work(250), 0.2, watch=busy.watch)


def quadratic(size: int) -> Callable[[], int]:
    return lambda: sum(1 for _ in range(size) for _ in range(size))


def linear(size: int) -> Callable[[], int]:
    return lambda: sum(1 for _ in range(1000 * size))


def test_a_real_square_fails_and_a_real_line_does_not() -> None:
    with pytest.raises(AssertionError, match=r"at most 16\.0 times as long for 6000 as for 600, found"):
        assert_growth(quadratic, 600, 6000, 16, tries=1)
    assert_growth(linear, 600, 6000, 16)


def test_the_first_try_that_holds_ends_it() -> None:
    tried: list[int] = []
    assert assert_within(lambda: tried.append(1) or len(tried), 5) == 1  # type: ignore[func-returns-value]
    busy = BusyMachine(0)
    took = iter([9, 9, 1, 9])
    assert_within(lambda: busy.work(1000 * next(took)), 4, watch=busy.watch)
    assert list(took) == [9]


def test_nothing_is_measured_below_the_noise() -> None:
    busy = BusyMachine(0)
    steps = {1: 1, 2: int(NOISE * 1000) // 4}
    assert_growth(lambda size: lambda: busy.work(steps[size]), 1, 2, 1.1, watch=busy.watch)


def test_an_error_of_the_work_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        assert_within(lambda: 1 // 0, 5)
