"""Rows of any length through the model in one pass, without padding: their tokens lie end to end.

Everything but attention sees one long row. Attention is a function of its own, which keeps each row's keys and values
in a slot and lets the tokens of a row see that row and the prefix that all rows share. Knows transformers' attention
interface. Knows no grammar and decides nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

from extractft.inference.kv_cache import KVCache
from extractft.modeling import is_out_of_memory, ordinary_ids, probe_tolerance, probing

__all__ = ["ModelRunner", "Segment"]

_ATTENTION = "extractft_slots"
_SUPPORTED_LAYERS = {"full_attention", "sliding_attention"}
_SHORT = 16
"""Segments of up to this many tokens are padded to the longest of them inside attention; longer ones go alone."""
_CHUNK = 512
"""Tokens of the prefix in one pass, which bounds the size of attention's scores."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive tokens of one row.

    Attributes:
        slot: Where the row's keys and values are kept.
        start: Position of the first token in the row.
        token_ids: The tokens, at least one.
        num_logits: Number of the last tokens whose logits are wanted.
        shared: Whether the row begins with the shared prefix, which is then not part of any segment.
        parents: For the last tokens, where they are the branches of a tree: index in the segment of the token that each
            follows, an earlier one. A token sees those that it follows, and not the other branches; its keys and
            values are kept at the position of its index all the same.
    """

    slot: int
    start: int
    token_ids: Sequence[int]
    num_logits: int = 0
    shared: bool = False
    parents: Sequence[int] = ()

    def depths(self) -> list[int]:
        """Number of the segment's tokens that each follows."""
        depths = list(range(len(self.token_ids) - len(self.parents)))
        for parent in self.parents:
            depths.append(depths[parent] + 1)
        return depths

    def seen(self) -> Tensor:
        """Mask of the tokens (columns) that each token (row) follows or is: booleans, shape `[tokens, tokens]`."""
        count = len(self.token_ids)
        seen = torch.ones(count, count, dtype=torch.bool).tril_()
        for index, parent in enumerate(self.parents, count - len(self.parents)):
            seen[index] = seen[parent]
            seen[index, index] = True
        return seen


class ModelRunner:
    """A causal language model that takes segments of many rows at once. To be run inside `evaluating`.

    Args:
        model: A causal language model of transformers, bare or wrapped by PEFT.
        prefix_ids: Tokens that most rows begin with.
    """

    def __init__(self, model: PreTrainedModel, prefix_ids: Sequence[int] = ()) -> None:
        self.model = model
        self.prefix_ids = tuple(prefix_ids)
        self.cache = KVCache()
        self._prefix: KVCache | None = None
        self._attention = model.config.get_text_config()._attn_implementation

    @property
    def device(self) -> torch.device:
        """Device of the inputs."""
        return next(self.model.parameters()).device

    def reset(self) -> None:
        """Forget the prefix."""
        self._prefix = None

    def abandon_pass(self) -> None:
        """Forget what a pass has left that did not come to its end: keys and values, and its way to attend."""
        self.cache.clear()
        config = self.model.config.get_text_config()
        if config._attn_implementation == _ATTENTION:
            config._attn_implementation = self._attention

    def begins_with_prefix(self, prompt: Sequence[int]) -> bool:
        """True if a prompt can share the prefix: it begins with it and goes on."""
        length = len(self.prefix_ids)
        return 0 < length < len(prompt) and tuple(prompt[:length]) == self.prefix_ids

    def forward(self, segments: Sequence[Segment]) -> Tensor:
        """Run the segments and keep their keys and values, over those that stood at the same positions before.

        Returns:
            Logits, shape `[sum of num_logits, vocab_size]`, segment after segment.
        """
        if self._prefix is None and any(segment.shared for segment in segments):
            self._prefix = self._computed_prefix()
        return self._run(segments, self.cache, self._prefix)

    def unsupported(self) -> str | None:
        """Reason that the model's layers cannot be run this way, tried on a few tokens; `None` if they can."""
        config = self.model.config.get_text_config()
        strange = set(getattr(config, "layer_types", None) or ()) - _SUPPORTED_LAYERS
        if strange:
            return f"it has layers of another kind: {', '.join(sorted(strange))}"
        try:
            with probing(self.model):
                expected, found = self._probed()
        except (TypeError, ValueError, AttributeError, RuntimeError, LookupError) as error:
            if is_out_of_memory(error):  # says nothing of the model
                raise
            return f"{type(error).__name__}: {error}"
        spread = float(expected.float().std().nan_to_num(1.0))
        if torch.allclose(found, expected, rtol=0, atol=probe_tolerance(self.model) * spread, equal_nan=True):
            return None
        apart = float((found - expected).abs().max())
        return f"logits differ by up to {apart:.2g}, where they vary by {spread:.2g}"

    def _probed(self) -> tuple[Tensor, Tensor]:
        """Some logits the plain way and this way: three rows, a shared prefix, a tree, and a row alone in a pass."""
        prefix = ordinary_ids(self.model, 3)
        one, other = (ordinary_ids(self.model, 9, seed=seed) for seed in (1, 2))
        rows = torch.tensor([[*prefix, *one], [*prefix, *other]], device=self.device)
        with _attention(self.model, "sdpa" if self._implementation() == "sdpa" else "eager"):
            plain = self.model(input_ids=rows, use_cache=False).logits
        packed = ModelRunner(self.model, prefix)
        packed.cache.reserve(3, rows.shape[1])
        begun = [
            Segment(0, 3, one[:2], shared=True),
            Segment(1, 3, other[:4], shared=True),
            Segment(2, 0, [*prefix, *one[:4]]),
        ]
        tree = Segment(0, 5, [one[2], one[3], other[3], one[4]], 4, shared=True, parents=[0, 0, 1])
        packed.forward(begun)
        found = [
            packed.forward([tree, Segment(2, 7, one[4:], 5)])[[0, 1, 3, 4, 5, 6, 7, 8]],
            packed.forward([Segment(1, 7, other[4:], 5, shared=True)]),
        ]
        return torch.cat([plain[0, 5:8], plain[0, 7:], plain[1, 7:]]), torch.cat(found)

    def _implementation(self) -> str | None:
        name: str | None = self.model.config.get_text_config()._attn_implementation
        return name

    def _computed_prefix(self) -> KVCache:
        cache = KVCache()
        cache.reserve(1, len(self.prefix_ids))
        for start in range(0, len(self.prefix_ids), _CHUNK):
            self._run([Segment(0, start, self.prefix_ids[start : start + _CHUNK])], cache, None)
        return cache

    def _run(self, segments: Sequence[Segment], cache: KVCache, prefix: KVCache | None) -> Tensor:
        step = _Pass(segments, cache, prefix, len(self.prefix_ids), self.device)
        AttentionInterface.register(_ATTENTION, _attend)
        with _attention(self.model, _ATTENTION):
            outputs = self.model(
                input_ids=step.token_ids,
                position_ids=step.positions,
                use_cache=False,
                logits_to_keep=step.logit_indices,
                packed_pass=step,
            )
        if step.calls == 0:
            raise ValueError("The model does not use transformers' attention interface.")
        logits: Tensor = outputs.logits[0, : step.logits]
        return logits


@contextmanager
def _attention(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Let the model's layers attend in this way inside."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    try:
        config._attn_implementation = implementation
        yield
    finally:
        config._attn_implementation = before


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_pass: _Pass,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers' layers call it: `query` has shape `[1, heads, tokens, size]`."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer: Any = module.layer_idx
    return packed_pass.attend(layer, query[0] * scale, key[0], value[0], sliding_window, softcap)[None], None


class _Group:
    """Segments of neighbouring slots that attend side by side, padded to the longest of them."""

    def __init__(self, segments: Sequence[tuple[int, Segment]], prefix_length: int, device: torch.device) -> None:
        segments = sorted(segments, key=lambda pair: pair[1].slot)
        slots = [segment.slot for _, segment in segments]
        self.low, self.high = min(slots), max(slots) + 1
        self.offset = segments[0][0]
        self.rows, self.width = self.high - self.low, max(len(segment.token_ids) for _, segment in segments)
        source = torch.zeros(self.rows, self.width, dtype=torch.long)
        position = torch.zeros(self.rows, self.width, dtype=torch.long)
        base = torch.zeros(self.rows, 1, dtype=torch.long)
        inside: list[int] = []
        target: list[int] = []
        self.length = 0
        self._trees: list[tuple[int, int, Tensor, Tensor]] = []
        for offset, segment in segments:
            row, count = segment.slot - self.low, len(segment.token_ids)
            source[row, :count] = torch.arange(offset, offset + count)
            position[row, :count] = torch.arange(segment.start, segment.start + count)
            base[row] = prefix_length if segment.shared else 0
            if segment.parents:
                position[row, :count] = segment.start + torch.tensor(segment.depths())
                first = segment.start - int(base[row])
                self._trees.append((row, first, position[row, :count].to(device), ~segment.seen().to(device)))
            position[row, count:] = segment.start
            inside.extend(range(row * self.width, row * self.width + count))
            target.extend(range(offset, offset + count))
            self.length = max(self.length, segment.start + count - int(base[row]))
        self.whole = len(inside) == self.rows * self.width
        self.source, self.inside = source.flatten().to(device), torch.tensor(inside, device=device)
        self.target = torch.tensor(target, device=device)
        self._position, self._base = position.to(device), base.to(device)
        self.prefix_length = prefix_length if any(segment.shared for _, segment in segments) else 0
        self._hidden: dict[int | None, Tensor] = {}

    def hidden(self, window: int | None) -> Tensor:
        """Mask of the keys, prefix first, that a query must not see: `[rows, 1, 1, width, keys]`."""
        if window not in self._hidden:
            device = self._position.device
            shared = torch.arange(self.prefix_length, device=device).expand(self.rows, -1)
            own = torch.arange(self.length, device=device) + self._base
            for row, first, positions, _ in self._trees:
                own[row, first : first + len(positions)] = positions
            absent = (self._base == 0).expand(-1, self.prefix_length)
            keys = torch.cat([shared.masked_fill(absent, torch.iinfo(torch.long).max), own], dim=1)[:, None]
            hidden = keys > self._position[..., None]
            if window is not None:
                hidden |= keys <= self._position[..., None] - window
            for row, first, _, others in self._trees:
                inside = slice(self.prefix_length + first, self.prefix_length + first + len(others))
                hidden[row, : len(others), inside] |= others
            self._hidden[window] = hidden[:, None, None]
        return self._hidden[window]


def _rounded(count: int) -> int:
    """Tokens of a pass, with some to spare.

    A processor's library makes a routine for each number of rows, keeps a thousand of them, of half a megabyte each,
    and takes some milliseconds for a new one: so there are few numbers, where one row more or less matters little.
    """
    step = 1 << max(0, (count - 1).bit_length() - 5)  # a sixteenth at most
    return -(-count // step) * step


class _Pass:
    """One pass through the model: the inputs, and what attention needs to know of them.

    Attributes:
        logits: Number of logits that are wanted; the inputs ask for some more, and hold more tokens, that nobody needs.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        cache: KVCache,
        prefix: KVCache | None,
        prefix_length: int,
        device: torch.device,
    ) -> None:
        counts = [len(segment.token_ids) for segment in segments]
        offsets = [0, *itertools.accumulate(counts)]
        flat = [token_id for segment in segments for token_id in segment.token_ids]
        positions = [segment.start + depth for segment in segments for depth in segment.depths()]
        kept = [
            i for end, segment in zip(offsets[1:], segments, strict=True) for i in range(end - segment.num_logits, end)
        ]
        starts = [segment.start - (prefix_length if segment.shared else 0) for segment in segments]
        self._count, self.logits = len(flat), len(kept)
        if device.type == "cpu":
            spare = _rounded(len(flat)) - len(flat)
            flat, positions = flat + spare * flat[:1], positions + spare * [0]
            kept += (_rounded(len(kept)) - len(kept)) * kept[-1:]
        self.token_ids = torch.tensor([flat], device=device)
        self.positions = torch.tensor([positions], device=device)
        self.logit_indices = torch.tensor(kept, dtype=torch.long, device=device)
        self.calls = 0
        self._cache, self._prefix = cache, prefix
        slots = [segment.slot for segment in segments for _ in segment.token_ids]
        inner = [start + i for start, count in zip(starts, counts, strict=True) for i in range(count)]
        self._slots = torch.tensor(slots, device=device)
        self._cache_positions = torch.tensor(inner, device=device)
        numbered = list(zip(offsets, segments, strict=False))
        short = [pair for pair in numbered if len(pair[1].token_ids) <= _SHORT]
        groups = [short] if short else []
        groups += [[pair] for pair in numbered if len(pair[1].token_ids) > _SHORT]
        self._groups = [_Group(group, prefix_length, device) for group in groups]

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, window: int | None, softcap: float | None
    ) -> Tensor:
        """Keep the new keys and values `[kv heads, tokens, size]`; attend, shape `[tokens, heads, value size]`."""
        self.calls += 1
        count = self._count
        new = key.transpose(0, 1)[:count], value.transpose(0, 1)[:count]
        self._cache.write(layer, *new, self._slots, self._cache_positions)
        output = value.new_empty(query.shape[1], query.shape[0], value.shape[-1])
        output[count:] = 0
        for group in self._groups:
            if group.rows == 1:
                self._attend_row(group, layer, query, window, softcap, output)
                continue
            attended = self._attend_group(group, layer, query, window, softcap)
            if not group.whole:
                attended = attended.index_select(0, group.inside)
            output.index_copy_(0, group.target, attended)
        return output

    def _attend_row(
        self, group: _Group, layer: int, query: Tensor, window: int | None, softcap: float | None, output: Tensor
    ) -> None:
        """Attend for one row, in few operations: of a few tokens most of the time goes into calling them."""
        keys, values = (t[0] for t in self._cache.read(layer, group.low, group.high, group.length))
        if group.prefix_length and self._prefix is not None:
            prefix = self._prefix.read(layer, 0, 1, group.prefix_length)
            keys, values = (torch.cat([t[0], own], dim=1) for t, own in zip(prefix, (keys, values), strict=True))
        heads, offset, width = keys.shape[0], group.offset, group.width
        queries = query[:, offset : offset + width].reshape(heads, -1, query.shape[-1])
        # (kv heads, queries of a kv head, width, keys)
        scores = (queries @ keys.mT).view(heads, -1, width, keys.shape[1])
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        scores = scores.masked_fill_(group.hidden(window)[0], float("-inf"))
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype)
        attended = weights.view(heads, -1, keys.shape[1]) @ values
        output[offset : offset + width] = attended.view(query.shape[0], width, -1).transpose(0, 1)

    def _attend_group(
        self, group: _Group, layer: int, query: Tensor, window: int | None, softcap: float | None
    ) -> Tensor:
        keys, values = self._cache.read(layer, group.low, group.high, group.length)
        rows, heads, width = group.rows, keys.shape[1], group.width
        shares = query.shape[0] // heads
        # (kv heads, queries of a kv head, rows, width, size)
        queries = query.index_select(1, group.source).view(heads, shares, rows, width, -1)
        # (rows, kv heads, queries of a kv head * width, size)
        own = queries.permute(2, 0, 1, 3, 4).reshape(rows, heads, shares * width, -1)
        # (rows, kv heads, queries of a kv head, width, keys)
        scores = (own @ keys.mT).view(rows, heads, shares, width, -1)
        if group.prefix_length and self._prefix is not None:
            shared_keys, shared_values = (t[0] for t in self._prefix.read(layer, 0, 1, group.prefix_length))
            shared = queries.reshape(heads, shares * rows * width, -1) @ shared_keys.mT
            shared = shared.view(heads, shares, rows, width, -1).permute(2, 0, 1, 3, 4)  # as scores, of the prefix
            scores = torch.cat([shared, scores], dim=-1)
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        scores = scores.masked_fill_(group.hidden(window), float("-inf"))
        weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype)
        past = group.prefix_length
        output = weights[..., past:].reshape(rows, heads, shares * width, -1) @ values
        output = output.view(rows, heads, shares, width, -1)
        if past and self._prefix is not None:
            seen = weights[..., :past].permute(1, 2, 0, 3, 4).reshape(heads, shares * rows * width, past)
            seen = (seen @ shared_values).view(heads, shares, rows, width, -1)
            output = output + seen.permute(2, 0, 1, 3, 4)
        return output.permute(0, 3, 1, 2, 4).reshape(rows * width, heads * shares, -1)
