"""One request on its way: its grammar's state, its tokens, and when it ends.

Knows decided tokens one at a time, in order. Knows no model and no other rows.
"""

from __future__ import annotations

from collections.abc import Callable

from extractft.completion import Completion, FinishReason, GenerationRequest, Matcher, TokenStep
from extractft.constraints.forced_closing import ForcedCloser
from extractft.constraints.token_masks import TokenMasks
from extractft.errors import GrammarError

__all__ = ["Row"]


class Row:
    """A request and what has been decided for it.

    Args:
        request: The request.
        end_token_id: The token that ends a record.

    Attributes:
        request: The request.
        steps: The decided tokens.
        matcher: The grammar's state behind them.
        completion: The outcome; `None` while the row goes on.
    """

    def __init__(self, request: GenerationRequest, end_token_id: int) -> None:
        self.request = request
        self.steps: list[TokenStep] = []
        self.completion: Completion | None = None
        self.matcher: Matcher = request.grammar.matcher()
        self._plan = ForcedCloser(request.grammar, request.max_new_tokens)
        self._end_token_id = end_token_id

    @property
    def tokens_left(self) -> int:
        """Tokens that the budget still has."""
        return self.request.max_new_tokens - len(self.steps)

    def take(self, step: TokenStep | None) -> None:
        """Go on by one decided token, `None` if there is none to be had; ends the row if it was the last."""
        if self.completion is not None:
            return
        if step is None:
            self.fail("The model's logits are not numbers (nan), or the grammar allows no token.")
            return
        if not self._tried(lambda: self.matcher.consume(step.token_id)):
            return
        if step.token_id == self._end_token_id:
            self._end("stop")
            return
        self.steps.append(step)
        if self.matcher.is_finished():
            self._end("stop")
        elif not self._plan.observe(self.matcher, len(self.steps)):
            self._close()

    def fill(self, masks: TokenMasks, index: int) -> bool:
        """Write which tokens may come next; ends the row, and is false, if that cannot be said."""
        return self._tried(lambda: masks.fill(index, self.matcher))

    def fail(self, message: str) -> None:
        """End the row with an error."""
        self._end("error", error=message)

    def finished(self) -> Completion:
        """The outcome of a row that has ended."""
        assert self.completion is not None
        return self.completion

    def _tried(self, work: Callable[[], None]) -> bool:
        """Do something with the matcher; a second time with a fresh one, since others share what fails in them."""
        try:
            work()
        except GrammarError:
            try:
                self.matcher = self.request.grammar.matcher()
                for step in self.steps:
                    self.matcher.consume(step.token_id)
                work()
            except GrammarError as error:
                self.fail(str(error))
                return False
        return True

    def _close(self) -> None:
        closing = self._plan.close()
        if closing is None:
            self._end("length")
            return
        kept, path = closing
        self.steps[kept:] = [TokenStep(token_id, 0.0, 0.0, forced=True) for token_id in path[:-1]]
        self._end("closed")

    def _end(self, reason: FinishReason, *, error: str | None = None) -> None:
        self.completion = Completion(tuple(self.steps), reason, error)
