"""Keys and values of past tokens: layers with room to grow, and one prefix that all prompts share.

Knows transformers' caches. Knows no grammar, no sampling and no padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from extractft.inference.model_state import WeightVersion

__all__ = ["PrefixCache", "attention_kind", "empty_cache", "keep_rows"]

_ROOM = 128
"""Positions that a layer allocates ahead."""


class _RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer that writes new positions into memory allocated ahead, instead of copying all at each token."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stores: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new positions, shape `[rows, heads, positions, size]`; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, end = self.get_seq_length(), self.get_seq_length() + key_states.shape[-2]
        if self._stores is None or self._stores[0].shape[-2] < end:
            self._stores = (self._moved(self.keys, key_states, end), self._moved(self.values, value_states, end))
        keys, values = self._stores
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    @staticmethod
    def _moved(past: Tensor | None, new: Tensor, positions: int) -> Tensor:
        rows, heads, _, size = new.shape
        store = new.new_empty((rows, heads, positions + _ROOM, size))
        if past is not None and past.numel():
            store[:, :, : past.shape[-2]] = past
        return store

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        super().batch_select_indices(indices)
        self._stores = None


def attention_kind(model: PreTrainedModel) -> Literal["full", "windowed", "other"]:
    """Kind of attention of a model's layers, which decides where padding may stand.

    `full`: all positions before; padding may stand anywhere as long as it is masked. `windowed`: some layers count
    positions back from each token; padding may stand on the left of everything only. `other`: there are layers of
    another nature, such as a recurrent state; rows that need padding do not go together.
    """
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if kinds == {DynamicLayer}:
        return "full"
    return "windowed" if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else "other"


def empty_cache(model: PreTrainedModel) -> DynamicCache:
    """A cache with nothing in it, with the layers that the model needs."""
    cache = DynamicCache(config=model.config)
    cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def keep_rows(cache: DynamicCache, rows: Tensor) -> None:
    """Drop all rows of a batch but `rows`."""
    for layer in cache.layers:
        if isinstance(layer, DynamicLayer):
            layer.batch_select_indices(rows)


class PrefixCache:
    """Keys and values of the tokens that all prompts begin with, computed once while the weights stay as they are.

    Args:
        model: A causal language model of transformers, bare or wrapped by PEFT.
        ids: The tokens.
        compute: Runs the model on `[1, len(ids)]` token ids and fills the cache.
    """

    def __init__(
        self, model: PreTrainedModel, ids: Sequence[int], compute: Callable[[Tensor, DynamicCache], object]
    ) -> None:
        self.ids = tuple(ids)
        self._model = model
        self._compute = compute
        self._cache: DynamicCache | None = None
        self._weights = WeightVersion(model)
        self._version = 0

    def reset(self) -> None:
        """Forget what was computed."""
        self._cache = None
        self._weights.forget()

    def expanded(self, rows: int) -> DynamicCache:
        """A new cache that holds the prefix for each of `rows` rows."""
        version = self._weights.version()
        if self._cache is None or version != self._version:
            self._cache, self._version = empty_cache(self._model), version
            device = next(self._model.parameters()).device
            self._compute(torch.tensor([self.ids], device=device), self._cache)
        cache = empty_cache(self._model)
        for index, layer in enumerate(self._cache.layers):
            if isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None:
                cache.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index)
        return cache
