"""The end of a run that stopped, in words; and memory that goes back to the system. Knows errors; knows no rows."""

from __future__ import annotations

import ctypes
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from extractft.errors import BulkRunError, EngineError, ExtractFTError

__all__ = ["GOES_ON", "release_memory", "told_how_to_go_on"]

GOES_ON = "What is done is kept: the same command goes on from there."


@contextmanager
def told_how_to_go_on() -> Iterator[None]:
    """Say of what stops the block what became of the run.

    Raises:
        BulkRunError: Something could not be read or written.
    """
    try:
        yield
    except (EngineError, KeyboardInterrupt) as stop:
        stop.add_note(GOES_ON)
        raise
    except ExtractFTError:
        raise
    except (OSError, sqlite3.Error) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        place = getattr(error, "filename", None)
        where = f" at {place}" if place else ""
        failure = BulkRunError(f"The run stopped: {found}{where}.")
        if "full" in found or "space" in found or "quota" in found.lower():
            failure.hint("Make room on the disk first.")
        raise failure.hint(GOES_ON) from error


def release_memory() -> None:
    """Give memory that nobody uses back to the system, as far as its libraries can."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library without it
            ctypes.CDLL(None).malloc_trim(0)
