"""Load the weights and the tokenizer of a resolved base model, complete or not at all.

Reads safetensors only, runs no code that comes with a model, and never uses the network.
"""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from extractft.errors import ArtifactMismatchError, ArtifactNotFoundError, MissingDependencyError
from extractft.modeling.base_model_ref import BaseModelRef
from extractft.modeling.device_memory import is_out_of_memory
from extractft.modeling.hardware import choose_device, choose_dtype
from extractft.modeling.strict_loading import load_complete_model

__all__ = ["load_model", "load_tokenizer"]

VOCABULARY_FILES = ("tokenizer.json", "tokenizer.model", "vocab.*", "*.tiktoken")


def load_tokenizer(ref: BaseModelRef) -> PreTrainedTokenizerFast:
    """Load the base model's tokenizer.

    Raises:
        ArtifactNotFoundError: The model comes without a tokenizer.
        ArtifactMismatchError: It is not a fast one; the grammar needs the vocabulary of the `tokenizers` library.
    """
    if not any(file for pattern in VOCABULARY_FILES for file in Path(ref.path).glob(pattern)):
        raise _no_tokenizer(ref, "no tokenizer.json")  # transformers would make one with an empty vocabulary
    try:
        tokenizer = AutoTokenizer.from_pretrained(ref.path, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare ones for a damaged tokenizer.json
        raise _no_tokenizer(ref, _first_line(error)) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or tokenizer.backend_tokenizer is None:
        raise ArtifactMismatchError(
            f"Base model {ref.name!r}: expected a fast tokenizer (tokenizer.json), found {type(tokenizer).__name__}.",
            expected="PreTrainedTokenizerFast",
            found=type(tokenizer).__name__,
        ).hint("Convert the tokenizer to tokenizer.json, or take another base model.")
    return tokenizer


def load_model(ref: BaseModelRef, *, device: str = "auto", dtype: str = "auto") -> PreTrainedModel:
    """Load the base model with all of its weights, in evaluation mode.

    Args:
        ref: The model, as found by `resolve_base_model`.
        device: See `choose_device`.
        dtype: See `choose_dtype`.

    Raises:
        ConfigError: There is no such device or dtype.
        ArtifactNotFoundError: There are no safetensors weights.
        ArtifactMismatchError: The weights do not fit the configuration exactly, or the architecture is unknown.
        MissingDependencyError: The weights are quantised in a way that needs another package.
    """
    target = choose_device(device)
    number_type = choose_dtype(dtype, target)
    try:
        model = load_complete_model(ref.name, ref.path, dtype=number_type, use_safetensors=True)
    except ImportError as error:
        raise MissingDependencyError(f"Base model {ref.name!r} needs another package: {_first_line(error)}") from error
    except (ArtifactMismatchError, MemoryError):
        raise
    except OSError as error:
        raise ArtifactNotFoundError(
            f"Base model {ref.name!r}: expected a configuration and safetensors weights, found: {_first_line(error)}"
        ).hint(
            "Pickled weights (*.bin) are not read; save the model with `save_pretrained` to convert them."
        ) from error
    except Exception as error:  # what configurations and files of all kinds can be made to raise
        if is_out_of_memory(error):
            raise
        raise ArtifactMismatchError(
            f"Base model {ref.name!r} does not load as a causal language model: {_first_line(error)}",
            expected="weights and configuration of an architecture that the installed transformers knows",
            found=_first_line(error),
        ).hint("Code that comes with a model is never run; see the error above this one for the cause.") from error
    model.to(target)  # type: ignore[arg-type]
    return model


def _no_tokenizer(ref: BaseModelRef, found: str) -> ArtifactNotFoundError:
    return ArtifactNotFoundError(f"Expected a tokenizer with base model {ref.name!r}, found: {found}").hint(
        "A base model needs tokenizer.json and tokenizer_config.json (with a chat template) beside its weights."
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
