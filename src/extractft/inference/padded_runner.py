"""One batch through the model: prompts of different lengths in, the logits of each next token out.

Knows tensors, padding and positions. Knows no grammar and decides nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from extractft.inference.prefix_cache import PrefixCache, attention_kind, empty_cache, keep_rows

__all__ = ["PaddedBatch", "PaddedModelRunner"]


class PaddedModelRunner:
    """A causal language model as batches need it.

    Args:
        model: A causal language model of transformers, bare or wrapped by PEFT.
        pad_token_id: Fills up shorter rows; masked, so any token will do.
        prefix_ids: Tokens that most prompts begin with. Computed once, unless the model has sliding windows: padding
            behind a prefix would shift them.

    Attributes:
        max_rows: Most rows of a batch, `None` for any number.
    """

    def __init__(self, model: PreTrainedModel, *, pad_token_id: int, prefix_ids: Sequence[int] = ()) -> None:
        self.model = model
        self.pad_token_id = pad_token_id
        self.vocab_size: int = model.get_output_embeddings().weight.shape[0]  # type: ignore[no-untyped-call]
        kind = attention_kind(model)
        self.max_rows = 1 if kind == "other" else None
        bare = getattr(model, "get_base_model", lambda: model)()
        self._parameters = inspect.signature(bare.forward).parameters
        self._prefix: PrefixCache | None = None
        if prefix_ids and kind == "full":
            self._prefix = PrefixCache(model, prefix_ids, self._fill)

    @property
    def device(self) -> torch.device:
        """Device of the inputs."""
        return next(self.model.parameters()).device

    def reset(self) -> None:
        """Forget the prefix."""
        if self._prefix is not None:
            self._prefix.reset()

    def start(self, prompts: Sequence[Sequence[int]]) -> PaddedBatch:
        """A batch of prompts, of which the prefix is computed already if all begin with it."""
        shared = self._prefix
        if shared is None or not all(_begins_with(prompt, shared.ids) for prompt in prompts):
            return PaddedBatch(self, prompts, empty_cache(self.model), 0)
        return PaddedBatch(self, prompts, shared.expanded(len(prompts)), len(shared.ids))

    def forward(
        self, input_ids: Tensor, cache: DynamicCache, *, mask: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """Logits of the last position, shape `[rows, vocab_size]`; the cache grows."""
        inputs: dict[str, Any] = {"input_ids": input_ids, "past_key_values": cache, "use_cache": True}
        optional = {"attention_mask": mask, "position_ids": positions, "logits_to_keep": 1}
        inputs |= {k: v for k, v in optional.items() if v is not None and k in self._parameters}
        logits: Tensor = self.model(**inputs).logits[:, -1]
        return logits

    def _fill(self, input_ids: Tensor, cache: DynamicCache) -> None:
        self.forward(input_ids, cache)


def _begins_with(prompt: Sequence[int], prefix: Sequence[int]) -> bool:
    return len(prompt) > len(prefix) and tuple(prompt[: len(prefix)]) == tuple(prefix)


class PaddedBatch:
    """Prompts and what was added to them. Shorter rows are padded on the left, behind a shared prefix.

    Args:
        model: Runs it.
        prompts: Token ids of each row.
        cache: Keys and values of the first `done` tokens of all rows.
        done: How many tokens the cache holds.
    """

    def __init__(
        self, model: PaddedModelRunner, prompts: Sequence[Sequence[int]], cache: DynamicCache, done: int
    ) -> None:
        self._model = model
        self._cache = cache
        device = model.device
        lengths = [len(prompt) - done for prompt in prompts]
        width = max(lengths)
        ids = torch.full((len(prompts), width), model.pad_token_id)
        mask = torch.ones(len(prompts), done + width, dtype=torch.long)
        for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
            ids[row, width - length :] = torch.tensor(prompt[done:])
            mask[row, done : done + width - length] = 0
        self._prompt_ids = ids.to(device)
        self._mask = mask.to(device)
        self._padded = min(lengths) < width
        self._length = torch.tensor([len(prompt) for prompt in prompts], device=device)

    def prefill(self) -> Tensor:
        """Run the prompts; logits of each row's next token, shape `[rows, vocab_size]`."""
        width = self._prompt_ids.shape[1]
        positions = self._length[:, None] - width + torch.arange(width, device=self._length.device)
        return self._forward(self._prompt_ids, positions.clamp_(min=0))

    def step(self, token_ids: Sequence[int]) -> Tensor:
        """Add one token to each row; logits of the next ones, shape `[rows, vocab_size]`."""
        positions = self._length[:, None]
        self._length = self._length + 1
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(token_ids), 1)], dim=1)
        return self._forward(torch.tensor(token_ids, device=self._length.device)[:, None], positions)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these."""
        index = torch.tensor(rows, device=self._length.device)
        keep_rows(self._cache, index)
        self._mask, self._length = self._mask[index], self._length[index]

    def _forward(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        mask = self._mask if self._padded else None
        return self._model.forward(input_ids, self._cache, mask=mask, positions=positions)
