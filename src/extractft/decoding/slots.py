"""Keys and values of rows that come and go: one slot a row, one place a token.

Knows tensors. Knows no model and no positions.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["SlotStore"]

_ROUND = 64


class SlotStore:
    """Keys and values of each layer, shape `[slots, heads, places, size]`; zero where nothing was written."""

    def __init__(self) -> None:
        self.slots = 0
        self.places = 0
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def nbytes(self) -> int:
        """Memory that the layers take, in bytes."""
        return sum(t.nbytes for pair in self._layers.values() for t in pair)

    def reserve(self, slots: int, places: int) -> None:
        """Make room for `slots` rows of `places` tokens, and not for twice as much.

        What was written within both stays. Rows that have become fewer or shorter give their memory back.
        """
        rounded = -(-places // _ROUND) * _ROUND
        enough = self.slots >= slots and self.places >= places
        if enough and self.slots * self.places <= 2 * slots * rounded:
            return
        if places > self.places > 0:
            rounded = max(rounded, self.places * 5 // 4)
        self.slots, self.places = slots, rounded
        self._layers = {
            layer: (self._moved(keys), self._moved(values)) for layer, (keys, values) in self._layers.items()
        }

    def write(self, layer: int, keys: Tensor, values: Tensor, slots: Tensor, places: Tensor) -> None:
        """Put the keys and values of tokens, shape `[tokens, heads, size]`, into their places."""
        if layer not in self._layers:
            self._layers[layer] = (self._empty(keys), self._empty(values))
        kept_keys, kept_values = self._layers[layer]
        kept_keys[slots, :, places] = keys
        kept_values[slots, :, places] = values

    def move(self, slots: Tensor, sources: Tensor, targets: Tensor) -> None:
        """Put what stands in some places of slots into other places of the same slots, shape `[tokens]` each."""
        for pair in self._layers.values():
            for tensor in pair:
                tensor[slots, :, targets] = tensor[slots, :, sources]

    def read(self, layer: int, low: int, high: int, places: int) -> tuple[Tensor, Tensor]:
        """Views of the first places of neighbouring slots."""
        keys, values = self._layers[layer]
        return keys[low:high, :, :places], values[low:high, :, :places]

    def wipe(self, slot: int) -> None:
        """Zero a slot: what is not a number would spoil later rows, even where they do not look at it."""
        for pair in self._layers.values():
            for tensor in pair:
                tensor[slot].zero_()

    def clear(self) -> None:
        """Give all memory back."""
        self.slots, self.places, self._layers = 0, 0, {}

    def _empty(self, like: Tensor) -> Tensor:
        _, heads, size = like.shape
        return like.new_zeros((self.slots, heads, self.places, size))

    def _moved(self, tensor: Tensor) -> Tensor:
        _, heads, _, size = tensor.shape
        moved = tensor.new_zeros((self.slots, heads, self.places, size))
        kept = tensor[: self.slots, :, : self.places]
        moved[: kept.shape[0], :, : kept.shape[2]] = kept
        return moved
