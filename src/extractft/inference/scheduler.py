"""A batch that rows join and leave while it runs, each going on by as many tokens as its draft was right about.

Knows rows, drafts and how much memory they may take. Knows no threads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from extractft.completion import Completion, GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints.token_masks import TokenMasks
from extractft.inference.decoding_row import Row
from extractft.inference.model_runner import ModelRunner, Segment
from extractft.inference.sampler import Sampler, UnpackedMasks
from extractft.processes import raised_by_signal
from extractft.speculation.drafter import MAX_DRAFT, Draft, Drafter, min_acceptance
from extractft.speculation.proposal_statistics import ProposalStatistics

__all__ = ["Scheduler", "Statistics", "Ticket"]

_DRAFTED_TOKENS = 256
"""Drafted tokens in one pass at most: each takes memory for the logits of a whole vocabulary."""
_PROMPT_TOKENS = 512
"""Tokens of prompts in one pass; rows that are decoding go on beside them."""


class Ticket:
    """A request that waits for its completion.

    Args:
        request: The request.
        batch_size: Most rows that its caller wants side by side.

    Attributes:
        alone: Whether it has to run without others: a pass with it has failed, and one of its rows is to blame.
        waiting: Whether its caller waits to be woken, or had been when it was interrupted.
    """

    def __init__(self, request: GenerationRequest, batch_size: int) -> None:
        self.request = request
        self.batch_size = batch_size
        self.completion: Completion | None = None
        self.error: Exception | None = None
        self.cancelled = False
        self.alone = False
        self.waiting = False
        self._gate = threading.Lock()
        self._gate.acquire()

    @property
    def done(self) -> bool:
        """True if there is an outcome."""
        return self.completion is not None or self.error is not None

    def wait(self, taken: Callable[[], bool], seconds: float) -> None:
        """Wait until someone wakes the ticket's caller, as long as `taken()`; at most so long, should nobody do so."""
        self.waiting = True
        if taken():
            self._gate.acquire(timeout=seconds)
        self.waiting = False

    def wake(self) -> None:
        """Let the caller look again. To be called by one thread at a time."""
        if self._gate.locked():
            self._gate.release()


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


class _Live:
    """A row in the batch.

    Attributes:
        record: The ids of its decided tokens.
        done: How many of its tokens have their keys and values in the slot, or in the shared prefix.
        draft: What was proposed for the present pass.
    """

    def __init__(
        self, ticket: Ticket, slot: int, shared: int, memory: ProposalStatistics | None, end_token_id: int
    ) -> None:
        if not ticket.request.prompt_ids:
            raise ValueError("Expected a prompt, found no token.")
        self.ticket = ticket
        self.slot = slot
        self.row = Row(ticket.request, end_token_id)
        self.drafter = None if memory is None else Drafter(ticket.request, memory, end_token_id)
        self.record: list[int] = []
        self.done = shared
        self.shared = shared
        self.draft = Draft()

    def pending(self) -> Sequence[int]:
        """Decided tokens that the model has not seen yet."""
        prompt = self.ticket.request.prompt_ids
        if self.done < len(prompt):
            return prompt[self.done :]
        return self.record[self.done - len(prompt) :]

    def segment(self, decided: Sequence[int]) -> Segment:
        """Some decided tokens and the draft behind them."""
        count = len(decided)
        parents = [count + parent if parent >= 0 else count - 1 for parent in self.draft.parents]
        if parents == list(range(count - 1, count - 1 + len(parents))):
            parents = []  # a draft without branches
        ids = (*decided, *self.draft.token_ids)
        return Segment(self.slot, self.done, ids, 1 + len(self.draft), self.shared > 0, parents)

    def learn(self) -> None:
        """Let later drafts know of this record."""
        if self.drafter is not None:
            self.drafter.learn(self.record)

    def places(self) -> int:
        """Positions of its slot that it may come to need."""
        return _places(self.ticket.request, self.shared)


def _places(request: GenerationRequest, shared: int) -> int:
    return len(request.prompt_ids) - shared + request.max_new_tokens


class Scheduler:
    """Rows side by side.

    Args:
        model: Runs them.
        end_token_id: The token that ends a record.
        config: Rows of a batch and alternatives to report.
        max_tokens: Rows times the places that the longest of them may come to need; a row that fits nowhere runs
            alone.
        memory: What drafts know and learn; `None` not to proposal at all.
    """

    def __init__(
        self,
        model: ModelRunner,
        *,
        end_token_id: int,
        config: GenerationConfig,
        max_tokens: int,
        memory: ProposalStatistics | None,
    ) -> None:
        self.model = model
        self.statistics = Statistics()
        self._end_token_id = end_token_id
        self._config = config
        self._max_tokens = max_tokens
        self._memory = memory
        self._rows: list[_Live] = []
        self._vocab_size: int = model.model.get_output_embeddings().weight.shape[0]  # type: ignore[no-untyped-call]
        self._masks: UnpackedMasks | None = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def tickets(self) -> list[Ticket]:
        """The tickets of the rows."""
        return [live.ticket for live in self._rows]

    def admit(self, waiting: deque[Ticket]) -> None:
        """Take tickets from the front of the line as long as there is room."""
        while waiting:
            ticket = waiting[0]
            shared = len(self.model.prefix_ids) if self.model.begins_with_prefix(ticket.request.prompt_ids) else 0
            taken = {live.slot for live in self._rows}
            slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
            if not self._fits(ticket, shared, slots=max(slot, *taken, 0) + 1):
                break
            waiting.popleft()
            try:
                self._rows.append(_Live(ticket, slot, shared, self._memory, self._end_token_id))
            except Exception as error:
                if raised_by_signal(error):
                    raise
                ticket.error = error

    def _fits(self, ticket: Ticket, shared: int, *, slots: int) -> bool:
        if not self._rows:
            return True
        if ticket.alone or any(live.ticket.alone for live in self._rows):
            return False
        longest = max(_places(ticket.request, shared), *(live.places() for live in self._rows))
        enough = len(self._rows) < max(self._config.batch_size, ticket.batch_size)
        return enough and slots * longest <= self._max_tokens

    def drop(self, tickets: Iterable[Ticket] | None = None) -> list[Ticket]:
        """Take rows out before their end, all of them if `None`; returns their tickets."""
        chosen = None if tickets is None else {id(ticket) for ticket in tickets}
        gone = [live for live in self._rows if chosen is None or id(live.ticket) in chosen]
        self._leave(gone, wipe=True)
        return [live.ticket for live in gone]

    def abandon(self) -> list[Ticket]:
        """Take all rows out, whatever state an interrupted or failed pass has left them in; returns their tickets."""
        tickets = self.tickets
        self._rows = []
        self._masks = None
        self.model.abandon_pass()
        return tickets

    def drop_cancelled(self) -> None:
        """Take out rows that nobody waits for any more."""
        if any(live.ticket.cancelled for live in self._rows):
            self.drop([live.ticket for live in self._rows if live.ticket.cancelled])

    def step(self) -> int:
        """One pass through the model; how many rows ended in it. Their tickets have their completions."""
        if not self._rows:
            return 0
        started = time.thread_time()
        segments, deciding = self._plan()
        self.statistics.draft_seconds += time.thread_time() - started
        if segments:
            ends = [live.done - live.shared for live in self._rows]
            ends += [segment.start + len(segment.token_ids) - live.shared for live, segment in segments]
            most = max(live.places() for live in self._rows)
            self.model.store.reserve(max(live.slot for live in self._rows) + 1, max(ends), most)
            logits = self.model.forward([segment for _, segment in segments])
            self._count([segment for _, segment in segments])
            for live, segment in segments:
                live.done += len(segment.token_ids) - len(live.draft)
            if deciding:
                assert self._masks is not None
                self._decide(deciding, Sampler(logits, self._masks.allowed(len(logits))))
        ended = [live for live in self._rows if live.row.completion is not None]
        for live in ended:
            if live.row.finished().finish_reason == "stop":
                started = time.thread_time()
                live.learn()
                self.statistics.draft_seconds += time.thread_time() - started
            live.ticket.completion = live.row.finished()
        self._leave(ended, wipe=False)
        return len(ended)

    def _plan(self) -> tuple[list[tuple[_Live, Segment]], list[_Live]]:
        """Choose the segments of the next pass and the rows that decide tokens in it; fill their masks, in order."""
        masks = self._masks_for(len(self._rows))
        threshold = min_acceptance(len(self._rows))
        chunks = self._chunks()
        drafting, drafted = sum(whole for _, _, whole in chunks), _DRAFTED_TOKENS
        used = 0
        segments: list[tuple[_Live, Segment]] = []
        deciding: list[_Live] = []
        for live, chunk, whole in chunks:
            if not whole:
                segments.append((live, Segment(live.slot, live.done, chunk, 0, live.shared > 0)))
                continue
            drafting -= 1
            if not live.row.fill(masks, used):
                continue
            if live.drafter is not None:
                # A fair share, and what others left of theirs.
                limit = min(MAX_DRAFT, live.row.tokens_left - 1, drafted // (drafting + 1))
                live.draft = live.drafter.draft(live.row.matcher, masks, used, limit=limit, threshold=threshold)
                drafted -= len(live.draft)
            used += 1 + len(live.draft)
            segments.append((live, live.segment(chunk)))
            deciding.append(live)
        return segments, deciding

    def _chunks(self) -> list[tuple[_Live, Sequence[int], bool]]:
        """The tokens of each row that go into the next pass, and whether they are all that it waits for."""
        room = _PROMPT_TOKENS
        chunks: list[tuple[_Live, Sequence[int], bool]] = []
        for live in self._rows:
            live.draft = Draft()
            pending = live.pending()
            chunk = pending if live.record else pending[:room]
            room -= 0 if live.record else len(chunk)
            if chunk:
                chunks.append((live, chunk, len(chunk) == len(pending)))
        return chunks

    def _masks_for(self, rows: int) -> TokenMasks:
        needed = rows + min(rows * MAX_DRAFT, _DRAFTED_TOKENS)
        if self._masks is None or not needed <= self._masks.masks.rows <= 4 * needed:
            self._masks = UnpackedMasks(TokenMasks(needed, self._vocab_size), self.model.device)
        return self._masks.masks

    def _decide(self, deciding: Sequence[_Live], decisions: Sampler) -> None:
        """Keep of each draft what the model would have chosen, and the choice behind it."""
        kept: list[int] = []
        paths: list[list[int]] = []
        first = 0
        for live in deciding:
            path = live.draft.path(decisions.best[first : first + len(live.draft) + 1])
            # The grammar may be at its end behind the draft: there is no mask for what follows then.
            kept.extend([first, *(first + 1 + index for index in path)])
            paths.append(path)
            first += len(live.draft) + 1
        self._close_ranks(deciding, paths)
        steps = iter(decisions.steps(kept, num_alternatives=self._config.num_alternatives))
        for live, path in zip(deciding, paths, strict=True):
            before = len(live.record)
            for _ in range(len(path) + 1):
                step = next(steps)
                if live.row.completion is None:
                    live.row.take(step)
                    live.record.extend([step.token_id] if step is not None else [])
            live.done += len(path)
            if live.drafter is not None:
                started = time.thread_time()
                live.drafter.observe(live.record[before:], path)
                self.statistics.draft_seconds += time.thread_time() - started
            self.statistics.drafted += len(live.draft)
            self.statistics.accepted += len(path)

    def _close_ranks(self, deciding: Sequence[_Live], paths: Sequence[Sequence[int]]) -> None:
        """Move the keys and values of proposals that were right to where those of wrong ones stand."""
        moves = [
            (live.slot, live.done - live.shared + index, live.done - live.shared + place)
            for live, path in zip(deciding, paths, strict=True)
            for place, index in enumerate(path)
            if place != index
        ]
        if moves:
            device = self.model.device
            self.model.store.move(*(torch.tensor(column, device=device) for column in zip(*moves, strict=True)))

    def _leave(self, rows: Sequence[_Live], *, wipe: bool) -> None:
        for live in rows:
            self._rows.remove(live)
            if wipe or live.row.finished().finish_reason == "error":
                self.model.store.wipe(live.slot)
        if not self._rows:
            self.model.store.clear()

    def _count(self, segments: Sequence[Segment]) -> None:
        self.statistics.passes += 1
        self.statistics.tokens += sum(len(segment.token_ids) for segment in segments)
