"""The plain way: padded batches one after the other, one token a pass, each under its grammar's mask.

Runs any causal language model, and is what faster ways are compared with. Knows requests and rows. Knows no text and
no schema.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterable, Iterator

from torch import Tensor
from transformers import PreTrainedModel

from extractft.completion import Completion, GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import TokenMasks
from extractft.inference.masked_sampler import UnpackedMasks, decide
from extractft.inference.model_state import evaluating
from extractft.inference.padded_runner import PaddedModelRunner
from extractft.inference.sequence import Sequence
from extractft.processes import BoundToProcess, fork_safe_lock

__all__ = ["ReferenceEngine"]


class ReferenceEngine(BoundToProcess):
    """Decodes greedily with a causal language model of transformers, bare or wrapped by PEFT, a token at a time.

    Safe to share between threads: batches take turns. The model may be trained between two calls, and the first
    generation afterwards sees the new weights; call `reset()` after changes that are not made in place, such as
    switching adapters.

    Args:
        model: The model.
        end_token_id: The token that ends a record, as the grammars have it.
        pad_token_id: Fills up shorter rows.
        config: Rows of a batch and alternatives to report.
        prefix_ids: Token ids that most prompts begin with; their keys and values are computed once.
        max_batch_tokens: A batch takes no further row when its prompts, padded, would be longer than this together.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        end_token_id: int,
        pad_token_id: int,
        config: GenerationConfig,
        prefix_ids: abc.Sequence[int] = (),
        max_batch_tokens: int = 16_384,
    ) -> None:
        self._model = PaddedModelRunner(model, pad_token_id=pad_token_id, prefix_ids=prefix_ids)
        self._end_token_id = end_token_id
        self._config = config
        self._max_batch_tokens = max_batch_tokens
        self._lock = fork_safe_lock()

    def generate(self, requests: Iterable[GenerationRequest], *, batch_size: int | None = None) -> Iterator[Completion]:
        """Yield one completion for each request, in order; requests are taken lazily, a batch ahead at most.

        Args:
            requests: What to complete.
            batch_size: Most rows side by side; the config's if `None`.
        """
        rows = self._model.max_rows or batch_size or self._config.batch_size
        for batch in _batches(requests, rows, self._max_batch_tokens):
            with self._lock, evaluating(self._model.model):
                completions = self._complete(batch)
            yield from completions

    def reset(self) -> None:
        """Forget what was computed with the present weights."""
        with self._lock:
            self._model.reset()

    def _complete(self, requests: abc.Sequence[GenerationRequest]) -> list[Completion]:
        sequences = [Sequence(request) for request in requests]
        for sequence in sequences:
            sequence.begin(self._end_token_id)
        masks = UnpackedMasks(TokenMasks(len(sequences), self._model.vocab_size), self._model.device)
        batch = self._model.start([request.prompt_ids for request in requests])
        running, logits = sequences, batch.prefill()
        while True:
            self._advance(running, masks, logits)
            going = [index for index, sequence in enumerate(running) if not sequence.finished]
            if not going:
                return [sequence.outcome() for sequence in sequences]
            if len(going) < len(running):
                running = [running[index] for index in going]
                batch.keep(going)
            logits = batch.step([sequence.record[-1] for sequence in running])

    def _advance(self, running: abc.Sequence[Sequence], masks: UnpackedMasks, logits: Tensor) -> None:
        """Decide and append one token of each sequence. On a GPU the masks are made while the logits still are."""
        for index, sequence in enumerate(running):
            sequence.fill_mask(masks.masks, index)
        steps = decide(logits, masks.allowed(len(running)), num_alternatives=self._config.num_alternatives)
        for sequence, step in zip(running, steps, strict=True):
            sequence.append(step)


def _batches(
    requests: Iterable[GenerationRequest], max_rows: int, max_tokens: int
) -> Iterator[list[GenerationRequest]]:
    """Runs of requests that fit side by side when padded to the longest; one that fits nowhere stands alone."""
    batch: list[GenerationRequest] = []
    longest = 0
    for request in requests:
        longest = max(longest, len(request.prompt_ids))
        if batch and longest * (len(batch) + 1) > max_tokens:
            yield batch
            batch, longest = [], len(request.prompt_ids)
        batch.append(request)
        if len(batch) == max_rows:
            yield batch
            batch, longest = [], 0
    if batch:
        yield batch
