"""A proposer that learns from record to record: what followed before, and where in texts values stood.

Each guess of a token comes from one or more sorts of evidence. Its probability is the rate at which such evidence was
right lately, moved by features of text and record (`AcceptanceModel`). Knows token ids and how they are spelled; knows
no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from extractft.completion import Choices, GenerationRequest, Proposal, RecordProposer
from extractft.speculation.json_cursor import INITIAL, JsonCursor
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.proposal_scoring import draft_features
from extractft.speculation.proposal_statistics import (
    NO_TOKENS,
    AgreedKind,
    Context,
    EvidenceKind,
    PairContext,
    ProposalStatistics,
    ScoredProposal,
    Source,
    close_context,
    contexts,
)

__all__ = ["LearnedProposer"]

_MOST_COUNTED = 4
"""Kinds of evidence are told apart by counts up to this."""
_NEAREST = 3
"""Words behind the value that was copied last that are tried as well."""
_WORDS = 32
"""Words of the text at most that are tried, wherever they stand."""
_COPIES = 2
"""Places of what is written that are gone on from at once."""
_STEPS = 10
"""Steps in which probabilities are told apart when evidence of several sources agrees."""
_FORCED, _NEAR, _WORD = EvidenceKind(Source.FORCED), EvidenceKind(Source.NEAR), EvidenceKind(Source.WORD)


class LearnedProposer:
    """Proposes from the grammar, the text and earlier records, and learns which of that is right.

    Attributes:
        statistics: All that it has learned.
    """

    def __init__(self) -> None:
        self.statistics = ProposalStatistics()

    def start(self, request: GenerationRequest) -> RecordProposer:
        """Begin a record."""
        return _LearnedProposals(request, self.statistics)


class _Evidence(NamedTuple):
    """A token, the kind of evidence for it, and the byte of the text that it goes on from, if it goes on from one."""

    token_id: int
    kind: EvidenceKind
    offset: int | None = None


@dataclass(slots=True)
class _State:
    """The record as far as one token.

    Attributes:
        cursor: Where in the record it is.
        tail: The last two tokens.
        copied: Where in the text the value that was copied last begins and ends.
        evidence: For the next token, of every source.
        scored: The same, one for each token.
    """

    cursor: JsonCursor = INITIAL
    tail: PairContext = NO_TOKENS
    copied: tuple[int, int] = (0, 0)
    evidence: list[_Evidence] = field(default_factory=list)
    scored: list[ScoredProposal] = field(default_factory=list)


class _LearnedProposals:
    """The guesses for one record."""

    def __init__(self, request: GenerationRequest, statistics: ProposalStatistics) -> None:
        self._spelling = request.grammar.spelling
        ids = request.draft_ids
        self._source = PromptLookup(ids, self._spelling, request.grammar.tokenize) if ids else None
        self._statistics = statistics
        self._starts: dict[bytes, list[tuple[int, EvidenceKind]]] = {}
        self._states: dict[tuple[int, ...], _State] = {(): _State()}

    def propose(self, record: tuple[int, ...], choices: Choices) -> list[Proposal]:
        """Guess the token behind `record`."""
        state = self._state(record)
        state.evidence = [found for found in self._evidence(state, choices) if choices.allows(found.token_id)]
        kinds: dict[int, list[_Evidence]] = {}
        for found in state.evidence:
            kinds.setdefault(found.token_id, []).append(found)
        state.scored = [self._scored(token_id, evidence, state) for token_id, evidence in kinds.items()]
        return [Proposal(scored.token_id, scored.probability) for scored in state.scored]

    def observe(self, record: tuple[int, ...], decided: Sequence[int]) -> None:
        """Learn which guesses were right, and forget those that were not on the way."""
        for token_id in decided:
            state = self._states.get(record)
            if state is not None and state.scored:
                self._statistics.observe((found.kind, found.token_id == token_id) for found in state.evidence)
                self._statistics.update(state.scored, token_id)
            following = (*record, token_id)
            self._state(following)
            record = following
        self._states = {record: self._state(record)}

    def finish(self, record: tuple[int, ...]) -> None:
        """Learn a whole record."""
        self._statistics.learn(record, self._spelling, self._source)

    def _state(self, record: tuple[int, ...]) -> _State:
        """The state behind a record; that of the record one token shorter is there already."""
        state = self._states.get(record)
        if state is None:
            before = self._states[record[:-1]]
            cursor = before.cursor.advance(self._spelling(record[-1]))
            copied = self._copied_last(before.cursor, cursor, before.copied)
            state = self._states[record] = _State(cursor, PairContext(before.tail.second, record[-1]), copied)
        return state

    def _scored(self, token_id: int, evidence: Sequence[_Evidence], state: _State) -> ScoredProposal:
        """Score a token: the rate at which the same kinds were right when they agreed, moved by its features."""
        rate = self._statistics.rate
        if len(evidence) == 1:
            kind = evidence[0].kind
            agreed = AgreedKind((kind.source,), int(_STEPS * rate(kind)))
        else:
            surest = max([rate(found.kind) for found in evidence])
            agreed = AgreedKind(tuple(sorted({found.kind.source for found in evidence})), int(_STEPS * surest))
        estimate = rate(agreed)
        if self._source is None or agreed.sources[0] is Source.FORCED:
            return ScoredProposal(token_id, agreed, estimate, [])
        offset = next((found.offset for found in evidence if found.offset is not None), None)
        features = draft_features(state.cursor, self._spelling(token_id), self._source, offset, state.copied[1])
        probability = self._statistics.acceptance.probability(estimate, features)
        return ScoredProposal(token_id, agreed, probability, features)

    def _copied_last(self, cursor: JsonCursor, behind: JsonCursor, copied: tuple[int, int]) -> tuple[int, int]:
        """Place of the last value in the text, if it has one, once the record has moved on."""
        if self._source is not None and behind.values > cursor.values and behind.last:
            for offset in self._source.find(behind.last, behind=copied[0], most=1):
                return offset, offset + len(behind.last)
        return copied

    def _evidence(self, state: _State, choices: Choices) -> list[_Evidence]:
        if choices.forced is not None:
            return [_Evidence(choices.forced, _FORCED)]
        cursor = state.cursor
        known = zip((Source.PAIR, Source.PLACE), contexts(cursor, state.tail), strict=False)
        evidence = [found for source, context in known for found in self._known(source, context)]
        if self._source is None or cursor.part != "value" or cursor.escaped:
            return evidence
        if not cursor.written:
            return evidence + self._value_starts(cursor.field, self._source, state.copied[1])
        return evidence + self._continuations(cursor, self._source, state.copied[0])

    def _known(self, source: Source, context: Context, *counts: int, offset: int | None = None) -> list[_Evidence]:
        evidence: list[_Evidence] = []
        for token_id, count, others in self._statistics.next_token_counts(context):
            kind = EvidenceKind(source, (*counts, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED)))
            evidence.append(_Evidence(token_id, kind, offset))
        return evidence

    def _value_starts(self, field: bytes, source: PromptLookup, behind: int) -> list[_Evidence]:
        """First tokens of the text's words, those first that stand where values of the field began before."""
        if field not in self._starts:
            self._starts[field] = self._likely_starts(field, source)
        kinds = dict(self._starts[field])
        for offset in source.words_from(behind, _NEAREST):
            kinds.setdefault(offset, _NEAR)
        for offset, _, _ in source.word_starts()[:_WORDS]:
            kinds.setdefault(offset, _WORD)
        follow = ((source.next_token(offset, 0), kind, offset) for offset, kind in kinds.items())
        return [_Evidence(token_id, kind, offset) for token_id, kind, offset in follow if token_id is not None]

    def _likely_starts(self, field: bytes, source: PromptLookup) -> list[tuple[int, EvidenceKind]]:
        if not self._statistics.knows_starts(field):
            return []
        starts: list[tuple[int, EvidenceKind]] = [
            (offset, EvidenceKind(Source.START, (words, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED))))
            for offset, words, count, others in self._statistics.starts(field, source.word_starts())
        ]
        return sorted(starts, key=lambda start: -self._statistics.rate(start[1]))[:_WORDS]

    def _continuations(self, cursor: JsonCursor, source: PromptLookup, copied: int) -> list[_Evidence]:
        """Evidence from the text behind what is written of a value, and for the value's end."""
        written, field = cursor.written, cursor.field
        likely = [offset for offset, _ in self._starts.get(field, ()) if source.text.startswith(written, offset)]
        offsets = list(dict.fromkeys([*likely, *source.find(written, behind=copied, most=_COPIES)]))
        evidence: list[_Evidence] = []
        ends = (0, 0)
        for rank, offset in enumerate(offsets[:_COPIES]):
            stopped, inside = self._statistics.stop(field, source.word_at(offset + len(written)))
            seen = (min(stopped, _MOST_COUNTED), min(inside, _MOST_COUNTED))
            ends = ends if rank else seen
            token_id = source.next_token(offset, len(written))
            if token_id is not None:
                copying = EvidenceKind(Source.COPY, (rank, min(len(written), 3), *seen))
                evidence.append(_Evidence(token_id, copying, offset + len(written)))
        closing = close_context(cursor)
        if closing is not None:
            end = offsets[0] + len(written) if offsets else None
            evidence += self._known(Source.CLOSE, closing, min(1, len(offsets)), *ends, offset=end)
        return evidence
