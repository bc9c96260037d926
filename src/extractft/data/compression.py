"""Open compressed files by their ending: gzip, bzip2, xz and Zstandard. Knows no format inside of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from extractft.errors import DatasetError

__all__ = ["COMPRESSED_ENDINGS", "open_bytes", "without_compression"]

COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz", ".zst")
CUT_SHORT = ("truncated", "corrupt", "invalid", "unexpected", "prematurely")
"""Words of libraries that have only `OSError` for broken data."""


def without_compression(name: str) -> str:
    """The name of a file in lower case, without the ending of its compression."""
    lower = name.lower()
    return next((lower.removesuffix(ending) for ending in COMPRESSED_ENDINGS if lower.endswith(ending)), lower)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The content of a file, decompressed.

    Raises:
        DatasetError: It cannot be read, or the compressed data is broken.
    """
    try:
        with _opened(path) as stream:
            yield stream
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise _broken(path) from error
    except OSError as error:
        if error.errno is None and any(word in str(error).lower() for word in CUT_SHORT):
            raise _broken(path) from error
        raise DatasetError(f"{path.name}: cannot be read ({error.strerror or type(error).__name__})") from error


def _opened(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        case ".bz2":
            return cast("IO[bytes]", bz2.open(path, "rb"))
        case ".xz":
            return cast("IO[bytes]", lzma.open(path, "rb"))
        case ".zst":
            import pyarrow  # comes with datasets; loaded only for such a file, since it takes a while

            unpacked: Any = pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd")
            return cast("IO[bytes]", io.BufferedReader(unpacked))
    return path.open("rb")


def _broken(path: Path) -> DatasetError:
    return DatasetError(f"{path.name}: the compressed file is broken or cut short").hint(
        "Copy it again from where it came from; the rows before the break are no whole file."
    )
