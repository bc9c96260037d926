"""Keys and values of sequences that come and go: one slot a sequence, one position a token.

Knows tensors. Knows no model; its positions are those in a slot, without the shared prefix.
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

    def __init__(self, like: Tensor, slots: int, positions: int) -> None:
        _, self._heads, self._size = like.shape
        self.memory = like.new_zeros(slots * self._heads * positions * self._size)
        self.view = self._viewed(slots, positions)

    def reshape(self, slots: int, positions: int) -> None:
        """Take another shape; what is within both stays."""
        kept = self.view[:slots, :, :positions].clone()
        if self.memory.numel() < slots * self._heads * positions * self._size:
            self.memory = self.memory.new_zeros(slots * self._heads * positions * self._size)
            self.view = self._viewed(slots, positions)
        else:
            self.view = self._viewed(slots, positions).zero_()
        self.view[: kept.shape[0], :, : kept.shape[2]] = kept

    def _viewed(self, slots: int, positions: int) -> Tensor:
        shape = (slots, self._heads, positions, self._size)
        return self.memory[: slots * self._heads * positions * self._size].view(shape)


class KVCache:
    """Keys and values of each layer, shape `[slots, heads, positions, size]`; zero where nothing was written."""

    def __init__(self) -> None:
        self.slots = 0
        self.positions = 0
        self._most = 0
        self._layers: dict[int, tuple[_Layer, _Layer]] = {}

    @property
    def nbytes(self) -> int:
        """Memory that the layers take, in bytes."""
        return sum(part.memory.nbytes for pair in self._layers.values() for part in pair)

    def reserve(self, slots: int, positions: int, max_positions: int | None = None) -> None:
        """Grow to hold `slots` sequences of `positions` tokens; what was written within both shapes stays.

        One layer is made anew after the other, so that no more than one is there twice; if memory runs out on the
        way, all is given back. Memory that was needed once stays until `clear`.

        Args:
            slots: Number of sequences.
            positions: Tokens of each.
            max_positions: Tokens that each may come to: no more room is made beforehand.
        """
        if self.slots >= slots and self.positions >= positions:
            return
        rounded = _rounded(positions)
        if positions > self.positions > 0:
            ahead = self.positions * 5 // 4
            rounded = max(rounded, ahead if max_positions is None else min(ahead, _rounded(max_positions)))
        if slots * self.positions <= self._most:
            rounded = max(rounded, self.positions)
        if self.slots * rounded <= self._most:
            slots = max(slots, self.slots)
        self.slots, self.positions, self._most = slots, rounded, max(self._most, slots * rounded)
        try:
            for pair in self._layers.values():
                for part in pair:
                    part.reshape(slots, rounded)
        except BaseException:
            self.clear()
            raise

    def write(self, layer: int, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor) -> None:
        """Put the keys and values of tokens, shape `[tokens, heads, size]`, where they belong."""
        if layer not in self._layers:
            made = _Layer(keys, self.slots, self.positions), _Layer(values, self.slots, self.positions)
            self._layers[layer] = made
        kept_keys, kept_values = self._layers[layer]
        kept_keys.view[slots, :, positions] = keys
        kept_values.view[slots, :, positions] = values

    def move(self, slots: Tensor, sources: Tensor, targets: Tensor) -> None:
        """Copy some positions of slots to other positions of the same slots, shape `[tokens]` each."""
        for pair in self._layers.values():
            for part in pair:
                part.view[slots, :, targets] = part.view[slots, :, sources]

    def read(self, layer: int, low: int, high: int, positions: int) -> tuple[Tensor, Tensor]:
        """Views of the first positions of neighbouring slots, shape `[slots, heads, positions, size]` each."""
        keys, values = self._layers[layer]
        return keys.view[low:high, :, :positions], values.view[low:high, :, :positions]

    def wipe(self, slot: int) -> None:
        """Zero a slot: what is not a number would spoil later sequences, even where they do not look at it."""
        for pair in self._layers.values():
            for part in pair:
                part.view[slot].zero_()

    def clear(self) -> None:
        """Give all memory back."""
        self.slots, self.positions, self._most, self._layers = 0, 0, 0, {}


def _rounded(positions: int) -> int:
    return -(-positions // _ROUND) * _ROUND
