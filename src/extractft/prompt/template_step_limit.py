"""Bounds on how long a template may run. Jinja's sandbox keeps templates from doing harm, not from looping for hours.

Steps are counted instead of seconds, so that a template that renders does so on every machine. Knows Python frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["MAX_STEPS", "TooManyStepsError", "limited_steps"]

MAX_STEPS = 1_000_000
"""Lines of compiled template that one rendering may run; real ones need a few thousand."""
TEMPLATE = "<template>"
"""The file name that Jinja gives to a template made from a string."""
LIBRARY = ("jinja2/utils.py", "jinja2/filters.py")
"""Files of Jinja in which a template can make it loop."""


class TooManyStepsError(Exception):
    """A template ran longer than it may."""


@contextmanager
def limited_steps(limit: int = MAX_STEPS) -> Iterator[None]:
    """Stop templates that are rendered in the block, in this thread, after `limit` steps.

    Raises:
        TooManyStepsError: A template ran longer.
    """
    left = limit

    def step(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManyStepsError(f"more than {limit:,} steps")
        return step

    def called(frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        return step if file == TEMPLATE or file.replace("\\", "/").endswith(LIBRARY) else None

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield
    finally:
        sys.settrace(before)
