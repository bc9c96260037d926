"""GGUF files, turned once into an ordinary model directory in the cache.

Training needs dense weights, and unpacking takes half a minute even for a small model, so it is done once for each file
(by its hash) and the result loaded like any other directory.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from extractft.errors import ArtifactMismatchError, MissingDependencyError
from extractft.modeling.checked import LOADING, load_checked
from extractft.modeling.weights import cache_dir, file_digest

__all__ = ["converted_gguf"]

LAYOUT = 1
"""Raised when a conversion comes out differently, so that older ones are not used any more."""
logger = logging.getLogger(__name__)


def converted_gguf(file: Path) -> Path:
    """The directory with a GGUF model's weights in float32, made at the first call.

    Two processes may do it at once: each works in a directory of its own, and the first to finish gives its name.

    Raises:
        MissingDependencyError: The `gguf` package is missing.
        ArtifactMismatchError: The file cannot be read, or holds an architecture that transformers does not know.
    """
    target = cache_dir() / "gguf" / f"{file_digest(file)[:32]}-{LAYOUT}"
    if target.is_dir():
        return target
    if importlib.util.find_spec("gguf") is None:
        raise MissingDependencyError(f"Reading {file.name} needs the gguf package, which is missing.").hint(
            "pip install 'extractft[gguf]'"
        )
    logger.info("Converting %s once to safetensors in %s", file.name, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent, ignore_cleanup_errors=True) as work:
        made = Path(work) / "model"
        _convert(file, made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            shutil.rmtree(made)  # another process was faster
    return target


def _convert(file: Path, target: Path) -> None:
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
        packed = load_checked(file.name, str(file.parent), gguf_file=file.name, dtype=torch.float32)
    except ArtifactMismatchError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ArtifactMismatchError(
            f"{file.name} cannot be read as a causal language model: {error}",
            expected="a GGUF file of an architecture that transformers reads",
            found=type(error).__name__,
        ).hint("Take a file of another architecture, or the model's safetensors.") from error
    _dense(packed).save_pretrained(target)
    tokenizer.save_pretrained(target)


def _dense(packed: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a model that knows nothing of the file they came from, and so can be saved."""
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with LOADING, torch.device("meta"):
        dense = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    dense.load_state_dict(packed.state_dict(), assign=True)
    dense.tie_weights()
    assert isinstance(dense, PreTrainedModel)
    return dense
