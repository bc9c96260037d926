"""Turns what libraries raise while a run's files are written or read into one error that says what to do.

Knows errors and paths, not what is in the files.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extractft.errors import ExtractFTError, TrainingError

__all__ = ["reading", "writing"]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_WORDS = ("No space left", "os error 28", "Disk quota exceeded")
LEAST_FREE = 1 << 20
"""Bytes below which a disk is full, where a library does not say why it could not write."""


@contextmanager
def writing(what: str, directory: Path) -> Iterator[None]:
    """Raise a `TrainingError` in place of whatever goes wrong while something is written.

    Args:
        what: Name of what is written, for the message.
        directory: Where it is written.
    """
    try:
        yield
    except ExtractFTError:
        raise
    except Exception as error:
        full = is_full(error, directory)
        reason = "no space left" if full else _reason(error)
        raise TrainingError(f"could not write {what} in {directory}: {reason}").hint(
            f"{'Free some' if full else 'Make it writable'}; a run with an output_dir goes on with resume=True."
        ) from error


@contextmanager
def reading(checkpoint: Path) -> Iterator[None]:
    """Raise a `TrainingError` in place of whatever goes wrong while a whole checkpoint is read.

    Args:
        checkpoint: The directory, for the message.
    """
    try:
        yield
    except ExtractFTError:
        raise
    except Exception as error:
        raise TrainingError(f"could not read {checkpoint}, although it is whole: {_reason(error)}").hint(
            "Resume with the versions of torch and transformers that wrote it, or delete it to go on from an older one."
        ) from error


def is_full(error: BaseException, directory: Path) -> bool:
    """True if something could not be written because there is no room for it."""
    chain: BaseException | None = error
    while chain is not None:
        if getattr(chain, "errno", None) in FULL or any(words in str(chain) for words in FULL_WORDS):
            return True
        chain = chain.__cause__ or chain.__context__
    try:
        return shutil.disk_usage(directory).free < LEAST_FREE
    except OSError:
        return False


def _reason(error: Exception) -> str:
    """An error in a few words; what comes out of writing and reading files holds no text of a customer's."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
