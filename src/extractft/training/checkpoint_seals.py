"""Files of a run that say themselves that they are ours and whole: JSON with its own hash, directories with a seal.

A sealed directory holds `checkpoint.json`, written last, with the hash of every other file and of the run that wrote
them. Knows files and hashes, not what is in them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractft.storage import file_digest, publish_text, tree_digests

__all__ = ["Seal", "SealError", "digest_of", "read_sealed", "seal_directory", "write_sealed"]

PROGRAM = "extractft"
SEAL_FILE = "checkpoint.json"


class SealError(Exception):
    """A file is missing, damaged or none of ours; its message says which file and what is wrong with it.

    Never leaves the room: the run directory says what to do about it.
    """


def digest_of(values: Any) -> str:
    """SHA-256 of JSON values, however they are laid out in a file."""
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Publish JSON values that `read_sealed` can tell from everything else.

    Raises:
        OSError: The file cannot be written.
    """
    publish_text(path, _sealed_text(values))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Raises:
        SealError: There is no such file, or it is not as it was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SealError(f"{path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise SealError(f"{path.name} cannot be read") from error
    if not isinstance(content, dict) or content.get("program") != PROGRAM or "content" not in content:
        raise SealError(f"{path.name} was not written by {PROGRAM}")
    values: dict[str, Any] = content["content"]
    if not isinstance(values, dict) or content.get("sha256") != digest_of(values):
        raise SealError(f"{path.name} is not as it was written")
    return values


def _sealed_text(values: Mapping[str, Any]) -> str:
    plain = json.loads(json.dumps(values, ensure_ascii=False))
    content = {"program": PROGRAM, "content": plain, "sha256": digest_of(plain)}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Seal:
    """Statement of a sealed directory about itself.

    Attributes:
        run: Hash of the identity of the run that wrote it.
        step: Optimizer step of its weights.
        files: SHA-256 of every file, by its path relative to the directory.
    """

    run: str
    step: int
    files: Mapping[str, str]

    @classmethod
    def read(cls, directory: Path) -> Seal:
        """Read the seal of a directory.

        Raises:
            SealError: There is none, or it is damaged.
        """
        if directory.is_symlink() or not directory.is_dir():
            raise SealError("it is no directory" if directory.exists() else "it is missing")
        values = read_sealed(directory / SEAL_FILE)
        try:
            seal = cls(**values)
        except TypeError as error:
            raise SealError(f"{SEAL_FILE} is of another version") from error
        if not isinstance(seal.files, dict):
            raise SealError(f"{SEAL_FILE} is of another version")
        return seal

    def require_whole(self, directory: Path) -> None:
        """Compare every file with what was written.

        Raises:
            SealError: A file is missing or not as it was written.
        """
        for name, digest in self.files.items():
            try:
                found = file_digest(directory / name)
            except FileNotFoundError as error:
                raise SealError(f"{name} is missing") from error
            except OSError as error:
                raise SealError(f"{name} cannot be read ({error.strerror})") from error
            if found != digest:
                raise SealError(f"{name} is not as it was written")

    def foreign_files(self, directory: Path) -> list[str]:
        """Files that somebody else has put into the directory, by path."""
        known = {SEAL_FILE, *self.files}
        parents = {parent.as_posix() for name in known for parent in Path(name).parents}
        names = (path.relative_to(directory).as_posix() for path in directory.rglob("*"))
        return sorted(name for name in names if name not in known and name not in parents)


def seal_directory(directory: Path, *, run: str, step: int) -> None:
    """Write the seal of a directory that is complete otherwise.

    Raises:
        OSError: It cannot be written.
    """
    seal = {"run": run, "step": step, "files": tree_digests(directory)}
    (directory / SEAL_FILE).write_text(_sealed_text(seal), encoding="utf-8", newline="\n")
