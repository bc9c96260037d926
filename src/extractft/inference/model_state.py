"""State of a model around inference: evaluation mode, and the version of its weights.

Knows modules and adapters; knows nothing of decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

__all__ = ["WeightVersion", "evaluating"]


class WeightVersion:
    """Tells whether the weights of a model have changed since they were last asked about.

    Seen are changes in place, as optimizers and checkpoint loading make them, parameters put in the place of others,
    adapters that are added, and the merging of adapters, which changes `.data`, of which torch takes no note. Where
    the parameters are is looked up once, as that takes longer than a token.

    Args:
        model: A model of transformers, bare or wrapped by PEFT.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._adapters: tuple[str, ...] | None = None
        self._owners: list[tuple[dict[str, Any], str]] = []
        self._layers: list[Any] = []

    def forget(self) -> None:
        """Look up anew where the parameters are: modules have come or gone."""
        self._adapters = None

    def version(self) -> int:
        """A number that is another when they have changed."""
        adapters = tuple(getattr(self._model, "peft_config", ()))
        if adapters != self._adapters:
            self._adapters = adapters
            modules = list(self._model.modules())
            self._owners = [(m._parameters, name) for m in modules for name, p in m._parameters.items() if _counts(p)]
            self._layers = [m for m in modules if hasattr(type(m), "merged_adapters")]
        merged = tuple(tuple(layer.merged_adapters) for layer in self._layers)
        present = tuple(_state(owner.get(name)) for owner, name in self._owners)
        return hash((adapters, merged, present))


def _counts(parameter: Tensor | None) -> bool:
    return parameter is not None and not parameter.is_inference()


def _state(parameter: Tensor | None) -> tuple[int, int]:
    return id(parameter), parameter._version if _counts(parameter) else -1  # type: ignore[union-attr]


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """No dropout, no gradients and no gradient checkpointing inside; everything as before afterwards.

    Not `inference_mode`: tensors that the model keeps from a run between two training steps must remain usable for
    the next one. And where a caller is in it, tensors of one row must remain usable for others.
    """
    training = [module for module in model.modules() if module.training]
    try:
        if training:
            model.eval()  # type: ignore[no-untyped-call]
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        try:
            _train(training)
        except BaseException:  # an interrupt, which waits until it is done
            _train(training)
            raise


def _train(modules: Sequence[torch.nn.Module]) -> None:
    for module in modules:
        module.training = True
