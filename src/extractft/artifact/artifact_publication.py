"""Publish a saved extractor: its files written beside its place, hashed, read back, and put there in one step.

Knows files and manifests; knows no model.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from extractft.artifact.artifact_reader import CARD_FILE, DRAFTS_FILE, load_manifest
from extractft.artifact.manifest import FORMAT_VERSION, MANIFEST_FILE, Manifest, content_digest
from extractft.artifact.model_card import render_model_card
from extractft.artifact.overwrite_guard import require_replaceable
from extractft.errors import ArtifactError, ExtractFTError
from extractft.storage import published_directory, tree_digests

__all__ = ["copy_artifact", "publish_artifact"]

UNMOVABLE = frozenset({errno.EBUSY, errno.EXDEV})
"""Errors for a directory that is a mount point, or part of a container's image."""


def publish_artifact(path: str | Path, manifest: Manifest, write_files: Callable[[Path], bool]) -> None:
    """Write a saved extractor, whole or not at all.

    An extractor that is already there is replaced in one step if its files are as it wrote them. Files of other names
    in its directory are kept, and so is a `README.md` that somebody has changed.

    Args:
        path: The directory to make.
        manifest: The manifest of the extractor.
        write_files: Writes the other files into a directory; true if an adapter is among them.

    Raises:
        ArtifactError: The directory holds something else, or cannot be written.
    """
    try:
        target = Path(path).expanduser().resolve()
        own = require_replaceable(target)
        with published_directory(target, keep=lambda entry: entry.name not in own) as directory:
            adapter = write_files(directory)
            _write_card(directory, manifest, target, own)
            _require_no_conflict(directory, target, own)
            _write_manifest(directory, manifest.model_copy(update={"adapter": adapter}))
            load_manifest(directory)
    except ExtractFTError:
        raise
    except Exception as error:  # safetensors and tokenizers have errors of their own for a full disk
        found = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error)
        failure = ArtifactError(f"Expected to write an extractor to {path}, found: {found}.")
        if isinstance(error, OSError) and error.errno in UNMOVABLE:
            failure.hint("The directory itself cannot be replaced (a mount?): save to a new directory inside it.")
        raise failure from error


def copy_artifact(path: str | Path, manifest: Manifest, source: Path) -> None:
    """Write a saved extractor with the files of another one and a manifest of its own.

    Args:
        path: The directory to make; it may be `source`.
        manifest: The manifest of the extractor.
        source: A saved extractor, complete.

    Raises:
        ArtifactError: Files of the source are missing or damaged, or the directory holds something else.
    """
    saved = load_manifest(source)

    def copy_files(directory: Path) -> bool:
        for name in saved.files:
            if name not in (CARD_FILE, DRAFTS_FILE):
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, directory / name)
        return saved.adapter

    publish_artifact(path, manifest, copy_files)


def _write_card(directory: Path, manifest: Manifest, target: Path, own: frozenset[str]) -> None:
    """Write the model card, unless the user has written another one."""
    if CARD_FILE in own or not (target / CARD_FILE).exists():
        (directory / CARD_FILE).write_text(render_model_card(manifest), encoding="utf-8")


def _require_no_conflict(directory: Path, target: Path, own: frozenset[str]) -> None:
    """Refuse to replace a file that extractft did not write."""
    new = {entry.name for entry in directory.iterdir()}
    others = {entry.name for entry in target.iterdir()} - own if target.is_dir() else set()
    if new & others:
        raise ArtifactError(
            f"Expected room for {', '.join(sorted(new & others))} in {target}, found files of somebody else."
        ).hint("Move them away, or save under another name; nothing but an older extractor is ever replaced.")


def _write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest last, with the hash of every other file and its own."""
    files = {
        name: {"sha256": digest, "size": (directory / name).stat().st_size}
        for name, digest in tree_digests(directory).items()
    }
    content: Mapping[str, Any] = {
        **json.loads(manifest.model_dump_json(by_alias=True)),
        "format_version": FORMAT_VERSION,
        "files": files,
    }
    content = {**content, "manifest_sha256": content_digest(content)}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
