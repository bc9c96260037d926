"""Find the files in a directory that an older extractor wrote. Only these are ever replaced or removed."""

from __future__ import annotations

from pathlib import Path

from extractft.artifact.artifact_reader import (
    CARD_FILE,
    DRAFTS_FILE,
    OWN_NAMES,
    directory_kind,
    read_manifest,
)
from extractft.artifact.manifest import MANIFEST_FILE, Manifest
from extractft.artifact.model_card import render_model_card
from extractft.errors import ArtifactError
from extractft.modeling.base_model_ref import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from extractft.storage import LOCK_FILE, file_digest, restore_lost

__all__ = ["require_replaceable"]

FORMAT_1_FILES = frozenset({"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", DRAFTS_FILE})
"""Files that extractors of format 1 may have, whose manifest did not list them."""


def require_replaceable(target: Path) -> frozenset[str]:
    """Refuse a directory in which `save_artifact` would have to replace files that no extractor wrote.

    Returns:
        Names of the entries in the directory that an older extractor wrote and nobody changed. All other entries are
        the user's, and none has a name that means something in an extractor.

    Raises:
        ArtifactError: There is a file, a directory of other things, or an extractor with files that were changed.
    """
    try:
        restore_lost(target)
        if not target.is_dir():
            if target.exists():
                raise _refused(target, "a file")
            return frozenset()
        names = {entry.name for entry in target.iterdir()} - {LOCK_FILE}
        if not names:
            return frozenset()
        if MANIFEST_FILE not in names:
            raise _refused(target, directory_kind(target))
        own = _own_entries(target, _old_manifest(target))
    except OSError as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"Expected to look into {target}, found: {error}.") from error
    strange = sorted(names & OWN_NAMES - own)
    if strange:
        raise ArtifactError(
            f"Expected files that extractft wrote in {target}, found some that it did not, or that were changed "
            f"since: {', '.join(strange)}."
        ).hint("Move them away, or save under another name; nothing but an older extractor is ever replaced.")
    return own


def _old_manifest(target: Path) -> Manifest:
    try:
        return read_manifest(target)
    except ArtifactError as error:
        raise _refused(target, f"other files: its {MANIFEST_FILE} is not one that extractft wrote") from error


def _own_entries(target: Path, manifest: Manifest) -> frozenset[str]:
    """Names of the entries of `target` that are exactly as the extractor wrote them."""
    if manifest.format_version == 1:
        adapter = {ADAPTER_CONFIG_FILE, ADAPTER_FILE} if manifest.adapter else set()
        card = target / CARD_FILE
        cards = {CARD_FILE} if card.is_file() and card.read_bytes() == render_model_card(manifest).encode() else set()
        return frozenset({MANIFEST_FILE, *FORMAT_1_FILES, *adapter, *cards})
    changed = {
        name.partition("/")[0]
        for name, record in manifest.files.items()
        if (target / name).exists() and not _is_unchanged(target / name, record.sha256, record.size)
    }
    listed = {name.partition("/")[0] for name in manifest.files}
    mixed = {name for name in listed if (target / name).is_dir() and _has_unlisted_files(target, name, manifest)}
    return frozenset({MANIFEST_FILE, *listed} - changed - mixed)


def _is_unchanged(file: Path, sha256: str, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size and file_digest(file) == sha256


def _has_unlisted_files(target: Path, name: str, manifest: Manifest) -> bool:
    """True if a directory holds files that the manifest does not list."""
    files = (path.relative_to(target).as_posix() for path in (target / name).rglob("*") if not path.is_dir())
    return any(file not in manifest.files for file in files)


def _refused(target: Path, found: str) -> ArtifactError:
    return ArtifactError(f"Expected a new directory or a saved extractor at {target}, found {found}.").hint(
        "Save under another name; nothing but an older extractor is ever replaced."
    )
