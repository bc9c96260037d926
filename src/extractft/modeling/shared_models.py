"""Base models that several extractors have in common, once in memory. Knows modules and tensors; knows no extractor."""

from __future__ import annotations

import copy
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TypeAlias

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary
from transformers import PreTrainedModel

from extractft.modeling.base_model_ref import BaseModelRef
from extractft.modeling.model_loading import load_model

__all__ = ["is_shared", "is_sharing", "load_shared_model", "sharing_base_models"]

_Loaded: TypeAlias = dict[tuple[str, str, str], PreTrainedModel]
_loaded: ContextVar[_Loaded | None] = ContextVar("extractft_shared_base_models", default=None)
_weights: MutableMapping[Tensor, None] = WeakIdKeyDictionary()
"""Weights that several models have in common, or may come to have."""


@contextmanager
def sharing_base_models() -> Iterator[None]:
    """Keep the weights of a base model in memory once for all extractors that are loaded in the block.

    Their adapters stay apart instead of being merged into the weights: one more extractor takes the memory of its
    adapter, its answers differ from those of merged weights by rounding, and each layer costs three products instead
    of one. Extractors that were loaded so can be used afterwards like any other, also at the same time. What is trained
    in the block has weights of its own.

    Example:
        >>> from extractft import Extractor
        >>> from extractft.modeling import sharing_base_models
        >>> with sharing_base_models():  # doctest: +SKIP
        ...     complaints = Extractor.from_pretrained("complaints-extractor")
        ...     receipts = Extractor.from_pretrained("receipts-extractor")
    """
    token = _loaded.set({} if _loaded.get() is None else _loaded.get())
    try:
        yield
    finally:
        _loaded.reset(token)


def is_sharing() -> bool:
    """True within `sharing_base_models`."""
    return _loaded.get() is not None


def is_shared(weight: Tensor) -> bool:
    """True for a weight that several models may have in common, and that nobody changes therefore."""
    return weight in _weights


def load_shared_model(ref: BaseModelRef, *, device: str, dtype: str) -> PreTrainedModel:
    """Load a base model; within `sharing_base_models` around weights that are there already.

    Args:
        ref: The model.
        device: As for `load_model`.
        dtype: As for `load_model`.

    Raises:
        ExtractFTError: As `load_model` does.
    """
    loaded = _loaded.get()
    if loaded is None:
        return load_model(ref, device=device, dtype=dtype)
    key = (str(ref.path), device, dtype)
    if key not in loaded:
        loaded[key] = load_model(ref, device=device, dtype=dtype)
    return _with_same_weights(loaded[key])


def _with_same_weights(model: PreTrainedModel) -> PreTrainedModel:
    """A model of modules of its own, which an adapter and an engine may change, around the tensors of another one."""
    tensors = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    for weight in model.parameters():
        _weights[weight] = None
    return copy.deepcopy(model, tensors)
