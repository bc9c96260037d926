"""One request from its caller to its completion: its grammar's state, its tokens, its place in the batch, its end.

Knows decided tokens one at a time, in order. Knows no model and no other sequences.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from extractft.completion import Completion, FinishReason, GenerationRequest, Matcher, TokenStep
from extractft.constraints import TokenMasks
from extractft.constraints.forced_closing import ForcedCloser
from extractft.errors import GrammarError
from extractft.inference.model_runner import Segment
from extractft.speculation.draft_acceptance import Draft
from extractft.speculation.drafter import Drafter

__all__ = ["Sequence"]


class Sequence:
    """A request and all that an engine knows of it. It waits, is begun, goes on token by token, and is finished.

    A pass that fails or is interrupted may leave a sequence in any state: `begin` sets all of it anew.

    Args:
        request: The request.
        batch_size: Most sequences that its caller wants side by side.

    Attributes:
        completion: The outcome; `None` before.
        error: The exception that its caller gets instead.
        cancelled: True if nobody waits for it any more.
        alone: True if it has to run without others: a pass with it has failed, and one of its sequences is to blame.
        owner: The thread of its caller.
        waiting: True if its caller waits to be woken, or did when it was interrupted.
        steps: The decided tokens.
        record: Their ids.
        matcher: The grammar's state behind them.
        slot: Its place in the cache.
        shared: Tokens of its prompt whose keys and values are shared with others, and not in the slot.
        num_computed: Tokens from the prompt's first on whose keys and values are in the slot, or shared.
        drafter: Writes its drafts, if it has any.
        draft: Proposed for the present pass.
    """

    def __init__(self, request: GenerationRequest, batch_size: int = 1) -> None:
        self.request = request
        self.batch_size = batch_size
        self.completion: Completion | None = None
        self.error: Exception | None = None
        self.cancelled = False
        self.alone = False
        self.waiting = False
        self.owner = threading.get_ident()
        self._gate = threading.Lock()
        self._gate.acquire()
        self.matcher: Matcher | None = None
        self.drafter: Drafter | None = None

    def begin(self, end_token_id: int, *, slot: int = 0, shared: int = 0, drafter: Drafter | None = None) -> None:
        """Stand before the first token, in a place of the batch.

        Args:
            end_token_id: The token that ends a record.
            slot: Its place in the cache.
            shared: Tokens of its prompt whose keys and values are shared.
            drafter: Writes its drafts.
        """
        if not self.request.prompt_ids:
            raise ValueError("Expected a prompt, found no token.")
        self._end_token_id = end_token_id
        self.slot, self.shared, self.num_computed = slot, shared, shared
        self.steps: list[TokenStep] = []
        self.record: list[int] = []
        self.draft = Draft()
        self.drafter = drafter
        self.matcher = self.request.grammar.matcher()
        self._closer = ForcedCloser(self.request.grammar, self.request.max_new_tokens)

    @property
    def finished(self) -> bool:
        """True if there is an outcome."""
        return self.completion is not None or self.error is not None

    def outcome(self) -> Completion:
        """The completion, or the error, raised."""
        if self.error is not None:
            raise self.error
        assert self.completion is not None
        return self.completion

    @property
    def tokens_left(self) -> int:
        """Tokens that the budget still has."""
        return self.request.max_new_tokens - len(self.steps)

    @property
    def max_positions(self) -> int:
        """Positions of its slot that it may come to need."""
        return len(self.request.prompt_ids) - self.shared + self.request.max_new_tokens

    def pending(self) -> list[int]:
        """Decided tokens that the model has not seen yet."""
        prompt = self.request.prompt_ids
        if self.num_computed < len(prompt):
            return list(prompt[self.num_computed :])
        return self.record[self.num_computed - len(prompt) :]

    def segment(self, decided: list[int], *, num_logits: int) -> Segment:
        """Some decided tokens and the draft behind them, as the model takes them."""
        count = len(decided)
        parents = [count + parent if parent >= 0 else count - 1 for parent in self.draft.parents]
        if parents == list(range(count - 1, count - 1 + len(parents))):
            parents = []  # a draft without branches
        token_ids = (*decided, *self.draft.token_ids)
        return Segment(self.slot, self.num_computed, token_ids, num_logits, self.shared > 0, parents)

    def fill_mask(self, masks: TokenMasks, index: int) -> bool:
        """Write which tokens may come next; finishes the sequence, and is false, if that cannot be said."""
        return self._tried(lambda matcher: masks.fill(index, matcher))

    def append(self, step: TokenStep | None) -> None:
        """Go on by one decided token, `None` if there is none to be had; finishes the sequence if it was the last."""
        if self.finished:
            return
        if step is None:
            self.fail("The model's logits are not numbers (nan), or the grammar allows no token.")
            return
        if not self._tried(lambda matcher: matcher.consume(step.token_id)):
            return
        if step.token_id == self._end_token_id:
            self._finish("stop")
            return
        self.steps.append(step)
        self.record.append(step.token_id)
        assert self.matcher is not None
        if self.matcher.is_finished():
            self._finish("stop")
        elif not self._closer.observe(self.matcher, len(self.steps)):
            self._close()

    def fail(self, message: str) -> None:
        """Finish with an error."""
        self._finish("error", error=message)

    def release(self) -> None:
        """Let go of what only a sequence in the batch needs; it may have to wait for its caller."""
        self.matcher = self.drafter = None

    def wait(self, taken: Callable[[], bool], seconds: float) -> None:
        """Wait until someone wakes the caller, as long as `taken()`; at most so long, should nobody do so."""
        self.waiting = True
        if taken():
            self._gate.acquire(timeout=seconds)
        self.waiting = False

    def wake(self) -> None:
        """Let the caller look again. To be called by one thread at a time."""
        if self._gate.locked():
            self._gate.release()

    def _tried(self, work: Callable[[Matcher], None]) -> bool:
        """Do something with the matcher; a second time with a fresh one, since others share what fails in them."""
        assert self.matcher is not None
        try:
            work(self.matcher)
        except GrammarError:
            try:
                self.matcher = self.request.grammar.matcher()
                for token_id in self.record:
                    self.matcher.consume(token_id)
                work(self.matcher)
            except GrammarError as error:
                self.fail(str(error))
                return False
        return True

    def _close(self) -> None:
        """Put a short way to a whole record in the place of the last tokens."""
        closing = self._closer.close()
        if closing is None:
            self._finish("length")
            return
        kept, path = closing
        self.steps[kept:] = [TokenStep(token_id, 0.0, 0.0, forced=True) for token_id in path[:-1]]
        self._finish("closed")

    def _finish(self, reason: FinishReason, *, error: str | None = None) -> None:
        self.completion = Completion(tuple(self.steps), reason, error)
