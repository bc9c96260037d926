"""A saved extractor on disk: manifest, adapter, tokenizer. The contract between training and decoding.

The directory is an ordinary PEFT adapter with a tokenizer, and `manifest.json` holds the schema, the prompt, the
settings, the base model and the hashes of the files. Knows files, not how their content is computed.
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
