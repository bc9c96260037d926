"""Convert GGUF files, once, to ordinary model directories in the cache.

Training needs dense weights, and unpacking takes half a minute even for a small model, so it is done once for each file
(by its hash) and the result is loaded like any other directory. The directory lists its contents with their hashes; a
damaged one is made again.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from extractft.errors import ArtifactError, ArtifactMismatchError, ExtractFTError, MissingDependencyError
from extractft.modeling.quiet_libraries import LOADING_LOCK, no_progress_bars
from extractft.modeling.strict_loading import load_complete_model
from extractft.modeling.weight_digests import cache_dir, cached_file_digest
from extractft.storage import published_directory, restore_lost, tree_digests

__all__ = ["convert_gguf", "unpack_gguf"]

CONVERSION_VERSION = 1
"""Increased when a conversion comes out differently, so that older ones are not used any more."""
CONTENTS_FILE = "contents.json"
"""SHA-256 of every other file of a converted model."""
logger = logging.getLogger(__name__)


class _ConvertedModel(NamedTuple):
    model: PreTrainedModel
    tokenizer: Any


class _ConvertedMeanwhileError(Exception):
    """Another process was faster."""


def convert_gguf(file: Path) -> Path:
    """The directory with a GGUF model's weights in float32, made at the first call or when it is damaged.

    Two processes may convert at once: each works in a directory of its own, and the first to finish publishes it.

    Raises:
        MissingDependencyError: The `gguf` package is missing.
        ArtifactMismatchError: The file cannot be read, or holds an architecture that transformers does not know.
        ArtifactError: The cache cannot be written.
    """
    try:
        target = cache_dir() / "gguf" / f"{cached_file_digest(file)[:32]}-{CONVERSION_VERSION}"
    except OSError as error:
        raise ArtifactError(f"{file.name} cannot be read: {error}.") from error
    restore_lost(target)
    if _is_unchanged(target):
        return target
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependencyError(f"Reading {file.name} needs the gguf package, which is missing.").hint(
            "pip install 'extractft[gguf]'"
        )
    logger.info("Converting %s once to safetensors in %s", file.name, target)
    try:
        _publish(target, file)
    except _ConvertedMeanwhileError:
        pass
    except OSError as error:
        if _is_unchanged(target):  # another process published it between our last look and our renaming
            return target
        raise ArtifactError(f"Expected to keep a converted model in {target.parent}, found: {error}.").hint(
            "Make room, or set EXTRACTFT_CACHE to a directory that can be written."
        ) from error
    return target


def unpack_gguf(file: Path, directory: Path) -> None:
    """Write a GGUF model's weights in float32, its configuration and its tokenizer into a directory.

    Raises:
        ArtifactMismatchError: The file cannot be read, or holds an architecture that transformers does not know.
        OSError: The directory cannot be written.
    """
    model, tokenizer = _convert(file)
    try:
        with LOADING_LOCK, no_progress_bars():
            model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    except Exception as error:  # safetensors and tokenizers have errors of their own for a full disk
        raise OSError(str(error)) from error


def _publish(target: Path, file: Path) -> None:
    with published_directory(target) as work:
        unpack_gguf(file, work)
        (work / CONTENTS_FILE).write_text(json.dumps(tree_digests(work), indent=2), encoding="utf-8")
        if _is_unchanged(target):
            raise _ConvertedMeanwhileError


def _is_unchanged(directory: Path) -> bool:
    """True if every file is as it was written; digests are cached by size and time of change."""
    try:
        contents = json.loads((directory / CONTENTS_FILE).read_text(encoding="utf-8"))
        if not isinstance(contents, Mapping) or not contents:
            return False
        return all(cached_file_digest(directory / name) == digest for name, digest in contents.items())
    except (OSError, ValueError, RecursionError):
        return False


def _convert(file: Path) -> _ConvertedModel:
    """The model of a GGUF file in dense weights, and its tokenizer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        packed = load_complete_model(file.name, str(file.parent), gguf_file=file.name, dtype=torch.float32)
        return _ConvertedModel(_dense(packed), tokenizer)
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
    """The same weights in a model without settings of the GGUF file, which can be saved."""
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with LOADING_LOCK, torch.device("meta"):
        dense = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    dense.load_state_dict(packed.state_dict(), assign=True)
    dense.tie_weights()
    assert isinstance(dense, PreTrainedModel)
    return dense
