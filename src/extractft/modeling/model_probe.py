"""Run a small part of a model in float64, to tell a wrong token layout from rounding.

An engine that packs tokens tries its layout on a few tokens first, and compares the logits with those of the plain
layout. In bfloat16 two correct layouts can differ by more than the logits themselves vary, so no tolerance tells right
from wrong; in float64 they agree to a dozen digits. Knows modules and tensors; knows no layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

__all__ = ["ordinary_ids", "probe_tolerance", "probing"]

WINDOW = 4
"""Length of sliding windows inside `probing`: a dozen tokens are then enough to test them."""
_KEY = "sliding_window"
_FLOATS = (torch.float32, torch.bfloat16, torch.float16)
_LOOKUPS = frozenset({"__get__", "__len__", "dim", "element_size", "is_floating_point", "numel", "size"})
"""Functions that compute nothing, so that their arguments need not be converted."""
_CHUNK_WEIGHTS = 1 << 21
"""Weights of a layer that are converted at a time: a whole vocabulary in float64 would take gigabytes."""


def ordinary_ids(model: PreTrainedModel, count: int, *, seed: int = 0) -> list[int]:
    """Token ids from the middle half of the vocabulary, away from the control tokens at both ends."""
    size: int = model.config.get_text_config().vocab_size
    middle = max(1, size // 2)
    return [(size // 4 + (seed + 1) * 7919 + index * 104_729) % middle + size // 4 for index in range(count)]


def probe_tolerance(model: PreTrainedModel) -> float:
    """Relative difference that two correct layouts may have inside `probing`."""
    if _is_quantised(model):
        return 0.1
    return 1e-6 if _widest_dtype(model) == torch.float64 else 1e-3


@contextmanager
def probing(model: PreTrainedModel) -> Iterator[None]:
    """Give the model few layers, short windows and float64 for as long as the block runs.

    The layers are the first ones, until each kind of layer is among them. Models with quantised weights keep their own
    precision: in few layers, its rounding is small.

    Args:
        model: A causal language model of transformers, bare or wrapped by PEFT. To be run without gradients.
    """
    base: Any = getattr(model, "get_base_model", lambda: model)()
    changes = [*_few_layers(base), *_short_windows(base)]
    before = [_Setting(change.holder, change.key, change.holder[change.key]) for change in changes]
    try:
        _apply(changes)
        with nullcontext() if _is_quantised(model) else _ComputeInDtype(_widest_dtype(model)):
            yield
    finally:
        try:
            _apply(before)
        except BaseException:  # an interrupt, which waits until it is done
            _apply(before)
            raise


class _Setting(NamedTuple):
    """A value of an attribute or a submodule.

    Attributes:
        holder: The dict that has it.
        key: Its key there.
        value: The value.
    """

    holder: dict[str, Any]
    key: str
    value: Any


def _apply(changes: Sequence[_Setting]) -> None:
    for setting in changes:
        setting.holder[setting.key] = setting.value


def _is_quantised(model: PreTrainedModel) -> bool:
    return getattr(model.config, "quantization_config", None) is not None


def _widest_dtype(model: PreTrainedModel) -> torch.dtype:
    """The most precise type that the model's device computes with."""
    device = next(model.parameters()).device
    return torch.float64 if device.type in ("cpu", "cuda") else torch.float32


class _ComputeInDtype(TorchFunctionMode):
    """Computes everything in one type, whatever the types of weights and inputs."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in _LOOKUPS:
            return func(*args, **kwargs)
        if name == "embedding":  # looks up exactly: the table need not be converted
            return self._wide(func(*args, **kwargs))
        if func is F.linear:
            return self._linear(*args, **kwargs)
        if name in ("float", "half", "bfloat16"):
            return self._wide(args[0])
        kept = args[:1] if _is_in_place(name) else ()
        return func(*kept, *self._wide(args[len(kept) :]), **{key: self._wide(value) for key, value in kwargs.items()})

    def _wide(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(self.dtype) if value.dtype in _FLOATS else value
        if isinstance(value, torch.dtype):
            return self.dtype if value in _FLOATS else value
        return type(value)(map(self._wide, value)) if type(value) in (list, tuple) else value

    def _linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        outputs = max(1, _CHUNK_WEIGHTS // weight.shape[1])
        inputs = self._wide(inputs)
        if not inputs.numel():
            return inputs.new_empty(*inputs.shape[:-1], weight.shape[0])
        product = torch.cat([F.linear(inputs, self._wide(piece)) for piece in torch.split(weight, outputs)], dim=-1)
        return product if bias is None else product + self._wide(bias)


def _is_in_place(name: str) -> bool:
    """True if a function of this name writes into its first argument, which then must not be a copy."""
    inplace = name.endswith("_") and not name.endswith("__")
    return inplace or name == "__setitem__" or (name.startswith("__i") and name != "__invert__")


def _few_layers(base: Any) -> list[_Setting]:
    """Keep the first layers of the decoder, until each kind of layer is among them."""
    count = base.config.get_text_config().num_hidden_layers
    places = [
        (module._modules, name, child)
        for module in base.modules()
        for name, child in module.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == count
    ]
    if len(places) != 1:
        return []
    place, name, layers = places[0]
    kinds = [_layer_kind(layer) for layer in layers]
    enough = max(2, 1 + max(kinds.index(kind) for kind in kinds))
    return [_Setting(place, name, nn.ModuleList(layers[:enough]))]


def _layer_kind(layer: nn.Module) -> str:
    """The classes and settings of a layer's modules; layers of one kind compute in the same way."""
    described = []
    for name, module in layer.named_modules():
        settings = {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, (str, int, float, bool, type(None))) and key not in ("layer_idx", "training")
        }
        described.append((name, type(module).__qualname__, sorted(settings.items())))
    return repr(described)


def _short_windows(base: Any) -> list[_Setting]:
    """Shorten sliding windows to `WINDOW` tokens."""
    places = [vars(holder) for holder in (base.config.get_text_config(), *base.modules())]
    return [
        _Setting(place, _KEY, WINDOW) for place in places if isinstance(place.get(_KEY), int) and place[_KEY] > WINDOW
    ]
