"""Linear layers on weights that were laid out beforehand as the processor multiplies them fastest.

A few dozen rows, which is what decoding asks for, are multiplied in half the time or less when the library (oneDNN)
does not have to rearrange the weights on the way, and many rows in nine tenths. The copy in that layout takes as much
memory as the weights again, so it is made only where there is room. Knows modules and tensors; knows nothing of
decoding.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from extractft.inference.cpu.transposed_linears import WORTH, changes, large_linears, replaced, seconds
from extractft.modeling import available_memory, is_shared
from extractft.processes import fork_safe_lock

__all__ = ["PrepackedLinears"]

_LEAST_BYTES = 8 << 20
"""A model whose layers take less is not worth a trial."""
_SHARE = 0.5
"""Share of the free memory that a copy may take."""
_FEWEST_ROWS = 4
"""Fewer are filled up: one to three rows took up to 1.6 times as long as four."""
_TRIAL_SHAPE, _TRIAL_WEIGHTS, _TRIAL_ROWS, _TRIAL_TURNS = (1024, 1024), 24, (4, 16), 3

_copies: MutableMapping[Tensor, tuple[int, weakref.ref[Tensor]]] = WeakIdKeyDictionary()
"""The copies of weights that models have in common, by weight and version."""
_lock = fork_safe_lock()


class PrepackedLinears:
    """The linear layers of one model.

    Args:
        model: The model. It is as it was outside of `installed`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = large_linears(model)
        self._version: Any = None
        self._packed: list[Tensor] = []
        self._forwards: list[Callable[[Tensor], Tensor]] = []

    @property
    def nbytes(self) -> int:
        """Memory that the copy takes, in bytes, or would take."""
        return sum(layer.weight.nbytes for layer in self._layers)

    def worthwhile(self) -> bool:
        """True if this model multiplies faster so, on this processor, and there is room for the copy."""
        if any(m.weight.device.type != "cpu" or m.weight.dtype != torch.float32 for m in self._layers):
            return False
        if self._packed:
            return True
        if self.nbytes < _LEAST_BYTES or self.nbytes > _SHARE * available_memory(torch.device("cpu")):
            return False
        return _is_faster(torch.get_num_threads())

    def release(self) -> None:
        """Give the copy's memory back; it is made anew when it is needed."""
        self._packed, self._forwards, self._version = [], [], None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the layers multiply by the copy inside. To be run without gradients, and by one thread at a time."""
        version = changes(self._layers)
        if version != self._version:
            self.release()  # before the new copy, not after: there may not be room for both
            self._packed = [_packed_once(layer.weight) for layer in self._layers]
            pairs = zip(self._layers, self._packed, strict=True)
            self._forwards = [_forward(layer, packed) for layer, packed in pairs]
            self._version = version
        with replaced(self._layers, self._forwards):
            yield


def _forward(layer: nn.Linear, packed: Tensor) -> Callable[[Tensor], Tensor]:
    width, bias = layer.in_features, layer.bias

    def forward(rows: Tensor) -> Tensor:
        count = rows.numel() // width
        if count >= _FEWEST_ROWS:
            return _product(rows, packed, bias)
        if count == 0:
            return F.linear(rows, layer.weight, bias)
        filled = rows.new_zeros(_FEWEST_ROWS, width)
        filled[:count] = rows.reshape(count, width)
        return _product(filled, packed, bias)[:count].reshape(*rows.shape[:-1], -1)

    return forward


def _packed_once(weight: Tensor) -> Tensor:
    """The copy of a weight, which is made once for all models that have it in common.

    A weight of one model alone has a copy of its own: adapters are merged into it, which no version tells.
    """
    if not is_shared(weight):
        return _pack(weight.detach())
    version = 0 if weight.is_inference() else weight._version
    with _lock:
        known_version, known = _copies.get(weight, (None, None))
        packed = known() if known is not None and known_version == version else None
        if packed is None:
            packed = _pack(weight.detach())
            _copies[weight] = (version, weakref.ref(packed))
    return packed


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
    return packed


def _product(rows: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
    return product


@lru_cache(maxsize=8)
def _is_faster(threads: int) -> bool:
    """Try both ways on more weights than the caches hold; False where this build of torch has but one."""
    weights = [torch.ones(_TRIAL_SHAPE) for _ in range(_TRIAL_WEIGHTS)]
    try:
        packed = [_pack(weight) for weight in weights]
        usual = other = 0.0
        for count in _TRIAL_ROWS:
            rows = torch.ones(count, _TRIAL_SHAPE[1])
            usual += _best_of(partial(F.linear, rows), weights)
            other += _best_of(partial(_product, rows, bias=None), packed)
        right = bool((_product(rows, packed[0], None) == _TRIAL_SHAPE[1]).all())
    except (RuntimeError, NotImplementedError, AttributeError, TypeError):
        return False
    return right and other < WORTH * usual


def _best_of(product: Callable[[Tensor], Tensor], weights: Sequence[Tensor]) -> float:
    return min(seconds(product, weights) for _ in range(_TRIAL_TURNS))
