"""A saved extractor on disk: manifest, adapter, tokenizer. The contract between training and decoding.

The directory is an ordinary PEFT adapter with a tokenizer, and `manifest.json` says what it extracts, with which
prompt, settings and base model, and which files belong to it. Knows files, not how anything in them is computed.
"""

from __future__ import annotations

from extractft.artifact.manifest import FORMAT_VERSION, PACKAGES, BaseModelRecord, FileRecord, Manifest
from extractft.artifact.ownership import require_replaceable
from extractft.artifact.reading import load_manifest, require_unchanged
from extractft.artifact.store import save_artifact

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
