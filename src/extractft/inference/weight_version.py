"""Version of a model's weights, to tell if they are still those that something was computed with.

Knows modules and adapters; knows nothing of decoding.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

__all__ = ["Weights"]


class Weights:
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
        self._places: list[tuple[dict[str, Any], str]] = []
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
            self._places = [(m._parameters, name) for m in modules for name, p in m._parameters.items() if _counts(p)]
            self._layers = [m for m in modules if hasattr(type(m), "merged_adapters")]
        merged = tuple(tuple(layer.merged_adapters) for layer in self._layers)
        present = tuple(_state(place.get(name)) for place, name in self._places)
        return hash((adapters, merged, present))


def _counts(parameter: Tensor | None) -> bool:
    return parameter is not None and not parameter.is_inference()


def _state(parameter: Tensor | None) -> tuple[int, int]:
    return id(parameter), parameter._version if _counts(parameter) else -1  # type: ignore[union-attr]
