"""Linear layers for a few rows at a time, which is what decoding asks for: the faster of two ways to multiply.

A product of a weight matrix with one to four vectors costs the time that the weights take to be read, if the library
does it well. For `x @ W.T` of so few rows some libraries do not: on a processor with AVX2 two rows took 2.4 times as
long as `W @ x.T`, which is the same sum, and one row took longer than two of the other. Which way is faster depends on
library, processor and shape, so it is tried out. Knows modules and tensors; knows nothing of decoding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extractft.processes import fork_safe_lock

__all__ = ["WORTH", "TransposedLinears", "changes", "large_linears", "put_back", "replaced", "seconds"]

MOST_ROWS = 4
"""Products of more rows are left as they are: they are bound by arithmetic, which libraries do well."""
_TRIED_BYTES = 96 << 20
"""Weights to try a way on: more than the caches hold, or the trial would not be about reading them."""
_TURNS = 3
WORTH = 0.9
"""Another way is taken if it needs less than this share of the time."""
_LEAST_WEIGHTS = 1 << 16
"""Smaller layers, such as those of an adapter, are not worth a copy."""

_OWN = "_extractft_own_forward"
"""Attribute in which a layer keeps its own `forward` while it computes something else."""

Shape = tuple[int, int]


class TransposedLinears:
    """The linear layers of one model on a processor.

    Args:
        model: The model. It is as it was outside of `installed`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [m for m in model.modules() if type(m) is nn.Linear and _fits(m.weight)]
        self._swapped: dict[Shape, frozenset[int]] | None = None
        self._threads = 0
        self._lock = fork_safe_lock()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Let the layers multiply few rows in the faster way inside. To be run without gradients."""
        with replaced(self._layers, [self._forward(layer) for layer in self._layers]):
            yield

    def _forward(self, layer: nn.Linear) -> Callable[[Tensor], Tensor]:
        swapped = self._ways()[(layer.out_features, layer.in_features)]

        def forward(rows: Tensor) -> Tensor:
            count = rows.numel() // layer.in_features
            if count not in swapped:
                return F.linear(rows, layer.weight, layer.bias)
            return _transposed(rows, layer.weight, layer.bias)

        return forward

    def _ways(self) -> dict[Shape, frozenset[int]]:
        """By shape, for which numbers of rows the other way is faster; tried anew when the threads have changed."""
        with self._lock:
            if self._swapped is None or self._threads != torch.get_num_threads():
                self._threads = torch.get_num_threads()
                shapes = dict.fromkeys((layer.out_features, layer.in_features) for layer in self._layers)
                self._swapped = {shape: self._tried(shape) for shape in shapes}
            return self._swapped

    def _tried(self, shape: Shape) -> frozenset[int]:
        weights = [layer.weight for layer in self._layers if (layer.out_features, layer.in_features) == shape]
        size = weights[0].numel() * weights[0].element_size()
        weights = weights[: max(1, _TRIED_BYTES // size)]
        if size * len(weights) < _TRIED_BYTES // 8:  # too small to matter, and to be told apart
            return frozenset()
        return frozenset(count for count in range(1, MOST_ROWS + 1) if _other_is_faster(weights, count))


def large_linears(model: nn.Module) -> list[nn.Linear]:
    """The linear layers that are worth a copy of their weights in another form."""
    return [m for m in model.modules() if type(m) is nn.Linear and m.weight.numel() >= _LEAST_WEIGHTS]


@contextmanager
def replaced(layers: Sequence[nn.Linear], forwards: Sequence[Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Let layers compute something else inside; afterwards they are as they were, whatever comes between.

    What an interrupt kept from being put back, or a fork, is put back the next time.
    """
    put_back(layers)
    try:
        for layer, forward in zip(layers, forwards, strict=True):
            attributes = vars(layer)
            attributes[_OWN] = attributes.get("forward")
            attributes["forward"] = forward  # as `layer.forward = ...`, which takes five times as long
        yield
    finally:
        try:
            put_back(layers)
        except BaseException:  # an interrupt, which waits until it is done
            put_back(layers)
            raise


def put_back(layers: Iterable[nn.Module]) -> None:
    """Let layers that compute something else compute their own again."""
    for layer in layers:
        attributes = vars(layer)
        if _OWN not in attributes:
            continue
        own = attributes[_OWN]
        if own is None:
            attributes.pop("forward", None)
        else:
            attributes["forward"] = own
        del attributes[_OWN]


def changes(layers: Sequence[nn.Linear]) -> list[tuple[int, int]]:
    """A value that changes when weights are replaced or changed in place."""
    return [(m.weight.data_ptr(), 0 if m.weight.is_inference() else m.weight._version) for m in layers]


def _fits(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _transposed(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` with the factors changed over. One row is doubled: it would be done by the slower routine."""
    flat = rows.reshape(-1, weight.shape[1])
    doubled = flat.expand(2, -1) if len(flat) == 1 else flat
    product = torch.mm(weight, doubled.t()).t()[: len(flat)]
    product = product if bias is None else product + bias
    return product.reshape(*rows.shape[:-1], weight.shape[0])


def _other_is_faster(weights: Sequence[Tensor], count: int) -> bool:
    rows = torch.ones(count, weights[0].shape[1])
    usual = min(seconds(lambda weight: F.linear(rows, weight), weights) for _ in range(_TURNS))
    other = min(seconds(lambda weight: _transposed(rows, weight, None), weights) for _ in range(_TURNS))
    return other < WORTH * usual


def seconds(product: Callable[[Tensor], Tensor], weights: Sequence[Tensor]) -> float:
    """Seconds that the products with some weights take together."""
    start = time.perf_counter()
    for weight in weights:
        product(weight)
    return time.perf_counter() - start
