"""GGUF files, turned once into an ordinary model directory in the cache.

Training needs dense weights, and unpacking takes half a minute even for a small model, so it is done once for each file
(by its hash) and the result loaded like any other directory. The directory says what it holds: one that is damaged is
made again.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from extractft.errors import ArtifactError, ArtifactMismatchError, ExtractFTError, MissingDependencyError
from extractft.modeling.strict_loading import LOADING_LOCK, load_complete_model, no_progress_bars
from extractft.modeling.weight_digests import cache_dir, file_digest
from extractft.storage import published_directory, restore_lost, tree_digests

__all__ = ["convert_gguf"]

LAYOUT = 1
"""Raised when a conversion comes out differently, so that older ones are not used any more."""
CONTENTS = "contents.json"
"""SHA-256 of every other file of a converted model."""
logger = logging.getLogger(__name__)


class _MadeMeanwhileError(Exception):
    """Another process was faster."""


def convert_gguf(file: Path) -> Path:
    """The directory with a GGUF model's weights in float32, made at the first call and when it is damaged.

    Two processes may do it at once: each works in a directory of its own, and the first to finish gives its name.

    Raises:
        MissingDependencyError: The `gguf` package is missing.
        ArtifactMismatchError: The file cannot be read, or holds an architecture that transformers does not know.
        ArtifactError: The cache cannot be written.
    """
    try:
        target = cache_dir() / "gguf" / f"{file_digest(file)[:32]}-{LAYOUT}"
    except OSError as error:
        raise ArtifactError(f"{file.name} cannot be read: {error}.") from error
    restore_lost(target)
    if _is_whole(target):
        return target
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependencyError(f"Reading {file.name} needs the gguf package, which is missing.").hint(
            "pip install 'extractft[gguf]'"
        )
    logger.info("Converting %s once to safetensors in %s", file.name, target)
    try:
        _publish(target, file)
    except _MadeMeanwhileError:
        pass
    except OSError as error:
        raise ArtifactError(f"Expected to keep a converted model in {target.parent}, found: {error}.").hint(
            "Make room, or set EXTRACTFT_CACHE to a directory that can be written."
        ) from error
    return target


def _publish(target: Path, file: Path) -> None:
    with published_directory(target) as work:
        dense, tokenizer = _convert(file)
        try:
            with LOADING_LOCK, no_progress_bars():
                dense.save_pretrained(work)
            tokenizer.save_pretrained(work)
        except Exception as error:  # safetensors and tokenizers have errors of their own for a full disk
            raise OSError(str(error)) from error
        (work / CONTENTS).write_text(json.dumps(tree_digests(work), indent=2), encoding="utf-8")
        if _is_whole(target):
            raise _MadeMeanwhileError


def _is_whole(directory: Path) -> bool:
    """True if every file is as it was written. Reads files only when their size or a time of change differs."""
    try:
        contents = json.loads((directory / CONTENTS).read_text(encoding="utf-8"))
        if not isinstance(contents, Mapping) or not contents:
            return False
        return all(file_digest(directory / name) == digest for name, digest in contents.items())
    except (OSError, ValueError, RecursionError):
        return False


def _convert(file: Path) -> tuple[PreTrainedModel, Any]:
    """The model of a GGUF file in dense weights, and its tokenizer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        packed = load_complete_model(file.name, str(file.parent), gguf_file=file.name, dtype=torch.float32)
        return _dense(packed), tokenizer
    except (ExtractFTError, MemoryError):
        raise
    except Exception as error:  # readers of damaged files raise whatever they stumble over
        raise ArtifactMismatchError(
            f"{file.name} cannot be read as a causal language model: {type(error).__name__}: {error}",
            expected="a GGUF file of an architecture that transformers reads",
            found=type(error).__name__,
        ).hint(
            "Fetch the file again if it may be cut short; else take another architecture, or safetensors."
        ) from error


def _dense(packed: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that knows nothing of the file they came from, and so can be saved."""
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with LOADING_LOCK, torch.device("meta"):
        dense = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    dense.load_state_dict(packed.state_dict(), assign=True)
    dense.tie_weights()
    assert isinstance(dense, PreTrainedModel)
    return dense
