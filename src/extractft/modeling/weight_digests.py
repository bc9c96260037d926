"""Hashes that identify weights which no hub revision identifies.

Hashing takes about a second for 500 MB, so a file's digest is kept in the cache together with its size and time of
change.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from extractft.storage import file_digest, publish_text

__all__ = ["cache_dir", "cached_file_digest", "weight_files", "weights_digest"]

INDEX = "model.safetensors.index.json"
SHA256 = re.compile("[0-9a-f]{64}")


def cache_dir() -> Path:
    """The directory of converted models and digests: `EXTRACTFT_CACHE`, else `extractft` in the user's cache."""
    own = os.environ.get("EXTRACTFT_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "extractft"


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a model directory in name order; of a sharded model those that its index names."""
    index = directory / INDEX
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [directory / name for name in sorted(shards)]
    return sorted(directory.glob("*.safetensors"))


def weights_digest(path: str | Path) -> str:
    """SHA-256 that identifies a model's weights.

    Args:
        path: A `.gguf` file (its own SHA-256), or a model directory (SHA-256 over name and SHA-256 of `config.json`
            and of the safetensors files in name order).
    """
    path = Path(path)
    if path.is_file():
        return cached_file_digest(path)
    lines = [f"{cached_file_digest(file)}  {file.name}\n" for file in [path / "config.json", *weight_files(path)]]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def cached_file_digest(path: Path) -> str:
    """SHA-256 of one file, cached until its size or time of change differs."""
    path = path.resolve()
    stat = path.stat()
    stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]  # mtime can be set back, ctime cannot
    record = cache_dir() / "digests" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["stamp"] == stamp and SHA256.fullmatch(known["sha256"]):
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # not hashed yet, or a record that an older version wrote
    digest = file_digest(path)
    _cache(record, {"stamp": stamp, "sha256": digest})
    return digest


def _cache(record: Path, content: dict[str, object]) -> None:
    """Cache a digest; do nothing if the cache cannot be written."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        publish_text(record, json.dumps(content))
    except OSError:
        return
