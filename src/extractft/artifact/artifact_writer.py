"""Save an extractor with its model in memory: the adapter as PEFT writes it, the tokenizer, the manifest."""

from __future__ import annotations

import json
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from extractft.artifact.artifact_publication import publish_artifact
from extractft.artifact.artifact_reader import CARD_FILE
from extractft.artifact.manifest import BaseModelRecord, Manifest
from extractft.modeling import ADAPTER_CONFIG_FILE, read_adapter_weights

__all__ = ["save_artifact"]


def save_artifact(
    path: str | Path,
    *,
    manifest: Manifest,
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write a saved extractor, whole or not at all; see `publish_artifact`.

    Args:
        path: The directory to make.
        manifest: The manifest of the extractor.
        model: The adapted model, or the plain base model, of which nothing is written.
        tokenizer: The base model's tokenizer.

    Raises:
        ArtifactError: The directory holds something else, or cannot be written, or the adapter has weights that are
            not finite.
    """

    def write_files(directory: Path) -> bool:
        adapted = isinstance(model, PeftModel)
        if adapted:
            _write_adapter(directory, model, manifest.base_model)
        tokenizer.save_pretrained(directory)
        return adapted

    publish_artifact(path, manifest, write_files)


def _write_adapter(directory: Path, model: PeftModel, base_model: BaseModelRecord) -> None:
    """Write PEFT's own files, naming the base model as transformers finds it instead of by where it was loaded from."""
    model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
    read_adapter_weights(directory)  # refuses what training that diverged would leave
    file = directory / ADAPTER_CONFIG_FILE
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base_model.transformers_name or base_model.name
    config["revision"] = base_model.revision if base_model.source == "huggingface" else None
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT keeps a set: the order changes from run to run
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (directory / CARD_FILE).unlink(missing_ok=True)  # PEFT's
