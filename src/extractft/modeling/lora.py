"""Low-rank adapters: attached fresh with a seed, or loaded complete or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from extractft.config import LoRAConfig
from extractft.errors import ArtifactMismatchError, ArtifactNotFoundError, ConfigError

__all__ = ["attach_lora", "load_adapter", "merge_adapter", "trainable_parameters"]

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SHOWN = 5


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
    with _seeded(seed):
        return get_peft_model(model, peft_config, autocast_adapter_dtype=True)


def load_adapter(model: PreTrainedModel, path: str | Path, *, trainable: bool = False) -> PeftModel:
    """Attach the adapter of a saved extractor.

    Args:
        model: The base model it was trained on; it is changed in place.
        path: Directory with `adapter_config.json` and `adapter_model.safetensors`.
        trainable: Whether to go on training it; it is frozen and in evaluation mode otherwise.

    Raises:
        ArtifactNotFoundError: A file is missing.
        ArtifactMismatchError: The adapter does not fit the model, weight for weight.
    """
    path = Path(path)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (path / name).is_file():
            raise ArtifactNotFoundError(f"Expected {name} in {path}, found no such file.").hint(
                "Give the directory that `save_pretrained` wrote; an untrained extractor has no adapter."
            )
    peft_config = _read_config(path)
    peft_config.inference_mode = not trainable
    peft_config.base_model_name_or_path = None  # becomes the name of `model`, without a warning about the change
    try:
        weights = load_file(path / WEIGHTS_FILE)
        with _seeded(0):  # every weight drawn here is overwritten below
            adapted = get_peft_model(model, peft_config, autocast_adapter_dtype=True)
    except (ValueError, SafetensorError) as error:
        raise _broken(path, str(error)) from error
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


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """How many parameters are trained, and how many there are; tied ones count once."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


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


def _read_config(path: Path) -> LoraConfig:
    """PEFT's configuration of the adapter. PEFT itself only warns of settings that it does not know."""
    try:
        settings = json.loads((path / CONFIG_FILE).read_text(encoding="utf-8"))
        config = PeftConfig.from_pretrained(str(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, f"{CONFIG_FILE} that PEFT cannot read ({error})") from error
    if not isinstance(config, LoraConfig):
        raise _broken(path, f"an adapter of type {config.peft_type}")
    known = {field.name for field in dataclasses.fields(config)}
    unknown = sorted(name for name, value in settings.items() if name not in known and value)
    if unknown:
        raise _broken(path, f"settings of a newer PEFT ({', '.join(unknown)})")
    return config


def _require_same_weights(path: Path, *, expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    faults = [f"no {key}" for key in sorted(expected.keys() - found.keys())]
    faults += [f"a stray {key}" for key in sorted(found.keys() - expected.keys())]
    faults += [
        f"{key} of shape {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise _broken(path, "; ".join(faults[:SHOWN]) + more)


def _broken(path: Path, found: str) -> ArtifactMismatchError:
    return ArtifactMismatchError(
        f"The adapter in {path} does not fit the base model: found {found}.",
        expected="a LoRA adapter with exactly the weights that the base model has places for",
        found=found,
    ).hint("Load it with the base model that it was trained on; missing weights are never initialised at random.")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seeded CPU generator (adapters are made there and moved), and put its state back."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
