"""Statistics from record to record: which token follows, where in texts values stand, which proposals are right.

Only the most recent of it is kept. Changes are locked; what is read may be a moment old. Knows
tokens and bytes; knows no model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from extractft.processes import fork_safe_lock
from extractft.speculation.json_cursor import INITIAL, LONGEST_WRITTEN, JsonCursor, Part
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.proposal_scoring import AcceptanceModel, Feature

__all__ = [
    "NO_TOKENS",
    "AgreedKind",
    "CloseContext",
    "Context",
    "EvidenceKind",
    "Kind",
    "PairContext",
    "PlaceContext",
    "ProposalStatistics",
    "ScoredProposal",
    "Source",
    "close_context",
    "contexts",
]

# Contexts and kinds are looked up thousands of times in a record: named tuples are hashed five times as fast as frozen
# dataclasses.


class PairContext(NamedTuple):
    """The last two tokens; -1 before the first."""

    first: int
    second: int


class PlaceContext(NamedTuple):
    """A place in a record, and all that is written of its key or value."""

    part: Part
    quoted: bool
    escaped: bool
    field: bytes
    depth: int
    written: bytes


class CloseContext(NamedTuple):
    """Strings of a field: how they go on behind their end."""

    field: bytes
    depth: int


NO_TOKENS = PairContext(-1, -1)
Context: TypeAlias = PairContext | PlaceContext | CloseContext
"""Context that a next token is counted in."""


class Source(StrEnum):
    """A source of evidence for a next token."""

    FORCED = "forced"
    """The grammar leaves no choice."""
    PAIR = "pair"
    """It followed the last two tokens before."""
    PLACE = "place"
    """It followed at this place of a record before."""
    CLOSE = "close"
    """It ended strings of this field before."""
    START = "start"
    """Values of this field began behind such words of a text before."""
    NEAR = "near"
    """A word behind the value that was copied last."""
    WORD = "word"
    """Any word of the text."""
    COPY = "copy"
    """The text goes on with it behind what is written."""


class EvidenceKind(NamedTuple):
    """A kind of evidence, fine enough that its rate says how likely the next such proposal is right.

    The counts are those that the source has: how often it was so and how often not, and for `COPY` and `CLOSE` before
    them how many places there are, how many bytes are copied, and how often values ended there and went on.
    """

    source: Source
    counts: tuple[int, ...] = ()


class AgreedKind(NamedTuple):
    """Proposals that evidence of these sources agrees on; `step` tells the highest of its rates."""

    sources: tuple[Source, ...]
    step: int


Kind: TypeAlias = EvidenceKind | AgreedKind


class ScoredProposal(NamedTuple):
    """A token with the kind of all evidence that agrees on it, its probability, and the features behind that."""

    token_id: int
    agreed: AgreedKind
    probability: float
    features: list[Feature]


_KEPT = 16_384
"""Entries of each table."""
_MOST_NEXT_TOKENS = 16
"""Tokens remembered behind one context."""
_FADE = 0.98
_WEIGHT = 4.0
"""Observations that the first estimate of a rate counts as."""
_FIRST_ESTIMATES = {Source.FORCED: 0.97, Source.NEAR: 0.1, Source.WORD: 0.02}
_SOURCE_WORDS, _LEARNED_VALUES = 512, 64
"""Words of a text, and values of a record, that are learned from."""


class _Rate:
    """Rate at which proposals of a kind are right, the last fifty or so counting most."""

    def __init__(self, right: float, number: float) -> None:
        self.right, self.number = right, number

    @property
    def value(self) -> float:
        return self.right / self.number

    def observe(self, right: bool) -> None:
        self.right = self.right * _FADE + right
        self.number = self.number * _FADE + 1


class _Table:
    """Counts by key, the most recently changed ones."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Hashable, list[int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> list[int] | None:
        return self._entries.get(key)

    def get_or_create(self, key: Hashable) -> list[int]:
        """The entry, to be changed: a list that belongs to the key, empty at first."""
        entry = self._entries.setdefault(key, [])
        self._entries.move_to_end(key)
        while len(self._entries) > _KEPT:
            self._entries.popitem(last=False)
        return entry


class ProposalStatistics:
    """Tables of what came next in records and of the words around values, and rates of proposals."""

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self._next_tokens = _Table()  # token, count, token, count, ...
        self._starts = _Table()  # a value began behind this word, or did not
        self._stops = _Table()  # a value ended before this word, or went on with it
        self._rates: dict[Kind, _Rate] = {}
        self.acceptance = AcceptanceModel()

    @property
    def num_entries(self) -> int:
        """Number of entries in all tables."""
        return len(self._next_tokens) + len(self._starts) + len(self._stops) + len(self._rates)

    def rate(self, kind: Kind) -> float:
        """The share of a kind's proposals that were right, lately."""
        known = self._rates.get(kind)
        return known.value if known is not None else _estimate(kind)

    def observe(self, proposals: Iterable[tuple[Kind, bool]]) -> None:
        """Count which proposals were right."""
        with self._lock:
            for kind, right in proposals:
                self._observe(kind, right)

    def update(self, scored: Iterable[ScoredProposal], token_id: int) -> None:
        """Learn from the proposals for one token: which token it was."""
        with self._lock:
            for proposal in scored:
                right = proposal.token_id == token_id
                self._observe(proposal.agreed, right)
                self.acceptance.observe(proposal.probability, proposal.features, right)

    def _observe(self, kind: Kind, right: bool) -> None:
        if kind not in self._rates:
            self._rates[kind] = _Rate(_WEIGHT * _estimate(kind), _WEIGHT)
        self._rates[kind].observe(right)

    def next_token_counts(self, context: Context) -> list[tuple[int, int, int]]:
        """Tokens that followed: each with its count, and that of all others."""
        with self._lock:
            entry = self._next_tokens.get(context) or []
            tokens, counts = entry[::2], entry[1::2]
        total = sum(counts)
        return [(token, count, total - count) for token, count in zip(tokens, counts, strict=True)]

    def starts(self, field: bytes, places: Iterable[tuple[int, bytes, bytes]]) -> list[tuple[int, int, int, int]]:
        """The places (given with the word before and the one before that) behind whose words values of a field began.

        Each with how many words tell, how often values began behind them, and how often not.
        """
        found = []
        with self._lock:
            for place, first, second in places:
                for words in ((first, second), (first,)):
                    entry = self._starts.get((field, *words))
                    if entry is not None and entry[0]:
                        found.append((place, len(words), entry[0], entry[1]))
                        break
        return found

    def knows_starts(self, field: bytes) -> bool:
        """True if anything is known of where values of a field begin."""
        with self._lock:
            return self._starts.get((field,)) is not None

    def stop(self, field: bytes, word: bytes) -> tuple[int, int]:
        """Times that a value of a field ended before this word, and times that it went on with it."""
        with self._lock:
            entry = self._stops.get((field, word))
            return (0, 0) if entry is None else (entry[0], entry[1])

    def learn(self, record: Sequence[int], spelling: Callable[[int], bytes], source: PromptLookup | None) -> None:
        """Take note of a record."""
        cursor, tail = INITIAL, NO_TOKENS
        with self._lock:
            for token_id in record:
                spelled = spelling(token_id)
                for context in contexts(cursor, tail):
                    _count(self._next_tokens.get_or_create(context), token_id)
                closing = close_context(cursor)
                if closing is not None and spelled.startswith(b'"'):
                    _count(self._next_tokens.get_or_create(closing), token_id)
                behind = cursor.advance(spelled)
                if source is not None and cursor.values < min(behind.values, _LEARNED_VALUES):
                    self._learn_place(cursor.field, behind.last, source)
                cursor, tail = behind, PairContext(tail.second, token_id)

    def _learn_place(self, field: bytes, value: bytes, source: PromptLookup) -> None:
        """Count the words around the first place of a value at the beginning of a word, and in it."""
        if not value or value not in source.text:
            return
        starts = source.word_starts()[:_SOURCE_WORDS]
        begin = next((offset for offset, _, _ in starts if source.text.startswith(value, offset)), None)
        if begin is None:
            return
        end = begin + len(value)
        self._starts.get_or_create((field,))
        for offset, first, second in starts:
            for words in ((first,), (first, second)):
                key = (field, *words)
                if offset == begin or self._starts.get(key) is not None:
                    _tell(self._starts.get_or_create(key), offset == begin)
            if begin < offset < end:
                _tell(self._stops.get_or_create((field, source.word_at(offset))), False)
        _tell(self._stops.get_or_create((field, source.word_at(end))), True)


def contexts(cursor: JsonCursor, tail: PairContext) -> list[Context]:
    """Contexts of the next token: the last two tokens, and the place in the record unless too much is written there."""
    known: list[Context] = [tail]
    if len(cursor.written) <= LONGEST_WRITTEN:
        depth = len(cursor.nesting)
        known.append(PlaceContext(cursor.part, cursor.quoted, cursor.escaped, cursor.field, depth, cursor.written))
    return known


def close_context(cursor: JsonCursor) -> CloseContext | None:
    """Context of a token that begins with the quote that ends a value; `None` where none can."""
    if cursor.quoted and not cursor.escaped and cursor.part == "value":
        return CloseContext(cursor.field, len(cursor.nesting))
    return None


def _count(entry: list[int], token_id: int) -> None:
    """One more of a token; the most frequent ones stay, and old counts fade."""
    for place in range(0, len(entry), 2):
        if entry[place] == token_id:
            entry[place + 1] += 1
            if entry[place + 1] > 16:
                entry[1::2] = [max(1, count // 2) for count in entry[1::2]]
            return
    if len(entry) == 2 * _MOST_NEXT_TOKENS:
        rarest = min(range(0, len(entry), 2), key=lambda place: entry[place + 1])
        del entry[rarest : rarest + 2]
    entry.extend((token_id, 1))


def _tell(entry: list[int], yes: bool) -> None:
    if not entry:
        entry.extend((0, 0))
    entry[0 if yes else 1] += 1
    if sum(entry) > 64:
        entry[:] = [count // 2 for count in entry]


def _estimate(kind: Kind) -> float:
    """First estimate of a kind that has not been seen yet, by the counts in it."""
    if isinstance(kind, AgreedKind):
        return min(1.0, (kind.step + 0.5) / 10)
    if kind.source in _FIRST_ESTIMATES:
        return _FIRST_ESTIMATES[kind.source]
    if kind.source is Source.COPY:
        rank, _, stopped, inside = kind.counts
        return (2 + inside) / (3 + inside + stopped) / (1 + rank)
    count, others = kind.counts[-2:]
    share = (count + 0.5) / (count + others + 1.5)
    if kind.source is Source.CLOSE:
        found, stopped, inside = kind.counts[:3]
        return share * (stopped + 0.5) / (stopped + inside + 1.5) if found else 0.3 * share
    return share if kind.source is Source.PLACE else 0.6 * share
