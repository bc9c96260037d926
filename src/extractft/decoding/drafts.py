"""Guesses what comes next, so that one pass can check several tokens: copies of the source, phrases seen before.

A wrong guess costs a little time and changes nothing. Knows token ids and how they are spelled; knows no model.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

from extractft.decoding.protocol import GenerationRequest, Matcher
from extractft.decoding.scoring import MaskBuffer
from extractft.errors import GrammarError

__all__ = ["CopySource", "DraftMemory", "Drafter"]

MAX_DRAFT = 24
"""Most tokens of one draft."""
_LONGEST_MATCH = 3
_CANDIDATES = 64
_CONTEXTS = (4, 2)
_PHRASES = 16_384
_START = -1
_FADE = 0.98


class _Rate:
    """How often guesses of a kind are right, the last fifty or so counting most."""

    def __init__(self, first_guess: float) -> None:
        self._right, self._all = 4 * first_guess, 4.0

    @property
    def value(self) -> float:
        return self._right / self._all

    def observe(self, right: bool) -> None:
        self._right = self._right * _FADE + right
        self._all = self._all * _FADE + 1


class DraftMemory:
    """What is learned from record to record: phrases of earlier records, and which kinds of guesses are good.

    Phrases are the token that mostly followed the last few, which in records of one schema are keys, punctuation and
    usual values. The most recent are kept, in memory only. Safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phrases: OrderedDict[tuple[int, ...], tuple[int, int]] = OrderedDict()
        self._rates: dict[str, _Rate] = {}

    def rate(self, kind: str) -> float:
        """The share of a kind's guesses that were right, lately."""
        known = self._rates.get(kind)
        return known.value if known is not None else _FIRST_GUESS[kind]

    def observe(self, kind: str, right: bool) -> None:
        """Take note of a guess."""
        with self._lock:
            self._rates.setdefault(kind, _Rate(_FIRST_GUESS[kind])).observe(right)

    def learn(self, token_ids: Sequence[int]) -> None:
        """Take note of a record."""
        ids = (_START,) * max(_CONTEXTS) + tuple(token_ids)
        with self._lock:
            for end in range(max(_CONTEXTS), len(ids)):
                for length in _CONTEXTS:
                    self._learn(ids[end - length : end], ids[end])
            while len(self._phrases) > _PHRASES:
                self._phrases.popitem(last=False)

    def _learn(self, context: tuple[int, ...], follower: int) -> None:
        token_id, weight = self._phrases.pop(context, (follower, 0))
        if token_id == follower:
            weight = min(weight + 1, 8)
        elif weight > 1:
            weight -= 1
        else:
            token_id, weight = follower, 1
        self._phrases[context] = (token_id, weight)

    def phrases(self, token_ids: Sequence[int]) -> list[tuple[int, str]]:
        """Guesses for what follows the tokens of a record so far, each with its kind."""
        tail = token_ids[-max(_CONTEXTS) :]
        tail = (_START,) * (max(_CONTEXTS) - len(tail)) + tuple(tail)
        found = []
        with self._lock:
            for length in _CONTEXTS:
                known = self._phrases.get(tail[-length:])
                if known is not None:
                    found.append((known[0], f"phrase{length}{'+' if known[1] >= 3 else ''}"))
        return found


_FIRST_GUESS = {"forced": 0.97, "copy1": 0.5, "copy2": 0.7, "copy3": 0.8}
_FIRST_GUESS |= {"phrase2": 0.4, "phrase2+": 0.6, "phrase4": 0.6, "phrase4+": 0.8}


class CopySource:
    """The source text's tokens, searched for what the record copies.

    Tokens match if they are spelled alike but for white space in front: the first word of a value has none, and has
    it in the text.

    Args:
        token_ids: The source.
        spelling: The bytes of a token.
    """

    def __init__(self, token_ids: Sequence[int], spelling: Callable[[int], bytes]) -> None:
        self._ids = token_ids
        self._spelling = spelling
        self._keys = [self._key(token_id) for token_id in token_ids]
        self._places: dict[bytes, list[int]] = {}
        for place, key in enumerate(self._keys):
            self._places.setdefault(key, []).append(place)
        self._last = 0

    def follow(self, record: Sequence[int]) -> tuple[int, str] | None:
        """The source's token behind the place that matches the end of the record best, with the guess's kind.

        Among equals the first place behind the last copy, else the first of all.
        """
        if not record:
            return None
        keys = [self._key(token_id) for token_id in record[-_LONGEST_MATCH:]]
        best, best_rank = None, (0, False)
        for place in self._places.get(keys[-1], ())[:_CANDIDATES]:
            if place + 1 == len(self._ids):
                continue
            rank = (self._match(keys, place), place >= self._last)
            if rank > best_rank:
                best, best_rank = place, rank
        if best is None:
            return None
        return self._ids[best + 1], f"copy{best_rank[0]}"

    def advance(self, record: Sequence[int]) -> None:
        """Take note of where the copy stands, once tokens are decided."""
        if not record:
            return
        for place in self._places.get(self._key(record[-1]), ())[:_CANDIDATES]:
            if place >= self._last:
                self._last = place
                return

    def _match(self, keys: Sequence[bytes], place: int) -> int:
        length = 0
        while length < len(keys) and place >= length and self._keys[place - length] == keys[-1 - length]:
            length += 1
        return length

    def _key(self, token_id: int) -> bytes:
        spelled = self._spelling(token_id)
        return spelled.lstrip() or spelled


class Drafter:
    """Writes the drafts of one row.

    Args:
        request: The row's request.
        memory: What is known from other rows.
        end_token_id: Never drafted.
    """

    def __init__(self, request: GenerationRequest, memory: DraftMemory, end_token_id: int) -> None:
        ids, grammar = request.draft_ids, request.grammar
        self._source = CopySource(ids, grammar.spelling) if ids else None
        self._memory = memory
        self._end_token_id = end_token_id
        self._kinds: list[str] = []

    def draft(
        self, matcher: Matcher, record: list[int], masks: MaskBuffer, first_mask: int, *, limit: int, price: float
    ) -> list[int]:
        """Guess the next tokens, as long as all of them together are likely enough.

        The mask of each drafted token, and of the one after the draft, are written behind `first_mask`, which is in
        place already.

        Args:
            matcher: The state of the row's grammar; it stays where it is.
            record: The record's tokens so far; as it was afterwards.
            masks: Where the masks are.
            first_mask: Index of the mask of the first token.
            limit: Most tokens to guess.
            price: Least chance that a token has to have, of being right with all before it, to be worth a place.
        """
        draft: list[int] = []
        self._kinds = []
        ahead: Matcher | None = None
        forced: list[int] = []
        chance = 1.0
        length = len(record)
        try:
            while len(draft) < limit:
                forced = forced or (ahead or matcher).forced_tokens()
                guess = self._guess(record, forced, masks, first_mask + len(draft))
                if guess is None:
                    break
                token_id, kind = guess
                chance *= self._memory.rate(kind)
                if chance < price:
                    break
                forced = forced[1:] if forced and forced[0] == token_id else []
                ahead = ahead or matcher.copy()
                ahead.consume(token_id)
                if not ahead.is_finished():
                    masks.fill(first_mask + len(draft) + 1, ahead)
                draft.append(token_id)
                self._kinds.append(kind)
                record.append(token_id)
                if ahead.is_finished():
                    break
        except GrammarError:
            # The grammar fails ahead, if anywhere: the row finds out when it gets there.
            pass
        finally:
            del record[length:]
        return draft

    def observe(self, record: Sequence[int], accepted: int) -> None:
        """Take note of how many of the last draft's tokens were right."""
        for index, kind in enumerate(self._kinds[: accepted + 1]):
            self._memory.observe(kind, index < accepted)
        if self._source is not None:
            self._source.advance(record)

    def _guess(
        self, record: Sequence[int], forced: Sequence[int], masks: MaskBuffer, mask: int
    ) -> tuple[int, str] | None:
        """The most trusted guess that the grammar allows."""
        guesses = [(forced[0], "forced")] if forced else self._memory.phrases(record)
        if not forced and self._source is not None and (copy := self._source.follow(record)) is not None:
            guesses.append(copy)
        allowed = [g for g in guesses if g[0] != self._end_token_id and masks.allows(mask, g[0])]
        return max(allowed, key=lambda guess: self._memory.rate(guess[1]), default=None)
