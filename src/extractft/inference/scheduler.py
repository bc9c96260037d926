"""A batch that sequences join and leave while it runs, each going on by as many tokens as its draft was right about.

Knows sequences, drafts and how much memory they may take. Knows no threads.
"""

from __future__ import annotations

import time
from collections import abc, deque
from dataclasses import dataclass

import torch

from extractft.completion import Proposer
from extractft.config import GenerationConfig
from extractft.constraints import TokenMasks
from extractft.inference.masked_sampler import Sampler, UnpackedMasks
from extractft.inference.model_runner import ModelRunner, Segment
from extractft.inference.sequence import Sequence
from extractft.processes import raised_by_signal
from extractft.speculation.draft_acceptance import MAX_DRAFT, Draft, min_acceptance
from extractft.speculation.drafter import Drafter

__all__ = ["Scheduler", "Statistics"]

_DRAFTED_TOKENS = 256
"""Drafted tokens in one pass at most: each takes memory for the logits of a whole vocabulary."""
_PROMPT_TOKENS = 512
"""Tokens of prompts in one pass; sequences that are decoding go on beside them."""


@dataclass(slots=True)
class Statistics:
    """Counts of what an engine has done so far.

    Attributes:
        passes: Passes through the model.
        tokens: Tokens in them.
        drafted: Drafted tokens in them.
        accepted: Drafted tokens that were right.
        draft_seconds: Processor time spent on masks and drafts, and on what they learn.
    """

    passes: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    draft_seconds: float = 0.0


class Scheduler:
    """Sequences side by side.

    Args:
        model: Runs them.
        end_token_id: The token that ends a record.
        config: Sequences of a batch and alternatives to report.
        max_tokens: Sequences times the positions that the longest of them may come to need; one that fits nowhere runs
            alone.
        proposer: Proposes the tokens that drafts are made of.
    """

    def __init__(
        self, model: ModelRunner, *, end_token_id: int, config: GenerationConfig, max_tokens: int, proposer: Proposer
    ) -> None:
        self.model = model
        self.statistics = Statistics()
        self._end_token_id = end_token_id
        self._config = config
        self._max_tokens = max_tokens
        self._proposer = proposer
        self._running: list[Sequence] = []
        self._vocab_size: int = model.model.get_output_embeddings().weight.shape[0]  # type: ignore[no-untyped-call]
        self._masks: UnpackedMasks | None = None

    def __len__(self) -> int:
        return len(self._running)

    def use_proposer(self, proposer: Proposer) -> None:
        """Guess by another proposer from now on; sequences that run keep theirs."""
        self._proposer = proposer

    @property
    def running(self) -> list[Sequence]:
        """The sequences in the batch."""
        return list(self._running)

    def admit(self, waiting: deque[Sequence]) -> None:
        """Take sequences from the front of the line as long as there is room."""
        while waiting:
            sequence = waiting[0]
            prompt = sequence.request.prompt_ids
            shared = len(self.model.prefix_ids) if self.model.begins_with_prefix(prompt) else 0
            taken = {running.slot for running in self._running}
            slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
            if not self._fits(sequence, shared, slots=max(slot, *taken, 0) + 1):
                break
            waiting.popleft()
            try:
                drafter = Drafter(sequence.request, self._proposer, self._end_token_id)
                sequence.begin(self._end_token_id, slot=slot, shared=shared, drafter=drafter)
                self._running.append(sequence)
            except Exception as error:
                if raised_by_signal(error):
                    raise
                sequence.error = error

    def _fits(self, sequence: Sequence, shared: int, *, slots: int) -> bool:
        if not self._running:
            return True
        if sequence.alone or any(running.alone for running in self._running):
            return False
        needed = len(sequence.request.prompt_ids) - shared + sequence.request.max_new_tokens
        longest = max(needed, *(running.max_positions for running in self._running))
        enough = len(self._running) < max(self._config.batch_size, sequence.batch_size)
        return enough and slots * longest <= self._max_tokens

    def abandon(self) -> list[Sequence]:
        """Take all sequences out, whatever state an interrupted or failed pass has left them in.

        Returns:
            Those that are not finished.
        """
        unfinished = [sequence for sequence in self._running if not sequence.finished]
        self._running = []
        self._masks = None
        self.model.abandon_pass()
        return unfinished

    def drop_cancelled(self) -> None:
        """Take out sequences that nobody waits for any more."""
        self._leave([sequence for sequence in self._running if sequence.cancelled], wipe=True)

    def step(self) -> int:
        """One pass through the model; how many sequences finished in it."""
        if not self._running:
            return 0
        started = time.thread_time()
        segments, deciding = self._plan()
        self.statistics.draft_seconds += time.thread_time() - started
        if segments:
            self._reserve(segments)
            logits = self.model.forward([segment for _, segment in segments])
            self.statistics.passes += 1
            for sequence, segment in segments:
                self.statistics.tokens += len(segment.token_ids)
                sequence.num_computed += len(segment.token_ids) - len(sequence.draft)
            if deciding:
                assert self._masks is not None
                self._decide(deciding, Sampler(logits, self._masks.allowed(len(logits))))
        finished = [sequence for sequence in self._running if sequence.finished]
        for sequence in finished:
            if sequence.drafter is not None and sequence.outcome().finish_reason == "stop":
                started = time.thread_time()
                sequence.drafter.finish()
                self.statistics.draft_seconds += time.thread_time() - started
        self._leave(finished, wipe=False)
        return len(finished)

    def _plan(self) -> tuple[list[tuple[Sequence, Segment]], list[Sequence]]:
        """Choose the segments of the next pass and the sequences that decide in it; fill their masks, in order."""
        masks = self._masks_for(len(self._running))
        threshold = min_acceptance(len(self._running))
        chunks = self._chunks()
        drafting, drafted = sum(whole for _, _, whole in chunks), _DRAFTED_TOKENS
        used = 0
        segments: list[tuple[Sequence, Segment]] = []
        deciding: list[Sequence] = []
        for sequence, chunk, whole in chunks:
            if not whole:
                segments.append((sequence, sequence.segment(chunk, num_logits=0)))
                continue
            drafting -= 1
            if not sequence.fill_mask(masks, used):
                continue
            if sequence.drafter is not None and sequence.matcher is not None:
                # A fair share, and what others left of theirs.
                limit = min(MAX_DRAFT, sequence.tokens_left - 1, drafted // (drafting + 1))
                draft = sequence.drafter.draft(sequence.matcher, masks, used, limit=limit, threshold=threshold)
                sequence.draft = draft
                drafted -= len(draft)
            used += 1 + len(sequence.draft)
            segments.append((sequence, sequence.segment(chunk, num_logits=1 + len(sequence.draft))))
            deciding.append(sequence)
        return segments, deciding

    def _chunks(self) -> list[tuple[Sequence, list[int], bool]]:
        """The tokens of each sequence that go into the next pass, and whether they are all that it waits for."""
        room = _PROMPT_TOKENS
        chunks: list[tuple[Sequence, list[int], bool]] = []
        for sequence in self._running:
            sequence.draft = Draft()
            pending = sequence.pending()
            chunk = pending if sequence.record else pending[:room]
            room -= 0 if sequence.record else len(chunk)
            if chunk:
                chunks.append((sequence, chunk, len(chunk) == len(pending)))
        return chunks

    def _masks_for(self, rows: int) -> TokenMasks:
        needed = rows + min(rows * MAX_DRAFT, _DRAFTED_TOKENS)
        if self._masks is None or not needed <= self._masks.masks.rows <= 4 * needed:
            self._masks = UnpackedMasks(TokenMasks(needed, self._vocab_size), self.model.device)
        return self._masks.masks

    def _reserve(self, segments: abc.Sequence[tuple[Sequence, Segment]]) -> None:
        """Let the cache grow to hold what is computed and what this pass adds."""
        ends = [sequence.num_computed - sequence.shared for sequence in self._running]
        ends += [segment.start + len(segment.token_ids) - sequence.shared for sequence, segment in segments]
        slots = max(sequence.slot for sequence in self._running) + 1
        self.model.cache.reserve(slots, max(ends), max(sequence.max_positions for sequence in self._running))

    def _decide(self, deciding: abc.Sequence[Sequence], sampler: Sampler) -> None:
        """Accept of each draft what the model would have chosen, and take the choice behind it."""
        kept: list[int] = []
        paths: list[list[int]] = []
        first = 0
        for sequence in deciding:
            path = sequence.draft.accepted(sampler.best[first : first + len(sequence.draft) + 1])
            # The grammar may be at its end behind the draft: there is no mask for what follows then.
            kept.extend([first, *(first + 1 + index for index in path)])
            paths.append(path)
            first += len(sequence.draft) + 1
        self._close_ranks(deciding, paths)
        steps = iter(sampler.steps(kept, num_alternatives=self._config.num_alternatives))
        for sequence, path in zip(deciding, paths, strict=True):
            before = len(sequence.record)
            for _ in range(len(path) + 1):
                sequence.append(next(steps))
            sequence.num_computed += len(path)
            self.statistics.drafted += len(sequence.draft)
            self.statistics.accepted += len(path)
            if sequence.drafter is not None:
                started = time.thread_time()
                sequence.drafter.observe(sequence.record[before:])
                self.statistics.draft_seconds += time.thread_time() - started

    def _close_ranks(self, deciding: abc.Sequence[Sequence], paths: abc.Sequence[abc.Sequence[int]]) -> None:
        """Move the keys and values of accepted proposals to where those of wrong ones stand."""
        moves: list[tuple[int, int, int]] = []  # slot, from, to
        for sequence, path in zip(deciding, paths, strict=True):
            first = sequence.num_computed - sequence.shared
            moves += [(sequence.slot, first + index, first + i) for i, index in enumerate(path) if i != index]
        if moves:
            device = self.model.device
            self.model.cache.move(*(torch.tensor(column, device=device) for column in zip(*moves, strict=True)))

    def _leave(self, leaving: abc.Sequence[Sequence], *, wipe: bool) -> None:
        for sequence in leaving:
            self._running.remove(sequence)
            if wipe or sequence.completion is None or sequence.completion.finish_reason == "error":
                self.model.cache.wipe(sequence.slot)
            sequence.release()
        if not self._running:
            self.model.cache.clear()
