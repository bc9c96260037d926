"""Attach, load and merge low-rank adapters (LoRA)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from extractft.config import LoRAConfig
from extractft.errors import ConfigError
from extractft.modeling.adapter_files import (
    adapter_mismatch,
    read_adapter_config,
    read_adapter_weights,
    require_adapter_files,
    require_rank,
)
from extractft.modeling.quiet_libraries import LOADING_LOCK, no_library_warnings

__all__ = ["attach_lora", "count_parameters", "load_adapter", "merge_adapter"]

MAX_SHOWN_KEYS = 5


def attach_lora(model: PreTrainedModel, config: LoRAConfig, *, seed: int) -> PeftModel:
    """Freeze the base weights and attach a new adapter (LoRA, arXiv 2106.09685), which changes nothing until trained.

    The adapter is in float32 on every base: updates at usual learning rates vanish in bfloat16.

    Args:
        model: The base model; it is changed in place.
        config: Rank, scale, dropout and layers.
        seed: Seed of the initialisation; the state of torch's own generator is left as it was.

    Raises:
        ConfigError: The model has no linear layers of these names, or one is the embeddings or the output head.
    """
    targets = config.target_modules
    if not isinstance(targets, str):
        _require_targets(model, targets)
    alpha = config.lora_alpha
    peft_config = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.r,
        lora_alpha=int(alpha) if alpha == int(alpha) else alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    with LOADING_LOCK, no_library_warnings(), _seeded(seed):
        return get_peft_model(model, peft_config, autocast_adapter_dtype=True)


def load_adapter(
    model: PreTrainedModel, path: str | Path, *, config: LoRAConfig | None = None, trainable: bool = False
) -> PeftModel:
    """Attach the adapter of a saved extractor.

    Args:
        model: The base model it was trained on; it is changed in place.
        path: Directory with `adapter_config.json` and `adapter_model.safetensors`.
        config: The settings it was trained with, if they are known from elsewhere: those in the directory have to be
            the same.
        trainable: True to go on training it; it is frozen and in evaluation mode otherwise.

    Raises:
        ArtifactNotFoundError: A file is missing.
        ArtifactMismatchError: The adapter does not fit the model, weight for weight, or is no plain LoRA of finite
            weights, or has other settings than `config`.
        ArtifactError: A file cannot be read.
    """
    path = Path(path)
    require_adapter_files(path)
    peft_config = read_adapter_config(path, config)
    peft_config.inference_mode = not trainable
    peft_config.base_model_name_or_path = None  # becomes the name of `model`, without a warning about the change
    weights = read_adapter_weights(path)
    require_rank(path, peft_config, weights)
    try:
        with LOADING_LOCK, no_library_warnings(), _seeded(0):  # every weight drawn here is overwritten below
            adapted = get_peft_model(model, peft_config, autocast_adapter_dtype=True)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise adapter_mismatch(path, str(error)) from error
    # `save_embedding_layers` is never "auto": that asks the hub whether the vocabulary has changed.
    _require_same_weights(path, expected=get_peft_model_state_dict(adapted, save_embedding_layers=False), found=weights)
    set_peft_model_state_dict(adapted, weights)
    return adapted.train() if trainable else adapted.eval()


def merge_adapter(model: nn.Module) -> None:
    """Add a trained adapter to the base weights in memory; saving it still writes the adapter alone.

    Layers then cost one product instead of three. In float32 the answers differ by rounding; weights of 16 bits are
    rounded to 16 bits again. A bare model is left alone, and so is one that is merged already.
    """
    if isinstance(model, PeftModel) and not any(getattr(module, "merged", False) for module in model.modules()):
        model.merge_adapter()


class ParameterCounts(NamedTuple):
    """Numbers of parameters.

    Attributes:
        trainable: Those that are trained.
        total: All of them.
    """

    trainable: int
    total: int


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count the parameters of a model; tied ones count once."""
    parameters = list(model.parameters())
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return ParameterCounts(trainable, total=sum(parameter.numel() for parameter in parameters))


def _require_targets(model: PreTrainedModel, targets: tuple[str, ...]) -> None:
    modules = dict(model.named_modules())
    ends = (model.get_input_embeddings(), model.get_output_embeddings())  # type: ignore[no-untyped-call]
    linear = {name for name, module in modules.items() if isinstance(module, nn.Linear | Conv1D) and module not in ends}
    known = sorted({name.rpartition(".")[2] for name in linear})
    for target in targets:
        matched = [name for name in modules if name == target or name.endswith(f".{target}")]
        if any(modules[name] in ends for name in matched):
            raise ConfigError(
                f"Expected target_modules to leave the embeddings and the output head alone, found {target!r}."
            ).hint("They are often tied: an adapter on one silently changes the other. Take " + ", ".join(known) + ".")
        if not matched or not linear.issuperset(matched):
            raise ConfigError(
                f"Expected target_modules among the model's linear layers ({', '.join(known)}), found {target!r}."
            ).hint('LoRAConfig(target_modules="all-linear") takes every one of them.')


def _require_same_weights(path: Path, *, expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    faults = [f"no {key}" for key in sorted(expected.keys() - found.keys())]
    faults += [f"a stray {key}" for key in sorted(found.keys() - expected.keys())]
    faults += [
        f"{key} of shape {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    if faults:
        more = f" and {len(faults) - MAX_SHOWN_KEYS} more" if len(faults) > MAX_SHOWN_KEYS else ""
        raise adapter_mismatch(path, "; ".join(faults[:MAX_SHOWN_KEYS]) + more)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seeded CPU generator (adapters are made there and moved), and put its state back."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
