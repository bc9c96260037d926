"""Guesses what comes next, so that one pass can check several tokens: a tree of them, the likeliest branches first.

What is guessed from: what followed in records before, and the text that values are copied from. A wrong guess costs a
little time and changes nothing. Knows token ids and how they are spelled; knows no model.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from extractft.decoding.chances import Clue
from extractft.decoding.clues import clues
from extractft.decoding.copying import CopySource
from extractft.decoding.draft_memory import Context, DraftMemory, Kind, contexts
from extractft.decoding.protocol import GenerationRequest, Matcher
from extractft.decoding.scoring import MaskBuffer
from extractft.decoding.standing import START, Standing
from extractft.errors import GrammarError

__all__ = ["MAX_DRAFT", "Draft", "Drafter", "draft_price"]

MAX_DRAFT = 64
"""Most tokens of one draft."""
_MOST_COUNTED = 4
"""Kinds of guesses are told apart by counts up to this."""
_NEAREST = 3
"""Words behind the value that was copied last that are tried as well."""
_WORDS = 32
"""Words of the text at most that are tried, wherever they stand."""
_COPIES = 2
"""Places of what is written that are gone on from at once."""
_PRICE, _ROW_PRICE, _HIGHEST_PRICE = 0.16, 0.02, 0.5
_STEPS = 10
"""Chances are told apart by so many steps when guesses of several sorts agree."""


def draft_price(rows: int) -> float:
    """Least chance to be right that makes a guess worth a place in a pass of so many rows.

    A pass of many rows costs more for each token. To begin with, 0.12 to 0.23 came to the same within a fiftieth on
    five sets, counted at 52 ms a pass and 2.7 ms a token beyond six (`benchmarks/drafting.py`).
    """
    return min(_HIGHEST_PRICE, _PRICE + _ROW_PRICE * rows)


class Guess(NamedTuple):
    """A token, what sort of guess it is, and the byte of the text that it goes on from, if it has to do with one."""

    token_id: int
    kind: Kind
    place: int | None = None


class Weighed(NamedTuple):
    """A token that was guessed in one way or several: the sorts that agree on it, its chance, and what that is from."""

    token_id: int
    agreed: Kind
    chance: float
    clues: list[Clue]


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
        copied: Where in the text the value that was copied last begins and ends.
        chance: Of all guesses up to here together.
        forced: What has to come next, as far as it is known.
        guesses: For the next token, of every sort.
        weighed: The same, one for each token.
    """

    matcher: Matcher
    standing: Standing
    tail: tuple[int, int]
    copied: tuple[int, int]
    chance: float
    forced: list[int]
    guesses: list[Guess] = field(default_factory=list)
    weighed: list[Weighed] = field(default_factory=list)


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
        self._copied = (0, 0)
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
            self._add(
                _Node(matcher, self._standing, self._tail, self._copied, 1.0, []), waiting, masks, first_mask, price
            )
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
            for node, token_id in zip(seen, token_ids, strict=False):
                self._memory.observe((guess.kind, guess.token_id == token_id) for guess in node.guesses)
                self._memory.weigh(node.weighed, token_id)
            self._nodes = []
        for token_id in token_ids:
            behind = self._standing.after(self._spelling(token_id))
            self._copied = self._copied_last(self._standing, behind, self._copied)
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
            guess
            for guess in self._guesses(node)
            if guess.token_id != self._end_token_id and masks.allows(mask, guess.token_id)
        ]
        self._nodes.append(node)
        sorts: dict[int, list[Guess]] = {}
        for guess in node.guesses:
            sorts.setdefault(guess.token_id, []).append(guess)
        node.weighed = [self._weighed(token_id, guesses, node) for token_id, guesses in sorts.items()]
        scale = node.chance / max(1.0, sum(weighed.chance for weighed in node.weighed))
        for weighed in node.weighed:
            if weighed.chance * scale >= price:
                heapq.heappush(waiting, (-weighed.chance * scale, index, weighed.token_id))

    def _weighed(self, token_id: int, guesses: Sequence[Guess], node: _Node) -> Weighed:
        """How likely a token is: what came of it when guesses of the same sorts agreed, and what its clues add."""
        if len(guesses) == 1:
            kind = guesses[0].kind
            agreed: Kind = ("agreed", kind[0], int(_STEPS * self._memory.rate(kind)))
        else:
            surest = max([self._memory.rate(guess.kind) for guess in guesses])
            agreed = ("agreed", *sorted({guess.kind[0] for guess in guesses}), int(_STEPS * surest))
        estimate = self._memory.rate(agreed)
        if self._source is None or agreed[1] == "forced":
            return Weighed(token_id, agreed, estimate, [])
        place = next((guess.place for guess in guesses if guess.place is not None), None)
        told = clues(node.standing, self._spelling(token_id), self._source, place, node.copied[1])
        return Weighed(token_id, agreed, self._memory.chances.chance(estimate, told), told)

    def _grown(self, node: _Node, token_id: int, chance: float) -> _Node:
        matcher = node.matcher.copy()
        matcher.consume(token_id)
        forced = node.forced[1:] if node.forced and node.forced[0] == token_id else []
        standing = node.standing.after(self._spelling(token_id))
        copied = self._copied_last(node.standing, standing, node.copied)
        return _Node(matcher, standing, (node.tail[1], token_id), copied, chance, forced)

    def _copied_last(self, standing: Standing, behind: Standing, copied: tuple[int, int]) -> tuple[int, int]:
        """Where the last value stands in the text, if it does, when the record has come to stand elsewhere."""
        if self._source is not None and behind.values > standing.values and behind.last:
            for place in self._source.find(behind.last, behind=copied[0], most=1):
                return place, place + len(behind.last)
        return copied

    def _guesses(self, node: _Node) -> list[Guess]:
        if node.forced:
            return [Guess(node.forced[0], ("forced",))]
        standing = node.standing
        known = zip(("pair", "place"), contexts(standing, node.tail, closing=False), strict=False)
        guesses = [guess for name, context in known for guess in self._known(name, context)]
        if self._source is None or standing.part != "value" or standing.escaped:
            return guesses
        if not standing.written:
            return guesses + self._beginnings(standing.field, self._source, node.copied[1])
        return guesses + self._going_on(standing, self._source, node.copied[0])

    def _known(self, name: str, context: Context, *details: int, place: int | None = None) -> list[Guess]:
        return [
            Guess(token_id, (name, *details, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED)), place)
            for token_id, count, others in self._memory.followers(context)
        ]

    def _beginnings(self, field: bytes, source: CopySource, behind: int) -> list[Guess]:
        """First tokens of the text's words, those first that stand where values of the field began before."""
        if field not in self._starts:
            self._starts[field] = self._likely_starts(field, source)
        places = dict(self._starts[field])
        for offset in source.words_from(behind, _NEAREST):
            places.setdefault(offset, ("near",))
        for offset, _, _ in source.starts()[:_WORDS]:
            places.setdefault(offset, ("word",))
        follow = ((source.follow(offset, 0), kind, offset) for offset, kind in places.items())
        return [Guess(token_id, kind, offset) for token_id, kind, offset in follow if token_id is not None]

    def _likely_starts(self, field: bytes, source: CopySource) -> list[tuple[int, Kind]]:
        if not self._memory.knows_starts(field):
            return []
        places: list[tuple[int, Kind]] = [
            (offset, ("start", words, min(count, _MOST_COUNTED), min(others, _MOST_COUNTED)))
            for offset, words, count, others in self._memory.starts(field, source.starts())
        ]
        return sorted(places, key=lambda place: -self._memory.rate(place[1]))[:_WORDS]

    def _going_on(self, standing: Standing, source: CopySource, copied: int) -> list[Guess]:
        """What stands behind what is written of a value, and how values of the field end."""
        written, field = standing.written, standing.field
        likely = [offset for offset, _ in self._starts.get(field, ()) if source.text.startswith(written, offset)]
        places = list(dict.fromkeys([*likely, *source.find(written, behind=copied, most=_COPIES)]))
        guesses: list[Guess] = []
        ends = (0, 0)
        for rank, offset in enumerate(places[:_COPIES]):
            stopped, inside = self._memory.stop(field, source.word_at(offset + len(written)))
            seen = (min(stopped, _MOST_COUNTED), min(inside, _MOST_COUNTED))
            ends = ends if rank else seen
            token_id = source.follow(offset, len(written))
            if token_id is not None:
                copying = ("copy", rank, min(len(written), 3), *seen)
                guesses.append(Guess(token_id, copying, offset + len(written)))
        if standing.quoted:
            place = places[0] + len(written) if places else None
            guesses += self._known(
                "close", ("close", field, len(standing.nesting)), min(1, len(places)), *ends, place=place
            )
        return guesses
