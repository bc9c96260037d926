"""Guesses what comes next, so that one pass can check several tokens: a tree of them, the likeliest branches first.

What is guessed from: what followed in records before, and the text that values are copied from. A wrong guess costs a
little time and changes nothing. Knows token ids and how they are spelled; knows no model.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from extractft.decoding.copying import CopySource
from extractft.decoding.draft_memory import Context, DraftMemory, Kind, contexts
from extractft.decoding.protocol import GenerationRequest, Matcher
from extractft.decoding.scoring import MaskBuffer
from extractft.decoding.standing import START, Standing
from extractft.errors import GrammarError

__all__ = ["MAX_DRAFT", "Draft", "Drafter"]

MAX_DRAFT = 24
"""Most tokens of one draft."""
_MOST_COUNTED = 4
"""Kinds of guesses are told apart by counts up to this."""
_STARTS = 3
"""Places of the text at which a value may begin that are tried at once."""
_COPIES = 2
"""Places of what is written that are gone on from at once."""

Guess = tuple[int, Kind]
"""A token, and what sort of guess it is."""
_STEPS = 10
"""Chances are told apart by so many steps when guesses of several sorts agree."""


@dataclass(slots=True)
class Draft:
    """A tree of guessed tokens.

    Attributes:
        token_ids: The tokens, each behind the one that it follows.
        parents: Index of the token that each follows; -1 for those that may come next.
    """

    token_ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.token_ids)

    def path(self, best: Sequence[int]) -> list[int]:
        """The guesses that were right, as indices from the first on.

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
    """The record as far as one guess, or as far as it is decided.

    Attributes:
        matcher: The state of the grammar there.
        standing: Where in the record it is.
        tail: The last two tokens.
        chance: Of all guesses up to here together.
        forced: What has to come next, as far as it is known.
        guesses: For the next token, of every sort.
        agreed: The same, one for each token: which sorts agree on it, and how sure the surest is.
    """

    matcher: Matcher
    standing: Standing
    tail: tuple[int, int]
    chance: float
    forced: list[int]
    guesses: list[Guess] = field(default_factory=list)
    agreed: list[Guess] = field(default_factory=list)


class Drafter:
    """Writes the drafts of one row.

    Args:
        request: The row's request.
        memory: What is known from other rows.
        end_token_id: Never drafted.

    Attributes:
        spoilt: Whether the grammar failed on a guess: there are no more drafts then, since matchers of one grammar
            share what fails.
    """

    def __init__(self, request: GenerationRequest, memory: DraftMemory, end_token_id: int) -> None:
        self._spelling = request.grammar.spelling
        ids = request.draft_ids
        self._source = CopySource(ids, self._spelling, request.grammar.tokenize) if ids else None
        self._memory = memory
        self._end_token_id = end_token_id
        self._standing, self._tail = START, (-1, -1)
        self._copied = 0
        self._starts: dict[bytes, list[tuple[int, Kind]]] = {}
        self._nodes: list[_Node] = []
        self.spoilt = False

    def draft(self, matcher: Matcher, masks: MaskBuffer, first_mask: int, *, limit: int, price: float) -> Draft:
        """Guess the next tokens, those that are likeliest to be right together with all before them.

        The mask of each drafted token is written behind `first_mask`, which is in place already: what is allowed
        behind the token, in the order of the draft. Behind one that ends the record there is none.

        Args:
            matcher: The state of the row's grammar; it stays where it is.
            masks: Where the masks are.
            first_mask: Index of the mask of the first token.
            limit: Most tokens to guess.
            price: Least chance that a token has to have, of being right with all before it, to be worth a place.
        """
        draft = Draft()
        self._nodes = []
        if limit <= 0 or self.spoilt:
            return draft
        waiting: list[tuple[float, int, int]] = []
        try:
            self._add(_Node(matcher, self._standing, self._tail, 1.0, []), waiting, masks, first_mask, price)
            while waiting and len(draft) < limit:
                chance, parent, token_id = heapq.heappop(waiting)
                node = self._grown(self._nodes[parent], token_id, -chance)
                if node.matcher.is_finished():
                    self._nodes.append(node)
                else:
                    masks.fill(first_mask + len(self._nodes), node.matcher)
                    self._add(node, waiting, masks, first_mask + len(self._nodes), price)
                draft.token_ids.append(token_id)
                draft.parents.append(parent - 1)
        except GrammarError:
            self.spoilt = True
        return draft

    def observe(self, token_ids: Sequence[int], path: Sequence[int]) -> None:
        """Take note of the tokens that were decided, and of which guesses were among them.

        Args:
            token_ids: The tokens since the last call.
            path: Indices in the last draft of those that were guessed.
        """
        if self._nodes:
            seen = [self._nodes[0], *(self._nodes[index + 1] for index in path)]
            self._memory.observe(
                (kind, guess == token_id)
                for node, token_id in zip(seen, token_ids, strict=False)
                for guess, kind in (*node.guesses, *node.agreed)
            )
            self._nodes = []
        for token_id in token_ids:
            behind = self._standing.after(self._spelling(token_id))
            if self._source is not None and behind.values > self._standing.values and behind.last:
                self._copied = next(iter(self._source.find(behind.last, behind=self._copied)), self._copied)
            self._standing, self._tail = behind, (self._tail[1], token_id)

    def learn(self, record: Sequence[int]) -> None:
        """Remember a finished record."""
        self._memory.learn(record, self._spelling, self._source)

    def _add(
        self, node: _Node, waiting: list[tuple[float, int, int]], masks: MaskBuffer, mask: int, price: float
    ) -> None:
        """Guess behind a node, and put in line what is worth it."""
        index = len(self._nodes)
        node.forced = node.forced or node.matcher.forced_tokens()
        node.guesses = [
            guess for guess in self._guesses(node) if guess[0] != self._end_token_id and masks.allows(mask, guess[0])
        ]
        self._nodes.append(node)
        sorts: dict[int, list[Kind]] = {}
        for token_id, kind in node.guesses:
            sorts.setdefault(token_id, []).append(kind)
        chances = {token_id: self._chance(token_id, kinds, node) for token_id, kinds in sorts.items()}
        scale = node.chance / max(1.0, sum(chances.values()))
        for token_id, chance in chances.items():
            if chance * scale >= price:
                heapq.heappush(waiting, (-chance * scale, index, token_id))

    def _chance(self, token_id: int, kinds: Sequence[Kind], node: _Node) -> float:
        """How likely a token is, given all guesses for it: what came of it when the same sorts agreed, as sure."""
        surest = max(map(self._memory.rate, kinds))
        agreed = ("agreed", *sorted({kind[0] for kind in kinds}), int(_STEPS * surest))
        node.agreed.append((token_id, agreed))
        return self._memory.rate(agreed)

    def _grown(self, node: _Node, token_id: int, chance: float) -> _Node:
        matcher = node.matcher.copy()
        matcher.consume(token_id)
        forced = node.forced[1:] if node.forced and node.forced[0] == token_id else []
        standing = node.standing.after(self._spelling(token_id))
        return _Node(matcher, standing, (node.tail[1], token_id), chance, forced)

    def _guesses(self, node: _Node) -> list[Guess]:
        if node.forced:
            return [(node.forced[0], ("forced",))]
        standing = node.standing
        known = zip(("pair", "place"), contexts(standing, node.tail, closing=False), strict=False)
        guesses = [guess for name, context in known for guess in self._known(name, context)]
        if self._source is None or standing.part != "value" or standing.escaped:
            return guesses
        if not standing.written:
            return guesses + self._beginnings(standing.field)
        return guesses + self._going_on(standing, self._source)

    def _known(self, name: str, context: Context, *details: int) -> list[Guess]:
        return [
            (token_id, (name, *details, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED)))
            for token_id, count, others in self._memory.followers(context)
        ]

    def _beginnings(self, field: bytes) -> list[Guess]:
        """First tokens of the text's words that stand where values of the field began before."""
        source = self._source
        assert source is not None
        if field not in self._starts:
            places = []
            for offset, first, second in source.starts() if self._memory.knows_starts(field) else ():
                words, count, others = self._memory.start(field, first, second)
                if words:
                    kind = ("start", words, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED))
                    places.append((offset, kind))
            self._starts[field] = places
        places = sorted(self._starts[field], key=lambda place: (-self._memory.rate(place[1]), place[0] < self._copied))
        guesses = []
        for offset, kind in places[:_STARTS]:
            token_id = source.follow(offset, 0)
            if token_id is not None:
                guesses.append((token_id, kind))
        return guesses

    def _going_on(self, standing: Standing, source: CopySource) -> list[Guess]:
        """What stands behind what is written of a value, and how values of the field end."""
        written, field = standing.written, standing.field
        likely = [offset for offset, _ in self._starts.get(field, ()) if source.text.startswith(written, offset)]
        places = list(dict.fromkeys([*likely, *source.find(written, behind=self._copied)]))
        guesses: list[Guess] = []
        ends = (0, 0)
        for rank, offset in enumerate(places[:_COPIES]):
            stopped, inside = self._memory.stop(field, source.word_at(offset + len(written)))
            seen = (min(stopped, _MOST_COUNTED), min(inside, _MOST_COUNTED))
            ends = ends if rank else seen
            token_id = source.follow(offset, len(written))
            if token_id is not None:
                guesses.append((token_id, ("copy", rank, min(len(written), 3), *seen)))
        if standing.quoted:
            guesses += self._known("close", ("close", field, len(standing.nesting)), min(1, len(places)), *ends)
        return guesses
