"""Drafts of the next tokens as a tree, the likeliest branches first, so that one pass can check several tokens.

Proposals come from what followed in earlier records and from the text that values are copied from. A wrong proposal
costs a little time and changes nothing. Knows token ids and how they are spelled; knows no model.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from extractft.completion import GenerationRequest, Matcher
from extractft.constraints.token_masks import TokenMasks
from extractft.errors import GrammarError
from extractft.speculation.acceptance import Feature
from extractft.speculation.draft_features import draft_features
from extractft.speculation.json_cursor import INITIAL, JsonCursor
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.proposal_statistics import Context, Kind, ProposalStatistics, contexts

__all__ = ["MAX_DRAFT", "Draft", "Drafter", "min_acceptance"]

MAX_DRAFT = 64
"""Most tokens of one draft."""
_MOST_COUNTED = 4
"""Kinds of proposals are told apart by counts up to this."""
_NEAREST = 3
"""Words behind the value that was copied last that are tried as well."""
_WORDS = 32
"""Words of the text at most that are tried, wherever they stand."""
_COPIES = 2
"""Places of what is written that are gone on from at once."""
_THRESHOLD, _ROW_THRESHOLD, _HIGHEST_THRESHOLD = 0.16, 0.02, 0.5
_STEPS = 10
"""Steps in which probabilities are told apart when proposals of several sorts agree."""


def min_acceptance(rows: int) -> float:
    """Least probability to be right that makes a proposal worth a place in a pass of so many rows.

    A pass of many rows costs more for each token. To begin with, 0.12 to 0.23 came to the same within a fiftieth on
    five sets, counted at 52 ms a pass and 2.7 ms a token beyond six (`benchmarks/drafting.py`).
    """
    return min(_HIGHEST_THRESHOLD, _THRESHOLD + _ROW_THRESHOLD * rows)


class Proposal(NamedTuple):
    """A token, what sort of proposal it is, and the byte of the text that it goes on from, if it has to do with one."""

    token_id: int
    kind: Kind
    place: int | None = None


class ScoredProposal(NamedTuple):
    """A token with all sorts of proposals that agree on it, its probability, and the features behind that."""

    token_id: int
    agreed: Kind
    probability: float
    draft_features: list[Feature]


@dataclass(slots=True)
class Draft:
    """A tree of proposed tokens.

    Attributes:
        token_ids: The tokens, each behind the one that it follows.
        parents: Index of the token that each follows; -1 for those that may come next.
    """

    token_ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.token_ids)

    def path(self, best: Sequence[int]) -> list[int]:
        """The proposals that were right, as indices from the first on.

        Args:
            best: The token decided behind the record, and behind each token of the draft: one more than those.
        """
        children = {pair: index for index, pair in enumerate(zip(self.parents, self.token_ids, strict=True))}
        found: list[int] = []
        following = children.get((-1, best[0]))
        while following is not None:
            found.append(following)
            following = children.get((following, best[following + 1]))
        return found


@dataclass(slots=True)
class _Node:
    """The record as far as one proposal, or as far as it is decided.

    Attributes:
        matcher: The state of the grammar there.
        cursor: Where in the record it is.
        tail: The last two tokens.
        copied: Where in the text the value that was copied last begins and ends.
        probability: Of all proposals up to here together.
        forced: What has to come next, as far as it is known.
        proposals: For the next token, of every sort.
        scored: The same, one for each token.
    """

    matcher: Matcher
    cursor: JsonCursor
    tail: tuple[int, int]
    copied: tuple[int, int]
    probability: float
    forced: list[int]
    proposals: list[Proposal] = field(default_factory=list)
    scored: list[ScoredProposal] = field(default_factory=list)


class Drafter:
    """Writes the drafts of one row.

    Args:
        request: The row's request.
        memory: What is known from other rows.
        end_token_id: Never drafted.

    Attributes:
        disabled: Whether the grammar failed on a proposal: there are no more drafts then, since matchers of one grammar
            share what fails.
    """

    def __init__(self, request: GenerationRequest, memory: ProposalStatistics, end_token_id: int) -> None:
        self._spelling = request.grammar.spelling
        ids = request.draft_ids
        self._source = PromptLookup(ids, self._spelling, request.grammar.tokenize) if ids else None
        self._memory = memory
        self._end_token_id = end_token_id
        self._cursor, self._tail = INITIAL, (-1, -1)
        self._copied = (0, 0)
        self._starts: dict[bytes, list[tuple[int, Kind]]] = {}
        self._nodes: list[_Node] = []
        self.disabled = False

    def draft(self, matcher: Matcher, masks: TokenMasks, first_mask: int, *, limit: int, threshold: float) -> Draft:
        """Proposal the next tokens, those that are likeliest to be right together with all before them.

        The mask of each drafted token is written behind `first_mask`, which is in place already: what is allowed
        behind the token, in the order of the draft. Behind one that ends the record there is none.

        Args:
            matcher: The state of the row's grammar; it stays where it is.
            masks: Where the masks are.
            first_mask: Index of the mask of the first token.
            limit: Most tokens to propose.
            threshold: Least probability, of being right with all before it, that a token needs to be worth a place.
        """
        draft = Draft()
        self._nodes = []
        if limit <= 0 or self.disabled:
            return draft
        waiting: list[tuple[float, int, int]] = []
        try:
            self._add(
                _Node(matcher, self._cursor, self._tail, self._copied, 1.0, []), waiting, masks, first_mask, threshold
            )
            while waiting and len(draft) < limit:
                probability, parent, token_id = heapq.heappop(waiting)
                node = self._grown(self._nodes[parent], token_id, -probability)
                if node.matcher.is_finished():
                    self._nodes.append(node)
                else:
                    masks.fill(first_mask + len(self._nodes), node.matcher)
                    self._add(node, waiting, masks, first_mask + len(self._nodes), threshold)
                draft.token_ids.append(token_id)
                draft.parents.append(parent - 1)
        except GrammarError:
            self.disabled = True
        return draft

    def observe(self, token_ids: Sequence[int], path: Sequence[int]) -> None:
        """Take note of the tokens that were decided, and of which proposals were among them.

        Args:
            token_ids: The tokens since the last call.
            path: Indices in the last draft of those that were proposed.
        """
        if self._nodes:
            seen = [self._nodes[0], *(self._nodes[index + 1] for index in path)]
            for node, token_id in zip(seen, token_ids, strict=False):
                self._memory.observe((proposal.kind, proposal.token_id == token_id) for proposal in node.proposals)
                self._memory.update(node.scored, token_id)
            self._nodes = []
        for token_id in token_ids:
            behind = self._cursor.advance(self._spelling(token_id))
            self._copied = self._copied_last(self._cursor, behind, self._copied)
            self._cursor, self._tail = behind, (self._tail[1], token_id)

    def learn(self, record: Sequence[int]) -> None:
        """Remember a finished record."""
        self._memory.learn(record, self._spelling, self._source)

    def _add(
        self, node: _Node, waiting: list[tuple[float, int, int]], masks: TokenMasks, mask: int, threshold: float
    ) -> None:
        """Proposal behind a node, and put in line what is worth it."""
        index = len(self._nodes)
        node.forced = node.forced or node.matcher.forced_tokens()
        node.proposals = [
            proposal
            for proposal in self._proposals(node)
            if proposal.token_id != self._end_token_id and masks.allows(mask, proposal.token_id)
        ]
        self._nodes.append(node)
        sorts: dict[int, list[Proposal]] = {}
        for proposal in node.proposals:
            sorts.setdefault(proposal.token_id, []).append(proposal)
        node.scored = [self._scored(token_id, proposals, node) for token_id, proposals in sorts.items()]
        scale = node.probability / max(1.0, sum(scored.probability for scored in node.scored))
        for scored in node.scored:
            if scored.probability * scale >= threshold:
                heapq.heappush(waiting, (-scored.probability * scale, index, scored.token_id))

    def _scored(self, token_id: int, proposals: Sequence[Proposal], node: _Node) -> ScoredProposal:
        """Score a token: the acceptance rate of proposals of the same sorts that agreed, moved by its features."""
        if len(proposals) == 1:
            kind = proposals[0].kind
            agreed: Kind = ("agreed", kind[0], int(_STEPS * self._memory.rate(kind)))
        else:
            surest = max([self._memory.rate(proposal.kind) for proposal in proposals])
            agreed = ("agreed", *sorted({proposal.kind[0] for proposal in proposals}), int(_STEPS * surest))
        estimate = self._memory.rate(agreed)
        if self._source is None or agreed[1] == "forced":
            return ScoredProposal(token_id, agreed, estimate, [])
        place = next((proposal.place for proposal in proposals if proposal.place is not None), None)
        told = draft_features(node.cursor, self._spelling(token_id), self._source, place, node.copied[1])
        return ScoredProposal(token_id, agreed, self._memory.acceptance.probability(estimate, told), told)

    def _grown(self, node: _Node, token_id: int, probability: float) -> _Node:
        matcher = node.matcher.copy()
        matcher.consume(token_id)
        forced = node.forced[1:] if node.forced and node.forced[0] == token_id else []
        cursor = node.cursor.advance(self._spelling(token_id))
        copied = self._copied_last(node.cursor, cursor, node.copied)
        return _Node(matcher, cursor, (node.tail[1], token_id), copied, probability, forced)

    def _copied_last(self, cursor: JsonCursor, behind: JsonCursor, copied: tuple[int, int]) -> tuple[int, int]:
        """Place of the last value in the text, if it has one, once the record has moved on."""
        if self._source is not None and behind.values > cursor.values and behind.last:
            for place in self._source.find(behind.last, behind=copied[0], most=1):
                return place, place + len(behind.last)
        return copied

    def _proposals(self, node: _Node) -> list[Proposal]:
        if node.forced:
            return [Proposal(node.forced[0], ("forced",))]
        cursor = node.cursor
        known = zip(("pair", "place"), contexts(cursor, node.tail, closing=False), strict=False)
        proposals = [proposal for name, context in known for proposal in self._known(name, context)]
        if self._source is None or cursor.part != "value" or cursor.escaped:
            return proposals
        if not cursor.written:
            return proposals + self._value_starts(cursor.field, self._source, node.copied[1])
        return proposals + self._continuations(cursor, self._source, node.copied[0])

    def _known(self, name: str, context: Context, *details: int, place: int | None = None) -> list[Proposal]:
        return [
            Proposal(token_id, (name, *details, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED)), place)
            for token_id, count, others in self._memory.next_token_counts(context)
        ]

    def _value_starts(self, field: bytes, source: PromptLookup, behind: int) -> list[Proposal]:
        """First tokens of the text's words, those first that stand where values of the field began before."""
        if field not in self._starts:
            self._starts[field] = self._likely_starts(field, source)
        places = dict(self._starts[field])
        for offset in source.words_from(behind, _NEAREST):
            places.setdefault(offset, ("near",))
        for offset, _, _ in source.word_starts()[:_WORDS]:
            places.setdefault(offset, ("word",))
        follow = ((source.next_token(offset, 0), kind, offset) for offset, kind in places.items())
        return [Proposal(token_id, kind, offset) for token_id, kind, offset in follow if token_id is not None]

    def _likely_starts(self, field: bytes, source: PromptLookup) -> list[tuple[int, Kind]]:
        if not self._memory.knows_starts(field):
            return []
        places: list[tuple[int, Kind]] = [
            (offset, ("start", words, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED)))
            for offset, words, count, others in self._memory.starts(field, source.word_starts())
        ]
        return sorted(places, key=lambda place: -self._memory.rate(place[1]))[:_WORDS]

    def _continuations(self, cursor: JsonCursor, source: PromptLookup, copied: int) -> list[Proposal]:
        """Proposals from the text behind what is written of a value, and for the value's end."""
        written, field = cursor.written, cursor.field
        likely = [offset for offset, _ in self._starts.get(field, ()) if source.text.startswith(written, offset)]
        places = list(dict.fromkeys([*likely, *source.find(written, behind=copied, most=_COPIES)]))
        proposals: list[Proposal] = []
        ends = (0, 0)
        for rank, offset in enumerate(places[:_COPIES]):
            stopped, inside = self._memory.stop(field, source.word_at(offset + len(written)))
            seen = (min(stopped, _MOST_COUNTED), min(inside, _MOST_COUNTED))
            ends = ends if rank else seen
            token_id = source.next_token(offset, len(written))
            if token_id is not None:
                copying = ("copy", rank, min(len(written), 3), *seen)
                proposals.append(Proposal(token_id, copying, offset + len(written)))
        if cursor.quoted:
            place = places[0] + len(written) if places else None
            proposals += self._known(
                "close", ("close", field, len(cursor.nesting)), min(1, len(places)), *ends, place=place
            )
        return proposals
