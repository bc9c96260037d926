"""Lets drafts learn from answers that are known already, before the first record is asked for.

Knows tokens and grammars; knows no model.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch

from extractft.decoding.draft_memory import DraftMemory
from extractft.decoding.drafts import MAX_DRAFT, Draft, Drafter, draft_price
from extractft.decoding.experience import Experience
from extractft.decoding.protocol import GenerationRequest
from extractft.decoding.scoring import MaskBuffer
from extractft.errors import GrammarError

__all__ = ["Pass", "Rehearsal"]

_SEVERAL = 5
"""Texts that a word has to stand in to be kept."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass through a model that is never wrong would have come to.

    Attributes:
        drafter: Has not learned of it yet.
        draft: What was guessed.
        full: Whether there was no room for more.
        path: Indices of the guesses that were right.
        decided: The tokens that are known behind it and were not before.
    """

    drafter: Drafter
    draft: Draft
    full: bool
    path: list[int]
    decided: Sequence[int]


class Rehearsal:
    """Drafts one row after the other, each with its answer.

    Args:
        end_token_id: The token that ends a record.

    Attributes:
        memory: What was learned.
    """

    def __init__(self, end_token_id: int) -> None:
        self.memory = DraftMemory()
        self._end_token_id = end_token_id
        self._masks: MaskBuffer | None = None
        self._texts: Counter[bytes] = Counter()

    def learn(self, request: GenerationRequest, answer: Sequence[int]) -> None:
        """Go through a row; one that its grammar refuses teaches what comes before that place.

        Args:
            request: What would have been asked.
            answer: The tokens of its record, with or without the end token.
        """
        try:
            deque(self.passes(request, answer), maxlen=0)
        except GrammarError:
            return

    def passes(
        self, request: GenerationRequest, answer: Sequence[int], *, price: float | None = None
    ) -> Iterator[Pass]:
        """The passes that a row takes; each is learned from when the next is asked for.

        Args:
            request: What would have been asked.
            answer: The tokens of its record, with or without the end token.
            price: Least chance that makes a guess worth a place; that of a single row if `None`.

        Raises:
            GrammarError: The grammar refuses the answer.
        """
        answer = [token for token in answer if token != self._end_token_id]
        known = [*answer, self._end_token_id]
        masks, matcher = self._masks_for(request), request.grammar.matcher()
        drafter = Drafter(request, self.memory, self._end_token_id)
        price, done = draft_price(1) if price is None else price, 0
        while done < len(answer):
            masks.fill(0, matcher)
            limit = min(MAX_DRAFT, request.max_new_tokens - done - 1)
            draft = drafter.draft(matcher, masks, 0, limit=limit, price=price)
            path = draft.path(_best(draft, known[done:]))
            decided = known[done : done + len(path) + 1]
            yield Pass(drafter, draft, len(draft) >= limit, path, decided)
            record = [token for token in decided if token != self._end_token_id]
            drafter.observe(record, path)
            for token in record:
                matcher.consume(token)
            done += len(record)
        drafter.learn(answer)
        self._texts.update({request.grammar.spelling(token).strip() for token in request.draft_ids})

    def experience(self, known: Collection[bytes], spelling: Callable[[int], bytes]) -> Experience:
        """What may be kept of it.

        Args:
            known: The strings of the schema: keys, and values that it spells out.
            spelling: The bytes of a token.
        """
        common = {word for word, texts in self._texts.items() if texts >= _SEVERAL}
        return Experience.of(self.memory.tables(), known=known, common=common, spelling=spelling)

    def _masks_for(self, request: GenerationRequest) -> MaskBuffer:
        if self._masks is None:
            self._masks = MaskBuffer(MAX_DRAFT + 1, 8 * request.grammar.mask_bytes, torch.device("cpu"))
        return self._masks


def _best(draft: Draft, known: Sequence[int]) -> list[int]:
    """What such a model would have chosen behind the record, and behind each guess as if all before it were right."""
    depths: list[int] = []
    for parent in draft.parents:
        depths.append(1 if parent < 0 else depths[parent] + 1)
    return [known[min(depth, len(known) - 1)] for depth in (0, *depths)]
