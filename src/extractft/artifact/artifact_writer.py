"""Save an extractor: write it beside its place, hash it, read it back, and put it there in one step."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from extractft.artifact.artifact_reader import CARD_FILE, load_manifest
from extractft.artifact.manifest import FORMAT_VERSION, MANIFEST_FILE, BaseModelRecord, Manifest, content_digest
from extractft.artifact.model_card import render_model_card
from extractft.artifact.overwrite_guard import require_replaceable
from extractft.errors import ArtifactError, ExtractFTError
from extractft.modeling import ADAPTER_CONFIG_FILE, read_adapter_weights
from extractft.storage import published_directory, tree_digests

__all__ = ["save_artifact"]

UNMOVABLE = frozenset({errno.EBUSY, errno.EXDEV})
"""Errors for a directory that is a mount point, or part of a container's image."""


def save_artifact(
    path: str | Path,
    *,
    manifest: Manifest,
    model: PeftModel | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write a saved extractor, whole or not at all.

    An extractor that is already there is replaced in one step if its files are as it wrote them. Files of other names
    in its directory are kept, and so is a `README.md` that somebody has changed.

    Args:
        path: The directory to make.
        manifest: The manifest of the extractor.
        model: The adapted model, or the plain base model, of which nothing is written.
        tokenizer: The base model's tokenizer.

    Raises:
        ArtifactError: The directory holds something else, or cannot be written, or the adapter has weights that are
            not finite.
    """
    try:
        target = Path(path).expanduser().resolve()
        own = require_replaceable(target)
        with published_directory(target, keep=lambda entry: entry.name not in own) as directory:
            if isinstance(model, PeftModel):
                _write_adapter(directory, model, manifest.base_model)
            tokenizer.save_pretrained(directory)
            _write_card(directory, manifest, target, own)
            _require_no_conflict(directory, target, own)
            _write_manifest(directory, manifest.model_copy(update={"adapter": isinstance(model, PeftModel)}))
            load_manifest(directory)
    except ExtractFTError:
        raise
    except Exception as error:  # safetensors and tokenizers have errors of their own for a full disk
        found = f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error)
        failure = ArtifactError(f"Expected to write an extractor to {path}, found: {found}.")
        if isinstance(error, OSError) and error.errno in UNMOVABLE:
            failure.hint("The directory itself cannot be replaced (a mount?): save to a new directory inside it.")
        raise failure from error


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


def _write_card(directory: Path, manifest: Manifest, target: Path, own: frozenset[str]) -> None:
    """Write the model card, unless the user has written another one."""
    if CARD_FILE in own or not (target / CARD_FILE).exists():
        (directory / CARD_FILE).write_text(render_model_card(manifest), encoding="utf-8")


def _require_no_conflict(directory: Path, target: Path, own: frozenset[str]) -> None:
    """Refuse to replace a file that extractft did not write."""
    new = {entry.name for entry in directory.iterdir()}
    others = {entry.name for entry in target.iterdir()} - own if target.is_dir() else set()
    if new & others:
        raise ArtifactError(
            f"Expected room for {', '.join(sorted(new & others))} in {target}, found files of somebody else."
        ).hint("Move them away, or save under another name; nothing but an older extractor is ever replaced.")


def _write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest last, with the hash of every other file and its own."""
    files = {
        name: {"sha256": digest, "size": (directory / name).stat().st_size}
        for name, digest in tree_digests(directory).items()
    }
    content: Mapping[str, Any] = {
        **json.loads(manifest.model_dump_json(by_alias=True)),
        "format_version": FORMAT_VERSION,
        "files": files,
    }
    content = {**content, "manifest_sha256": content_digest(content)}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (directory / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")
