"""A proposer that copies: what is written of a value, read on in the text, and what the grammar forces.

Knows token ids and how they are spelled; learns nothing, and knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from extractft.completion import Choices, GenerationRequest, Proposal, RecordProposer
from extractft.speculation.json_cursor import INITIAL, JsonCursor
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.simple_proposers import FORCED_PROBABILITY

__all__ = ["PromptLookupProposer"]

_COPY_PROBABILITY = 0.7
"""Probability that a value goes on as the text does."""
_NEXT_WORD_PROBABILITY = 0.2
"""Probability that a value begins with the word behind the last one that was copied."""


class PromptLookupProposer:
    """Proposes what the grammar forces and what the text goes on with, and learns nothing."""

    def start(self, request: GenerationRequest) -> RecordProposer:
        """Begin a record."""
        return _PromptLookupProposals(request)


@dataclass(frozen=True, slots=True)
class _State:
    """The record as far as one token, and where in the text the value that was copied last ends."""

    cursor: JsonCursor = INITIAL
    copied: int = 0


class _PromptLookupProposals:
    def __init__(self, request: GenerationRequest) -> None:
        self._spelling = request.grammar.spelling
        self._text = PromptLookup(request.draft_ids, self._spelling, request.grammar.tokenize)
        self._states: dict[tuple[int, ...], _State] = {(): _State()}

    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        state = self._state(record)
        if choices.forced is not None:
            return [Proposal(choices.forced, FORCED_PROBABILITY)]
        cursor = state.cursor
        if cursor.part != "value" or cursor.escaped:
            return []
        if not cursor.written:
            offsets, probability = self._text.words_from(state.copied, 1), _NEXT_WORD_PROBABILITY
        else:
            offsets, probability = self._text.find(cursor.written, behind=state.copied, most=1), _COPY_PROBABILITY
        token_ids = [self._text.next_token(offset, len(cursor.written)) for offset in offsets]
        return [Proposal(token_id, probability) for token_id in token_ids if token_id is not None]

    def observe(self, record: tuple[int, ...], decided: Sequence[int]) -> None:
        for token_id in decided:
            record = (*record, token_id)
            self._state(record)
        self._states = {record: self._state(record)}

    def finish(self, record: tuple[int, ...]) -> None:
        pass

    def _state(self, record: tuple[int, ...]) -> _State:
        """The state behind a record; that of the record one token shorter is there already."""
        state = self._states.get(record)
        if state is None:
            before = self._states[record[:-1]]
            cursor, copied = before.cursor.advance(self._spelling(record[-1])), before.copied
            if cursor.values > before.cursor.values and cursor.last:
                for offset in self._text.find(cursor.last, behind=copied, most=1):
                    copied = offset + len(cursor.last)
            state = self._states[record] = _State(cursor, copied)
        return state
