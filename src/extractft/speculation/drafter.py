"""Drafts grown from a proposer's guesses, the likeliest branches first, so that one pass can check several tokens.

A wrong guess costs a little time and changes nothing. Knows token ids, matchers and masks; knows no model.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from extractft.completion import GenerationRequest, Matcher, Proposer
from extractft.constraints import TokenMasks
from extractft.errors import GrammarError
from extractft.speculation.draft_acceptance import Draft

__all__ = ["Drafter"]


class _Node:
    """The record as far as one proposal, or as far as it is decided; the proposer's `Choices` there.

    Attributes:
        record: The tokens.
        matcher: The state of the grammar behind them.
        probability: Of all proposals up to here together.
    """

    __slots__ = ("_end_token_id", "_forced", "_mask", "_masks", "matcher", "probability", "record")

    def __init__(
        self, record: tuple[int, ...], matcher: Matcher, probability: float, forced: list[int], end_token_id: int
    ) -> None:
        self.record = record
        self.matcher = matcher
        self.probability = probability
        self._forced: list[int] | None = forced or None
        self._end_token_id = end_token_id
        self._masks: TokenMasks | None = None
        self._mask = 0

    @property
    def forced(self) -> int | None:
        """The token that has to come next, asked of the grammar once."""
        if self._forced is None:
            self._forced = self.matcher.forced_tokens()
        return self._forced[0] if self._forced else None

    def allows(self, token_id: int) -> bool:
        """True if the mask allows the token and it does not end the record."""
        assert self._masks is not None
        inside = 0 <= token_id < self._masks.vocab_size and token_id != self._end_token_id
        return inside and self._masks.allows(self._mask, token_id)

    def use_mask(self, masks: TokenMasks, mask: int) -> None:
        """Look up what is allowed in this mask."""
        self._masks, self._mask = masks, mask

    def child(self, token_id: int, probability: float) -> _Node:
        """The node behind one more token."""
        matcher = self.matcher.copy()
        matcher.consume(token_id)
        known = self._forced or ()
        forced = list(known[1:]) if known and known[0] == token_id else []
        return _Node((*self.record, token_id), matcher, probability, forced, self._end_token_id)


class Drafter:
    """Writes the drafts of one sequence.

    Args:
        request: The sequence's request.
        proposer: Guesses the tokens.
        end_token_id: Never drafted.

    Attributes:
        disabled: True once the grammar failed on a proposal: there are no more drafts then, since matchers of one
            grammar share what fails.
    """

    def __init__(self, request: GenerationRequest, proposer: Proposer, end_token_id: int) -> None:
        self.disabled = False
        self._proposals = proposer.start(request)
        self._record: tuple[int, ...] = ()
        self._end_token_id = end_token_id

    def draft(self, matcher: Matcher, masks: TokenMasks, first_mask: int, *, limit: int, threshold: float) -> Draft:
        """Propose the next tokens, those that are likeliest to be right together with all before them.

        The mask of each drafted token is written behind `first_mask`, which is in place already: what is allowed
        behind the token, in the order of the draft. Behind one that ends the record there is none.

        Args:
            matcher: The state of the sequence's grammar; it stays where it is.
            masks: Where the masks are.
            first_mask: Index of the mask of the first token.
            limit: Most tokens to propose.
            threshold: Least probability, of being right with all before it, that a token needs to be worth a place.
        """
        draft = Draft()
        if limit <= 0 or self.disabled:
            return draft
        nodes = [_Node(self._record, matcher, 1.0, [], self._end_token_id)]
        waiting: list[tuple[float, int, int]] = []  # (-probability, index of the node, token)
        try:
            nodes[0].use_mask(masks, first_mask)
            self._propose(nodes, waiting, threshold)
            while waiting and len(draft) < limit:
                probability, parent, token_id = heapq.heappop(waiting)
                node = nodes[parent].child(token_id, -probability)
                mask = first_mask + len(nodes)
                nodes.append(node)
                if not node.matcher.is_finished():
                    masks.fill(mask, node.matcher)
                    node.use_mask(masks, mask)
                    self._propose(nodes, waiting, threshold)
                draft.token_ids.append(token_id)
                draft.parents.append(parent - 1)
        except GrammarError:
            self.disabled = True
        return draft

    def observe(self, decided: Sequence[int]) -> None:
        """Tell the proposer which tokens were decided since the last call."""
        self._proposals.observe(self._record, decided)
        self._record += tuple(decided)

    def finish(self) -> None:
        """Tell the proposer that the record is whole."""
        self._proposals.finish(self._record)

    def _propose(self, nodes: Sequence[_Node], waiting: list[tuple[float, int, int]], threshold: float) -> None:
        """Ask for proposals behind the last node, and put in line what is worth it."""
        node = nodes[-1]
        found: dict[int, float] = {}
        for proposal in self._proposals.propose(node.record, node):
            if node.allows(proposal.token_id):
                found.setdefault(proposal.token_id, proposal.probability)
        scale = node.probability / max(1.0, sum(found.values()))
        for token_id, probability in found.items():
            if probability * scale >= threshold:
                heapq.heappush(waiting, (-probability * scale, len(nodes) - 1, token_id))
