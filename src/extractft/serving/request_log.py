"""Lines of the log: time, level, request id, event, numbers. Never a text, nor the message of an unexpected exception.

Knows logging; knows no HTTP.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, TextIO

from extractft.serving.request_context import current_request

__all__ = ["LogForm", "ServiceFormatter", "log_event", "log_to"]

LogForm = Literal["text", "json"]
logger = logging.getLogger("extractft.serving")
MOST_FRAMES = 30

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_event(event: str, *, level: int = logging.INFO, failure: BaseException | None = None, **numbers: Any) -> None:
    """Write a line.

    Args:
        event: What happened, in a word or two.
        level: Its level.
        failure: The exception, of which class and place are written, whatever formatter there is.
        **numbers: What else is known; no text.
    """
    if logger.isEnabledFor(level):
        request = current_request.get()
        request_id = None if request is None else request.request_id
        if failure is not None:
            numbers["exception"] = _place(type(failure), failure.__traceback__)
        fields = " ".join(f"{name}={_shown(value)}" for name, value in numbers.items())
        extra = {"request_id": request_id, "event": event, "numbers": numbers}
        logger.log(level, "%s %s", event, fields, extra=extra)


@contextmanager
def log_to(stream: TextIO | None = None, form: LogForm = "text") -> Iterator[None]:
    """Send our own lines, and warnings of others, to a stream alone, for as long as the block lasts.

    Handlers and levels that the program has set itself are back in place behind it.

    Args:
        stream: The stream; standard error if none is given.
        form: Form of the lines.
    """
    root = logging.getLogger()
    handlers, levels = root.handlers[:], (root.level, logger.level)
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(ServiceFormatter(form))
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        logger.setLevel(levels[1])


class ServiceFormatter(logging.Formatter):
    """Writes lines with the id of the request that is being answered; of exceptions, class and place alone.

    Args:
        form: `text`, or `json` for an object a line.
    """

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, form: LogForm = "text") -> None:
        super().__init__("%(asctime)s %(levelname)s request_id=%(request_id)s %(message)s")
        self._form = form
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        if getattr(record, "request_id", None) is None:
            request = current_request.get()
            record.request_id = "-" if request is None else request.request_id
        if self._form == "text":
            return super().format(record).replace("\n", "\\n")
        return json.dumps(self._members(record), ensure_ascii=False, default=str)

    def formatException(self, ei: ExcInfo) -> str:
        """Class and place of an exception: its message may quote a text."""
        return "" if ei[0] is None else _place(ei[0], ei[2])

    def formatStack(self, stack_info: str) -> str:
        """Nothing: a stack quotes lines of code alone, and is not asked for here."""
        return ""

    def _members(self, record: logging.LogRecord) -> dict[str, Any]:
        members = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "request_id": getattr(record, "request_id", "-"),
            "event": getattr(record, "event", None) or record.getMessage(),
            **getattr(record, "numbers", {}),
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return members


def _place(kind: type[BaseException], where: TracebackType | None) -> str:
    """The class of an exception and the lines that it passed, the last one first."""
    frames = traceback.extract_tb(where)[-MOST_FRAMES:]
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{kind.__name__} at {places}"


def _shown(value: Any) -> str:
    """A value as one word."""
    if isinstance(value, float):
        return f"{value:.4f}"
    word = str(value)
    return word if word and not any(char.isspace() or char in '"=' for char in word) else json.dumps(word)
