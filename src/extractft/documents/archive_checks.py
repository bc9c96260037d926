"""Bounds on files that are archives: what unpacks to gigabytes is refused before it is read. Knows zip files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from extractft.errors import DocumentError

__all__ = ["LARGEST_DOCUMENT", "LARGEST_UNPACKED", "require_readable", "require_small"]

LARGEST_DOCUMENT = 256 << 20
"""Bytes of a file."""
LARGEST_UNPACKED = 512 << 20
"""Bytes of all that is in an archive."""


def require_readable(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        DocumentError: It is missing, a directory, too large or cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST_DOCUMENT:
            raise DocumentError(f"{path.name}: expected at most {LARGEST_DOCUMENT >> 20} MiB, found more").hint(
                "Take it apart, or save its text and extract from that."
            )
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{path.name}: cannot be read ({error.strerror or type(error).__name__})") from error


def require_small(path: Path, content: bytes) -> None:
    """Refuse what is no archive, or unpacks to more than fits into memory.

    Raises:
        DocumentError: It does.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise DocumentError(f"{path.name}: expected an Office file, found something else").hint(
            "Save it as .docx or .xlsx, without a password."
        ) from error
    if unpacked > LARGEST_UNPACKED:
        raise DocumentError(f"{path.name}: expected at most {LARGEST_UNPACKED >> 20} MiB unpacked, found more")
