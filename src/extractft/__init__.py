"""extractft: Pydantic schema + examples -> a small local model that extracts validated records.

Names are imported on first use: importing the package loads neither torch nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from extractft.config import GenerationConfig, LoRAConfig, PromptConfig, TrackingConfig, TrainingConfig
    from extractft.data import Example
    from extractft.errors import ExtractFTError
    from extractft.evaluation import EvaluationReport
    from extractft.extractor import Confidence, Extraction, Extractor
    from extractft.grounding import Span
    from extractft.schema import Merge, Schema, Verbatim

_EXPORTS = {
    "Confidence": "extractft.extractor",
    "EvaluationReport": "extractft.evaluation",
    "Example": "extractft.data",
    "ExtractFTError": "extractft.errors",
    "Extraction": "extractft.extractor",
    "Extractor": "extractft.extractor",
    "GenerationConfig": "extractft.config",
    "LoRAConfig": "extractft.config",
    "Merge": "extractft.schema",
    "PromptConfig": "extractft.config",
    "Schema": "extractft.schema",
    "Span": "extractft.grounding",
    "TrackingConfig": "extractft.config",
    "TrainingConfig": "extractft.config",
    "Verbatim": "extractft.schema",
}

_SUBMODULES = frozenset(
    {
        "bulk",
        "config",
        "data",
        "documents",
        "errors",
        "evaluation",
        "export",
        "extractor",
        "grounding",
        "interchange",
        "labelling",
        "modeling",
        "pages",
        "prompt",
        "review",
        "schema",
        "serving",
        "testing",
        "verification",
    }
)
"""Submodules that are imported on first use: `extractft.errors`, `extractft.testing`."""

__all__ = [
    "Confidence",
    "EvaluationReport",
    "Example",
    "ExtractFTError",
    "Extraction",
    "Extractor",
    "GenerationConfig",
    "LoRAConfig",
    "Merge",
    "PromptConfig",
    "Schema",
    "Span",
    "TrackingConfig",
    "TrainingConfig",
    "Verbatim",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
