"""Write a tuned extractor for other engines: merged weights, an adapter, a GGUF file, a directory for Ollama.

Knows weights, tokenizers and files; knows no texts and decodes nothing. `verification` proves that an export gives the
same records. Names are loaded when they are asked for: reading what an export says of itself needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.export.export_checks import check_export
    from extractft.export.export_manifest import EXPORT_FILE, ExportFormat, ExportManifest, read_export
    from extractft.export.export_source import ExportSource
    from extractft.export.exporter import export_model
    from extractft.export.hub_upload import push_to_hub, upload_export

_MODULES = {
    "EXPORT_FILE": "export_manifest",
    "ExportFormat": "export_manifest",
    "ExportManifest": "export_manifest",
    "ExportSource": "export_source",
    "check_export": "export_checks",
    "export_model": "exporter",
    "push_to_hub": "hub_upload",
    "read_export": "export_manifest",
    "upload_export": "hub_upload",
}
"""The module of each public name."""

__all__ = [
    "EXPORT_FILE",
    "ExportFormat",
    "ExportManifest",
    "ExportSource",
    "check_export",
    "export_model",
    "push_to_hub",
    "read_export",
    "upload_export",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
