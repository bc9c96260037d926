"""SHA-256 of files and directories, which reveals half a copy or a mix-up. No guard against attackers."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["file_digest", "tree_digests"]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below a directory, by its path relative to it with `/` between the parts, sorted."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): file_digest(path) for path in files}
