"""`export.json`: what an export is, the extractor that it was made from, and the hash of every file beside it.

The manifest of a saved extractor is inside, less the paths of the machine that made it. Knows files, no weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import AwareDatetime, Field, ValidationError

from extractft.artifact.manifest import FileName, FileRecord, Manifest, ManifestPart, Sha256, content_digest
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError
from extractft.storage import file_digest, restore_lost, tree_digests

__all__ = ["EXPORT_FILE", "FORMATS", "ExportFormat", "ExportManifest", "changed_files", "read_export"]

EXPORT_FILE = "export.json"
"""Name of the file in which an export says what it is."""
ExportFormat = Literal["merged", "adapter", "gguf", "ollama"]
"""Names of the formats that an extractor is exported in."""
FORMATS: tuple[str, ...] = get_args(ExportFormat)


class ExportManifest(ManifestPart):
    """`export.json`: the kind of an export, its extractor and its files."""

    format_version: Literal[1] = 1
    """Version of this layout."""
    created: AwareDatetime
    """When it was written, in UTC."""
    format: ExportFormat
    """The kind of the export."""
    dtype: str
    """Type of the weights: `float32`, `bfloat16`, `float16`, or a GGUF quantisation such as `q4_k_m`."""
    quantized: bool
    """True if the weights have less than 16 bits."""
    max_window: int
    """Longest prompt and answer together, in tokens."""
    weights_file: str | None = None
    """Name of the GGUF file, if there is one."""
    extractor: Manifest
    """The manifest of the extractor, less paths of the machine that made it."""
    files: dict[FileName, FileRecord] = Field(default_factory=dict)
    """The files beside `export.json`, by their path in the directory."""
    export_sha256: Sha256 | None = None
    """Hash of everything else in `export.json`."""

    @classmethod
    def of(cls, manifest: Manifest, **settings: Any) -> Self:
        """Describe an export of the extractor with this manifest."""
        return cls(created=datetime.now(UTC).replace(microsecond=0), extractor=_without_paths(manifest), **settings)

    def write(self, directory: Path) -> None:
        """Write the file last, with the hash of every other file and its own."""
        files = {
            name: {"sha256": digest, "size": (directory / name).stat().st_size}
            for name, digest in tree_digests(directory).items()
            if name != EXPORT_FILE
        }
        content = {**json.loads(self.model_dump_json(by_alias=True)), "files": files}
        content["export_sha256"] = _digest(content)
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (directory / EXPORT_FILE).write_text(text + "\n", encoding="utf-8")


def read_export(path: str | Path, *, check_files: bool = True) -> ExportManifest:
    """Read what an export says of itself, and compare its files with their hashes.

    Raises:
        ArtifactNotFoundError: There is no export.
        ArtifactMismatchError: A file is not the one that was written.
        ArtifactError: It is damaged or cannot be read.
    """
    directory = Path(path).expanduser()
    content = _content(directory)
    try:
        export = ExportManifest.model_validate(content)
    except (ValidationError, RecursionError) as error:
        raise _damaged(directory, type(error).__name__) from error
    if export.export_sha256 != _digest(content):
        raise _damaged(directory, "changes that were made after it was written")
    changed = changed_files(directory, export) if check_files else []
    if changed:
        raise ArtifactMismatchError(
            f"Expected the files that were exported to {directory}, found others: {', '.join(changed)}.",
            expected=f"the hashes in {EXPORT_FILE}",
            found="other content",
        ).hint("They are damaged, missing or edited. Export again.")
    return export


def changed_files(directory: Path, export: ExportManifest) -> list[str]:
    """Names of the files of an export that are missing or have another content.

    Raises:
        ArtifactError: A file cannot be read.
    """
    try:
        return [name for name, record in export.files.items() if not _is_same(directory / name, record)]
    except OSError as error:
        raise ArtifactError(f"Expected to read the export in {directory}, found: {error}.") from error


def _is_same(file: Path, record: FileRecord) -> bool:
    return file.is_file() and file.stat().st_size == record.size and file_digest(file) == record.sha256


def _content(directory: Path) -> Mapping[str, Any]:
    try:
        restore_lost(directory)
        content = json.loads((directory / EXPORT_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactNotFoundError(f"Expected an export in {directory}, found none ({EXPORT_FILE}).").hint(
            "Give the directory that `extractft export` wrote."
        ) from error
    except OSError as error:
        raise ArtifactError(f"Expected to read {EXPORT_FILE} in {directory}, found: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(directory, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(directory, "no object")
    return content


def _damaged(directory: Path, found: str) -> ArtifactError:
    return ArtifactError(f"Expected a readable {EXPORT_FILE} in {directory}, found faults: {found}.").hint(
        "Export again; the file is not meant to be edited by hand."
    )


def _digest(content: Mapping[str, Any]) -> str:
    return content_digest({name: value for name, value in content.items() if name != "export_sha256"})


def _without_paths(manifest: Manifest) -> Manifest:
    """The manifest as others may see it: the places of files on this machine are nobody's business."""
    base, tracking = manifest.base_model, manifest.config.tracking
    name = Path(base.name).name if base.source in ("local", "gguf") else base.name
    hub_name = base.transformers_name if base.source in ("huggingface", "modelscope", "wheel") else None
    record = base.model_copy(update={"name": name, "path": None, "transformers_name": hub_name})
    config = manifest.config.replace(tracking=tracking.replace(log_dir=None)) if tracking.log_dir else manifest.config
    return manifest.model_copy(
        update={"base_model": record, "config": config, "files": {}, "manifest_sha256": None, "columns": None}
    )
