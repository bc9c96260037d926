"""A saved extractor on disk: manifest, adapter, tokenizer. The contract between training and decoding.

The directory is an ordinary PEFT adapter with a tokenizer, and `manifest.json` holds the schema, the prompt, the
settings, the base model and the hashes of the files. Knows files, not how their content is computed. Names are loaded
when they are asked for: reading needs no torch, writing an adapter does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.artifact.artifact_publication import copy_artifact
    from extractft.artifact.artifact_reader import load_manifest, require_unchanged
    from extractft.artifact.artifact_writer import save_artifact
    from extractft.artifact.manifest import FORMAT_VERSION, PACKAGES, BaseModelRecord, FileRecord, Manifest, ModelShape
    from extractft.artifact.overwrite_guard import require_replaceable

_MODULES = {
    "FORMAT_VERSION": "manifest",
    "PACKAGES": "manifest",
    "BaseModelRecord": "manifest",
    "FileRecord": "manifest",
    "Manifest": "manifest",
    "ModelShape": "manifest",
    "copy_artifact": "artifact_publication",
    "load_manifest": "artifact_reader",
    "require_replaceable": "overwrite_guard",
    "require_unchanged": "artifact_reader",
    "save_artifact": "artifact_writer",
}
"""The module of each public name."""

__all__ = [
    "FORMAT_VERSION",
    "PACKAGES",
    "BaseModelRecord",
    "FileRecord",
    "Manifest",
    "ModelShape",
    "copy_artifact",
    "load_manifest",
    "require_replaceable",
    "require_unchanged",
    "save_artifact",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
