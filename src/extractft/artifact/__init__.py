"""A saved extractor on disk: manifest, adapter, tokenizer. The contract between training and decoding.

The directory is an ordinary PEFT adapter with a tokenizer, and `manifest.json` says what it extracts, with which
prompt, settings and base model, and which files belong to it. Knows files, not how anything in them is computed.
"""

from __future__ import annotations

from extractft.artifact.artifact_reader import load_manifest, require_unchanged
from extractft.artifact.artifact_writer import save_artifact
from extractft.artifact.manifest import FORMAT_VERSION, PACKAGES, BaseModelRecord, FileRecord, Manifest
from extractft.artifact.overwrite_guard import require_replaceable

__all__ = [
    "FORMAT_VERSION",
    "PACKAGES",
    "BaseModelRecord",
    "FileRecord",
    "Manifest",
    "load_manifest",
    "require_replaceable",
    "require_unchanged",
    "save_artifact",
]
