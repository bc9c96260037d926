"""Linear layers in 8 bits on a processor: a third to a half of the time of float32, for nearly the same products.

Weights are rounded to 8 bits for each output, activations for each token, and summed as integers, exactly. A token's
product depends on that token alone, so that rows of a batch come out as they do alone but for ties. Single channels
of a language model's activations are far larger than the others and would take all the steps: what they are larger by
is moved into the weights beforehand, as seen on the tokens of the prompt (SmoothQuant, Xiao et al., 2023, with its
alpha of one half). Knows modules and tensors; knows nothing of decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from extractft.errors import ConfigError
from extractft.inference.cpu.transposed_linears import changes, large_linears, replaced

__all__ = ["Int8Linears"]

_LEVELS = 127
"""Steps from zero to the largest number."""
_ZERO = 128
"""Added to activations where the library wants them without a sign."""
_TINY = torch.finfo(torch.float32).tiny
_FLOOR = 1e-5
"""Channels that are silent on the sample are taken to be this loud."""


@dataclass(frozen=True, slots=True)
class _Rounded:
    """A layer in 8 bits.

    Attributes:
        weight: Whole numbers, shape `[out, in]`; laid out beforehand as the library multiplies them fastest, if it can.
        step: The size of one step for each output, shape `[out]`.
        smoothing: What activations are multiplied by, and weights were divided by, shape `[in]`.
        bias: The layer's own.
    """

    weight: Tensor
    step: Tensor
    smoothing: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, layer: nn.Linear, absmax: Tensor | None) -> _Rounded:
        weight = layer.weight.detach()
        smoothing = torch.ones(weight.shape[1])
        if absmax is not None:
            smoothing = (weight.abs().amax(dim=0).clamp_min(_FLOOR) / absmax.clamp_min(_FLOOR)).sqrt_()
            weight = weight / smoothing
        step = weight.abs().amax(dim=1).clamp_min(_TINY) / _LEVELS
        whole = (weight / step[:, None]).round_().to(torch.int8)
        return cls(_pack(whole) if sums() is _packed_sums else whole, step, smoothing, layer.bias)

    def __call__(self, rows: Tensor) -> Tensor:
        """The product of `F.linear`, nearly."""
        smooth = rows.reshape(-1, len(self.smoothing)) * self.smoothing
        step = smooth.abs().amax(dim=1, keepdim=True).clamp_min_(_TINY).div_(_LEVELS)
        product = sums()(smooth.div_(step).round_(), self.weight, self.step) * step
        product = product if self.bias is None else product + self.bias
        return product.reshape(*rows.shape[:-1], len(self.step))


class Int8Linears:
    """The linear layers of one model.

    The weights themselves stay, for training and saving; their 8-bit copies take a quarter as much memory again.

    Args:
        model: A causal language model in float32 on a processor. It is as it was outside of `installed`.
        sample_ids: Token ids to see the activations on, best those of the prompt; without any, nothing is smoothed.

    Raises:
        ConfigError: The model is of another type or elsewhere, or this processor has no 8-bit products.
    """

    def __init__(self, model: nn.Module, sample_ids: Sequence[int] = ()) -> None:
        self._model = model
        self._sample = tuple(sample_ids)
        self._layers = large_linears(model)
        if any(layer.weight.device.type != "cpu" or layer.weight.dtype != torch.float32 for layer in self._layers):
            raise ConfigError("expected a model in float32 on a processor for 8-bit products, found another")
        sums()
        self._version: Any = None
        self._rounded: list[_Rounded] = []

    def release(self) -> None:
        """Give the copies' memory back; they are made anew when they are needed."""
        self._rounded, self._version = [], None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the layers multiply in 8 bits inside. To be run without gradients, and by one thread at a time."""
        version = changes(self._layers)
        if version != self._version:
            self.release()
            absmax = self._seen()
            self._rounded = [_Rounded.of(layer, absmax.get(layer)) for layer in self._layers]
            self._version = version
        with replaced(self._layers, self._rounded):
            yield

    def _seen(self) -> dict[nn.Module, Tensor]:
        """The largest activation of every channel of every layer's input, on the sample."""
        seen: dict[nn.Module, Tensor] = {}
        if not self._sample:
            return seen

        model: Any = self._model
        head = model.get_output_embeddings()

        def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            absmax = inputs[0].reshape(-1, inputs[0].shape[-1]).abs().amax(dim=0)
            seen[layer] = torch.maximum(seen[layer], absmax) if layer in seen else absmax
            # Logits of the whole sample would take more memory than all else, and nobody wants them.
            return (inputs[0][..., -1:, :],) if layer is head else None

        hooks: list[Any] = []
        try:
            hooks.extend(layer.register_forward_pre_hook(look) for layer in self._layers)
            with torch.no_grad():
                model(input_ids=torch.tensor([self._sample]), use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return seen


Sums = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Products of whole rows `[rows, in]`, held as floats, with whole weights, times the weights' steps: `[rows, out]`."""


def _packed_sums(rows: Tensor, packed: Tensor, step: Tensor) -> Tensor:
    raised = rows.add(_ZERO).to(torch.uint8)
    zeros = torch.zeros(len(step), dtype=torch.int32)
    product: Tensor = torch.ops.onednn.qlinear_pointwise(
        raised, 1.0, _ZERO, packed, step, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return product


def _plain_sums(rows: Tensor, weight: Tensor, step: Tensor) -> Tensor:
    return torch._int_mm(rows.to(torch.int8), weight.t()) * step


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return packed


@lru_cache(maxsize=1)
def sums() -> Sums:
    """The faster way that this processor and this build of torch add up without overflow: tried out once.

    Raises:
        ConfigError: There is none.
    """
    rows, weight, step = torch.full((2, 64), float(_LEVELS)), torch.full((32, 64), _LEVELS), torch.ones(32)
    found = ""
    for way, made in ((_packed_sums, _pack), (_plain_sums, torch.Tensor.contiguous)):
        try:
            if bool((way(rows, made(weight.to(torch.int8)), step) == 64 * _LEVELS**2).all()):
                return way
            found = "products that overflow"
        except (RuntimeError, NotImplementedError, AttributeError) as error:
            found = str(error)
    raise ConfigError(f"expected a processor with exact 8-bit products, found: {found}")
