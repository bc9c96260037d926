"""Read a saved extractor: the manifest first, then every file compared with its hash. Damaged ones are refused."""

from __future__ import annotations

import json
import stat
from collections.abc import Container
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.numpy import load as load_safetensors

from extractft.artifact.manifest import FORMAT_VERSION, MANIFEST_FILE, FileRecord, Manifest, content_digest
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError
from extractft.modeling.base_model_ref import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from extractft.storage import file_digest, restore_lost

__all__ = [
    "CARD_FILE",
    "DRAFTS_FILE",
    "OWN_NAMES",
    "directory_kind",
    "load_manifest",
    "read_manifest",
    "require_unchanged",
]

CARD_FILE = "README.md"
DRAFTS_FILE = "drafts.safetensors"
"""Of the first version: never read, since it gives values of training rows away, and gone when saved again."""
OWN_NAMES = frozenset(
    {
        MANIFEST_FILE,
        ADAPTER_CONFIG_FILE,
        ADAPTER_FILE,
        "added_tokens.json",
        "additional_chat_templates",
        "chat_template.jinja",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
"""Names with a meaning in a saved extractor. `README.md` has none: it is for people."""
MAY_BE_MISSING = frozenset({CARD_FILE, DRAFTS_FILE})


def load_manifest(path: str | Path, *, needed: Container[str] | None = None) -> Manifest:
    """Read the manifest of a saved extractor and compare the files beside it with their hashes.

    Args:
        path: The directory.
        needed: Names of the files that have to be there; others are not looked at. `None` for all.

    Raises:
        ArtifactNotFoundError: There is no directory, no extractor in it, or one of its files is missing.
        ArtifactMismatchError: A newer extractft wrote it, or a file is not the one that was saved.
        ArtifactError: The manifest or a file is damaged, or may not be read.
    """
    directory = Path(path).expanduser()
    manifest = read_manifest(directory)
    for name, record in manifest.files.items():
        if name != CARD_FILE and (needed is None or name in needed):
            _require_file(directory, name, record)
    _require_no_stray_files(directory, manifest)
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a saved extractor alone.

    Raises:
        ArtifactNotFoundError: There is no directory, or no extractor in it.
        ArtifactMismatchError: A newer extractft wrote it.
        ArtifactError: The manifest is damaged, was changed after it was written, or may not be read.
    """
    content = _manifest_content(directory)
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactMismatchError(
            f"Expected an extractor of format {FORMAT_VERSION} or older in {directory}, found format {version}.",
            expected=f"format {FORMAT_VERSION}",
            found=f"format {version}",
        ).hint("A newer extractft saved it: pip install --upgrade extractft")
    try:
        manifest = Manifest.model_validate(content)
    except (ValidationError, RecursionError) as error:
        places = "" if isinstance(error, RecursionError) else _places(error)
        raise _damaged(directory, places or type(error).__name__) from error
    if manifest.format_version > 1 and manifest.manifest_sha256 != content_digest(content):
        raise _damaged(directory, "changes that were made after it was written")
    return manifest


def require_unchanged(path: str | Path, manifest: Manifest) -> None:
    """Refuse an extractor that was saved again while it was loaded: it is part old, part new.

    Raises:
        ArtifactError: The manifest changed.
    """
    directory = Path(path).expanduser()
    if read_manifest(directory) != manifest:
        raise ArtifactError(f"The extractor in {directory} was replaced while it was loaded.").hint("Load it again.")


def directory_kind(directory: Path) -> str:
    """The kind of a directory without a manifest, as words for a message."""
    if (directory / ADAPTER_CONFIG_FILE).is_file():
        return "a PEFT adapter"
    if (directory / "config.json").is_file():
        return "a base model"
    return "other files" if any(directory.iterdir()) else "an empty directory"


def _manifest_content(directory: Path) -> Any:
    try:
        if not directory.is_dir():
            restore_lost(directory)
        if not directory.is_dir():
            raise ArtifactNotFoundError(f"Expected a saved extractor in {directory}, found no such directory.").hint(
                "Extractors are directories written by `save_pretrained`; they are not fetched from a hub."
            )
        if (directory / MANIFEST_FILE).exists() and not (directory / MANIFEST_FILE).is_file():
            raise ArtifactError(f"{MANIFEST_FILE} in {directory} is no file.").hint("Copy the extractor again.")
        return json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(
            f"Expected a saved extractor in {directory}, found {directory_kind(directory)}, without {MANIFEST_FILE}."
        ).hint("Give the directory that `save_pretrained` wrote.") from error
    except OSError as error:
        raise _unreadable(directory, MANIFEST_FILE, error) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(directory, str(error)) from error


def _require_file(directory: Path, name: str, record: FileRecord) -> None:
    file = directory / name
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError(f"{name} in {directory} is no file.").hint("Copy the extractor again.")
        size, found = status.st_size, file_digest(file)
        cut_off = size < record.size and _is_cut_off(file)
    except FileNotFoundError as error:
        if name in MAY_BE_MISSING:
            return
        raise ArtifactNotFoundError(f"Expected {name} in {directory}, found no such file.").hint(
            "Copy the extractor again: its manifest lists this file."
        ) from error
    except OSError as error:
        raise _unreadable(directory, name, error) from error
    remedy = "Copy the whole extractor again" + (", or delete the file." if name in MAY_BE_MISSING else ".")
    if cut_off:
        found_size = f"expected {record.size} bytes, found {size}"
        raise ArtifactError(f"{name} in {directory} is cut short: {found_size}.").hint(remedy)
    if found != record.sha256:
        raise ArtifactMismatchError(
            f"{name} in {directory} is not the file that was saved with this extractor.",
            expected=f"SHA-256 {record.sha256}, {record.size} bytes",
            found=f"SHA-256 {found}, {size} bytes",
        ).hint(f"It is damaged, edited, or the file of another extractor. {remedy}")


def _is_cut_off(file: Path) -> bool:
    """True if a file that is too short was cut off, rather than being another one."""
    content = file.read_bytes()
    if file.suffix == ".safetensors":
        try:
            load_safetensors(content)
        except Exception:  # safetensors' own errors
            return True
        return False
    if file.suffix == ".json":
        try:
            json.loads(content)
        except (ValueError, RecursionError):
            return True
        return False
    return True


def _require_no_stray_files(directory: Path, manifest: Manifest) -> None:
    """Refuse files that would be taken for the extractor's own."""
    if not manifest.adapter and ((directory / ADAPTER_FILE).exists() or (directory / ADAPTER_CONFIG_FILE).exists()):
        raise ArtifactError(
            f"Expected an untrained extractor in {directory}, as its manifest says, found an adapter."
        ).hint("Copy the extractor again: the files are not of one extractor.")
    if manifest.format_version == 1:
        return
    known = {name.partition("/")[0] for name in manifest.files}
    strange = sorted(name for name in OWN_NAMES - known - {MANIFEST_FILE} if (directory / name).exists())
    if strange:
        raise ArtifactError(
            f"Expected the files that were saved in {directory}, found others beside them: {', '.join(strange)}."
        ).hint("Copy the extractor again, or remove what is not its own.")


def _places(error: ValidationError) -> str:
    return ", ".join(f"{'.'.join(map(str, e['loc'])) or 'the whole'} ({e['type']})" for e in error.errors())


def _unreadable(directory: Path, name: str, error: OSError) -> ArtifactError:
    return ArtifactError(f"{name} in {directory} may not be read: {error.strerror or error}.").hint(
        "The files of an extractor have to be readable for whoever loads it."
    )


def _damaged(directory: Path, found: str) -> ArtifactError:
    return ArtifactError(f"Expected a readable {MANIFEST_FILE} in {directory}, found faults: {found}.").hint(
        "Copy the extractor again, or save it again; it is not meant to be edited by hand."
    )
