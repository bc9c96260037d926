"""Hand the weights of an extractor to the room that exports them. Knows which parts an export is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from extractft.artifact import Manifest
from extractft.errors import ArtifactError
from extractft.export import ExportManifest, ExportSource, export_model, push_to_hub
from extractft.extractor.loaded_model import LoadedModel
from extractft.extractor.runtime import Weights
from extractft.prompt import ChatRenderer

__all__ = ["export_weights", "push_weights"]


def export_weights(
    weights: Weights, chat: ChatRenderer, manifest: Manifest, path: str | Path, **settings: Any
) -> ExportManifest:
    """Export the model behind an extractor; see `export_model`.

    Raises:
        ArtifactError: The model is not in memory here.
    """
    return export_model(_source(weights, chat, manifest), path, **settings)


def push_weights(weights: Weights, chat: ChatRenderer, manifest: Manifest, repo_id: str, **settings: Any) -> str:
    """Export the model behind an extractor and upload it; see `push_to_hub`.

    Raises:
        ArtifactError: The model is not in memory here.
    """
    return push_to_hub(_source(weights, chat, manifest), repo_id, **settings)


def _source(weights: Weights, chat: ChatRenderer, manifest: Manifest) -> ExportSource:
    if not isinstance(weights, LoadedModel):
        raise ArtifactError("Expected an extractor with its model here, found one on an engine elsewhere.").hint(
            "Load it without an engine to export it: Extractor.from_pretrained(path)."
        )
    adapted = manifest.model_copy(update={"adapter": weights.has_adapter})
    return ExportSource(weights.ref, weights.model, weights.tokenizer, chat, adapted, weights.window)
