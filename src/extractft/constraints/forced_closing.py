"""Ends a record that has run out of budget: looks for a short way to a complete one over the grammar's masks.

Works on any matcher by trying single-byte tokens in a fixed order of preference. Knows a few facts of JSON's
punctuation; knows no schema, no model and no text.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from extractft.completion import Grammar, Matcher
from extractft.errors import GrammarError

__all__ = ["ClosingTokens", "ForcedCloser", "find_closing"]

_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_EVERY_BYTE = bytes(range(256))
_CLOSERS = b'}]":,'
_RANDOM_DIVES = 4


def _ranked(*preferred: bytes) -> bytes:
    """The bytes of `preferred`, then all others in ascending order, each once."""
    return bytes(dict.fromkeys(b"".join(preferred) + _EVERY_BYTE))


# Outside of free strings. The first order ends numbers, enums, dates and lists at once, but can walk in circles: a
# fraction that must not be 0, an e-mail address that grows before its @, a recursive union whose first option is the
# recursive one. The second goes for separators first and takes the other end of every range.
_VALUE_ORDERS = (
    _ranked(_CLOSERS, _DIGITS, b"-.[{", _LETTERS),
    _ranked(b'}]"@:.', _DIGITS[::-1], b"-/,[{", _LETTERS[::-1]),
)
# Inside a string that takes any character: the quote, else (it has a minimum length) a dash.
_STRING_ORDER = _ranked(b'"-')


@dataclass(frozen=True, slots=True)
class ClosingTokens:
    """The tokens of a vocabulary that are worth trying to close a record.

    Attributes:
        end: The end token.
        value_orders: Single-byte tokens outside of free strings, the preferred first.
        string_order: The same inside of free strings.
        space: The token of one space, which only free strings allow; -1 if there is none.
        null: The token `null`; -1 if there is none.
        mask_bytes: Length of the vocabulary's masks.
    """

    end: int
    value_orders: tuple[tuple[int, ...], ...]
    string_order: tuple[int, ...]
    space: int
    null: int
    mask_bytes: int

    @classmethod
    def of(cls, token_ids: Mapping[bytes, int], *, end: int, vocab_size: int) -> ClosingTokens:
        """Pick them from the ids of all one-byte tokens and of `null`."""

        def ids(order: bytes) -> tuple[int, ...]:
            return tuple(token_ids[bytes([byte])] for byte in order if bytes([byte]) in token_ids)

        return cls(
            end=end,
            value_orders=tuple(ids(order) for order in _VALUE_ORDERS),
            string_order=ids(_STRING_ORDER),
            space=token_ids.get(b" ", -1),
            null=token_ids.get(b"null", -1),
            mask_bytes=4 * -(-vocab_size // 32),
        )


def _has(mask: bytearray, token_id: int) -> bool:
    return token_id >= 0 and bool(mask[token_id >> 3] >> (token_id & 7) & 1)


def _first(mask: bytearray, order: Sequence[int]) -> int:
    """The first allowed token of `order`; the lowest allowed id if there is none, -1 if nothing is allowed."""
    for token_id in order:
        if mask[token_id >> 3] >> (token_id & 7) & 1:
            return token_id
    for index, byte in enumerate(mask):
        if byte:
            return 8 * index + (byte & -byte).bit_length() - 1
    return -1


Chooser = Callable[[bytearray], int]


def _ordered(tokens: ClosingTokens, order: Sequence[int], *, prefer_null: bool) -> Chooser:
    def choose(mask: bytearray) -> int:
        if _has(mask, tokens.space):
            return _first(mask, tokens.string_order)
        if prefer_null and _has(mask, tokens.null):
            return tokens.null
        return _first(mask, order)

    return choose


def _at_random(tokens: ClosingTokens, seed: int) -> Chooser:
    """Any single byte that is allowed, closing brackets and quotes first but for every other seed."""
    rng = random.Random(seed)
    closers = tokens.value_orders[0][:3] if seed % 2 == 0 else ()

    def choose(mask: bytearray) -> int:
        order = [*tokens.string_order]
        rng.shuffle(order)
        return _first(mask, [*closers, *order])

    return choose


def _rollout(matcher: Matcher, tokens: ClosingTokens, choose: Chooser, limit: int) -> list[int] | None:
    """Follow `choose` to the end token; `None` if that takes more than `limit` tokens."""
    path: list[int] = []
    mask = bytearray(tokens.mask_bytes)
    while len(path) < limit:
        if matcher.is_finished():
            return [*path, tokens.end]
        step = matcher.forced_tokens()
        if not step:
            matcher.fill_mask(mask)
            if _has(mask, tokens.end):
                return [*path, tokens.end]
            step = [choose(mask)]
            if step[0] < 0:
                return None
        for token_id in step:
            matcher.consume(token_id)
        path.extend(step)
    return None


def find_closing(matcher: Matcher, tokens: ClosingTokens, limit: int) -> list[int] | None:
    """A short way from the state of `matcher` to a complete record; the matcher stays where it is.

    Greedy dives, not a search for the shortest way: two with fixed preferences, then a few with random ones of fixed
    seeds. Linear in the length of the way, about 30 microseconds a token.

    Args:
        matcher: Where the record stands.
        tokens: The vocabulary's tokens for closing.
        limit: Most tokens that the way may have, the end token included.

    Returns:
        The token ids, the end token last; `None` if no dive came to an end.
    """
    dives = [_ordered(tokens, tokens.value_orders[0], prefer_null=True)]
    dives += [_ordered(tokens, order, prefer_null=False) for order in tokens.value_orders]
    dives += [_at_random(tokens, seed) for seed in range(_RANDOM_DIVES)]
    for choose in dives:
        try:
            path = _rollout(matcher.copy(), tokens, choose, limit)
        except GrammarError:
            continue
        if path is not None:
            return path
    return None


class ForcedCloser:
    """Keeps a way to a complete record in hand while a budget runs out.

    A way is looked for when half of the budget is spent, and again whenever half of the room that the last one left
    is spent. When the budget is gone, the record goes back to where the last way began and takes it. A record that
    ends within half its budget never pays for this.

    Args:
        grammar: The grammar of the record.
        budget: Most tokens of the record, the end token included.
    """

    def __init__(self, grammar: Grammar, budget: int) -> None:
        self._grammar = grammar
        self._budget = budget
        self._kept: tuple[int, list[int]] | None = None
        self._next_look = max(1, budget // 2)

    def observe(self, matcher: Matcher, count: int) -> bool:
        """Take note of a record of `count` tokens in the state of `matcher`; whether it may go on."""
        left = self._budget - count
        if left <= 0:
            return False
        if count >= self._next_look:
            path = matcher.closing_tokens(left)
            if path is not None:
                self._kept = (count, path)
            room = left - (len(path) if path is not None else 0)
            self._next_look = count + max(1, room // 2)
        return True

    def close(self) -> tuple[int, list[int]] | None:
        """Number of tokens of the record to keep, and the tokens to put behind them, end token last.

        `None` if no way was found, not even for an empty record.
        """
        if self._kept is None and (path := self._grammar.matcher().closing_tokens(self._budget)) is not None:
            self._kept = (0, path)
        return self._kept
