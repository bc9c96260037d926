"""Attention over a pack of rows: `[prefix | row 1 | row 2 | ...]` in one sequence, each row blind to the others.

Registered with transformers under the name `IMPLEMENTATION` and reached through the keyword argument `packing` of the
model's forward call. Each row attends to the prefix and to itself, and no mask over the whole pack is ever made. The
prefix may also have been computed in an earlier pass; its keys and values then come with the layout.

Knows queries, keys and positions; no token ids, no loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel

__all__ = ["IMPLEMENTATION", "PackLayout", "PackingUnsupportedError", "packed_attention_enabled"]

IMPLEMENTATION = "extractft_packed"
UNSUPPORTED = ("softcap", "s_aux", "position_bias")
"""Keyword arguments that change the scores in ways this attention does not know."""


class PackingUnsupportedError(RuntimeError):
    """The model asks for an attention that packs cannot have. Never leaves the room: the padded engine takes over."""


@dataclass(slots=True, eq=False)
class PackLayout:
    """Layout of a pack: its rows and their prefix.

    Attributes:
        prefix_length: Tokens of the prefix, wherever it is; rows' positions go on from there.
        row_lengths: Tokens of each row in the pack, without the prefix.
        recorded: Keys and values of each attention module when the prefix alone is run, kept with their graph.
        carried: Keys and values of the prefix for each attention module, computed before; `None` if the prefix is
            the first part of the pack.
    """

    prefix_length: int
    row_lengths: tuple[int, ...]
    recorded: dict[int, tuple[Tensor, Tensor]] | None = None
    carried: dict[int, tuple[Tensor, Tensor]] | None = None
    _masks: dict[tuple[int, int, int | None], Tensor | None] = field(default_factory=dict)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each part of the sequence, a prefix that is part of it included."""
        return self.row_lengths if self.carried is not None else (self.prefix_length, *self.row_lengths)

    def position_ids(self, device: torch.device) -> Tensor:
        """Positions of all tokens in the sequence, shape `[1, sum(lengths)]`: restarted for each row."""
        rows = [torch.arange(self.prefix_length, self.prefix_length + length) for length in self.row_lengths]
        prefix = [] if self.carried is not None else [torch.arange(self.prefix_length)]
        return torch.cat([*prefix, *rows])[None].to(device)

    def mask(self, prefix: int, length: int, window: int | None, like: Tensor) -> Tensor | None:
        """Mask of `length` queries behind `prefix` keys, to be added to the scores; `None` if plainly causal.

        Args:
            prefix: Keys in front of the queries' own.
            length: Queries, which are also the last keys.
            window: Keys that a query sees at most, its own included; `None` for all.
            like: A tensor of the mask's type and device.
        """
        if window is not None and window >= prefix + length:
            window = None
        key = (prefix, length, window)
        if key not in self._masks:
            self._masks[key] = None if prefix == 0 and window is None else _mask(prefix, length, window, like)
        return self._masks[key]


def _mask(prefix: int, length: int, window: int | None, like: Tensor) -> Tensor:
    queries = torch.arange(prefix, prefix + length, device=like.device)[:, None]
    distance = queries - torch.arange(prefix + length, device=like.device)
    visible = (distance >= 0) if window is None else (distance >= 0) & (distance < window)
    return torch.zeros(length, prefix + length, dtype=like.dtype, device=like.device).masked_fill_(
        ~visible, float("-inf")
    )


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packing: PackLayout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of every part of a pack to the prefix and to itself.

    Args:
        module: The attention module, which tells its layers apart.
        query: Shape `[1, heads, tokens, head size]`.
        key: Shape `[1, key heads, tokens, head size]`, rotated already.
        value: Like `key`.
        attention_mask: Not used: the layout says who sees whom.
        scaling: Factor on the scores; `None` for one over the square root of the head size.
        dropout: Dropout on the attention weights.
        sliding_window: Keys that a query sees at most; `None` for all.
        packing: Where the rows are.
        **kwargs: What other attention functions need.

    Returns:
        Shape `[1, tokens, heads, head size]`, and no weights.

    Raises:
        PackingUnsupportedError: The model does not pass `packing` on, or wants its scores changed.
    """
    wanted = [name for name in UNSUPPORTED if kwargs.get(name) is not None]
    if packing is None or wanted or query.shape[2] != sum(packing.lengths):
        raise PackingUnsupportedError(", ".join(wanted) or "the model does not hand the layout to its attention")
    if packing.recorded is not None:
        packing.recorded.setdefault(id(module), (key, value))
    outputs = _attend_parts(module, query, key, value, packing, sliding_window, scaling, dropout)
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _attend_parts(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packing: PackLayout,
    sliding_window: int | None,
    scaling: float | None,
    dropout: float,
) -> list[Tensor]:
    """Attention outputs of each part, `(1, heads, tokens of the part, head_dim)`."""
    queries, keys, values = (torch.split(tensor, list(packing.lengths), dim=2) for tensor in (query, key, value))
    outputs: list[Tensor] = []
    prefix: tuple[Tensor, Tensor] | None
    if packing.carried is not None:
        prefix = packing.carried[id(module)]
    else:
        prefix = (keys[0], values[0])
        if packing.prefix_length:
            mask = packing.mask(0, packing.prefix_length, sliding_window, query)
            outputs.append(_attend(queries[0], keys[0], values[0], mask, scaling, dropout))
        queries, keys, values = queries[1:], keys[1:], values[1:]
    for q, k, v in zip(queries, keys, values, strict=True):
        mask = packing.mask(packing.prefix_length, q.shape[2], sliding_window, query)
        if packing.prefix_length:
            k, v = torch.cat([prefix[0], k], dim=2), torch.cat([prefix[1], v], dim=2)
        outputs.append(_attend(q, k, v, mask, scaling, dropout))
    return outputs


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scaling: float | None, dropout: float) -> Tensor:
    groups = q.shape[1] // k.shape[1]
    # With a mask, only the CPU's fast kernel takes grouped heads as they are.
    grouped = groups > 1 and (mask is None or q.device.type == "cpu")
    if groups > 1 and not grouped:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )


AttentionInterface.register(IMPLEMENTATION, packed_attention)


@contextmanager
def packed_attention_enabled(model: PreTrainedModel) -> Iterator[None]:
    """The model attends in packs inside the block, backward passes included, and as before after it."""
    before = model.config._attn_implementation
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
