"""Keys and values of rows that come and go: one slot a row, one place a token.

Knows tensors. Knows no model and no positions.
"""

from __future__ import annotations

from torch import Tensor

__all__ = ["KVCache"]

_ROUND = 64


class _Layer:
    """Keys or values of one layer: views of one piece of memory that only grows.

    Rows of all lengths come and go. If each new shape were asked for anew, the process would hold ever more memory in
    pieces that nothing fits into.
    """

    def __init__(self, like: Tensor, slots: int, places: int) -> None:
        _, self._heads, self._size = like.shape
        self.memory = like.new_zeros(slots * self._heads * places * self._size)
        self.view = self._viewed(slots, places)

    def reshape(self, slots: int, places: int) -> None:
        """Take another shape; what is within both stays."""
        kept = self.view[:slots, :, :places].clone()
        if self.memory.numel() < slots * self._heads * places * self._size:
            self.memory = self.memory.new_zeros(slots * self._heads * places * self._size)
            self.view = self._viewed(slots, places)
        else:
            self.view = self._viewed(slots, places).zero_()
        self.view[: kept.shape[0], :, : kept.shape[2]] = kept

    def _viewed(self, slots: int, places: int) -> Tensor:
        shape = (slots, self._heads, places, self._size)
        return self.memory[: slots * self._heads * places * self._size].view(shape)


class KVCache:
    """Keys and values of each layer, shape `[slots, heads, places, size]`; zero where nothing was written."""

    def __init__(self) -> None:
        self.slots = 0
        self.places = 0
        self._most = 0
        self._layers: dict[int, tuple[_Layer, _Layer]] = {}

    @property
    def nbytes(self) -> int:
        """Memory that the layers take, in bytes."""
        return sum(part.memory.nbytes for pair in self._layers.values() for part in pair)

    def reserve(self, slots: int, places: int, most_places: int | None = None) -> None:
        """Make room for `slots` rows of `places` tokens. What was written within the old shape and the new one stays.

        One layer is made anew after the other, so that no more than one is there twice; if memory runs out on the
        way, all is given back. Memory that was needed once stays until `clear`.

        Args:
            slots: How many rows.
            places: How many tokens each.
            most_places: How many tokens they may come to: no more room is made beforehand.
        """
        if self.slots >= slots and self.places >= places:
            return
        rounded = _rounded(places)
        if places > self.places > 0:
            ahead = self.places * 5 // 4
            rounded = max(rounded, ahead if most_places is None else min(ahead, _rounded(most_places)))
        if slots * self.places <= self._most:
            rounded = max(rounded, self.places)
        if self.slots * rounded <= self._most:
            slots = max(slots, self.slots)
        self.slots, self.places, self._most = slots, rounded, max(self._most, slots * rounded)
        try:
            for pair in self._layers.values():
                for part in pair:
                    part.reshape(slots, rounded)
        except BaseException:
            self.clear()
            raise

    def write(self, layer: int, keys: Tensor, values: Tensor, slots: Tensor, places: Tensor) -> None:
        """Put the keys and values of tokens, shape `[tokens, heads, size]`, into their places."""
        if layer not in self._layers:
            made = _Layer(keys, self.slots, self.places), _Layer(values, self.slots, self.places)
            self._layers[layer] = made
        kept_keys, kept_values = self._layers[layer]
        kept_keys.view[slots, :, places] = keys
        kept_values.view[slots, :, places] = values

    def move(self, slots: Tensor, sources: Tensor, targets: Tensor) -> None:
        """Put what stands in some places of slots into other places of the same slots, shape `[tokens]` each."""
        for pair in self._layers.values():
            for part in pair:
                part.view[slots, :, targets] = part.view[slots, :, sources]

    def read(self, layer: int, low: int, high: int, places: int) -> tuple[Tensor, Tensor]:
        """Views of the first places of neighbouring slots."""
        keys, values = self._layers[layer]
        return keys.view[low:high, :, :places], values.view[low:high, :, :places]

    def wipe(self, slot: int) -> None:
        """Zero a slot: what is not a number would spoil later rows, even where they do not look at it."""
        for pair in self._layers.values():
            for part in pair:
                part.view[slot].zero_()

    def clear(self) -> None:
        """Give all memory back."""
        self.slots, self.places, self._most, self._layers = 0, 0, 0, {}


def _rounded(places: int) -> int:
    return -(-places // _ROUND) * _ROUND
