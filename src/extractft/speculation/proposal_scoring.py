"""Scores of proposals, learned while they are tried: an online logistic regression over features of text and record.

Each proposal comes with a first estimate and with features. One that reads on in the text is described by the words
around that place; any other, such as the next key, by the words that stand anywhere in the text. A feature that has not
been seen yet changes nothing; the others add their weights to the logit of the estimate. Features are hashed into
a fixed number of buckets, so that memory is the same after a million texts (Weinberger et al., "Feature hashing",
2009): after some hundred records of many words most buckets are shared, which costs little, since what often matters
moves furthest. Steps are those of AdaGrad (Duchi, Hazan and Singer, 2011), so that a rare feature moves as far as a
frequent one. Knows bytes and numbers; knows no tokens and no model.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from zlib import crc32

from extractft.speculation.json_cursor import LONGEST_WRITTEN, JsonCursor
from extractft.speculation.prompt_lookup import PromptLookup

__all__ = ["NUM_BUCKETS", "AcceptanceModel", "Feature", "draft_features"]

Feature = int
"""Hash of a feature's name and value."""
NUM_BUCKETS = 1 << 18
"""Buckets that features are hashed into."""
_RATE = 6.0
"""Shared out among the features of a proposal: however many they are, it moves by as much."""
_REMEMBERED = 16.0
"""Squared errors that make steps smaller, at most: what changes after a million records is still learned in a dozen."""
_TOO_SMALL = 0.03
"""Smaller errors are not learned from: a fourth less time for drafts, and no pass more."""
_SUREST = 8.0
"""Logits are kept within this, to both sides."""
_MOST_BEHIND, _NOTHING_COPIED = 3, -9


class AcceptanceModel:
    """Weights of features, updated by each proposal that was checked."""

    def __init__(self) -> None:
        self._weights = array("d", bytes(8 * NUM_BUCKETS))
        self._errors = array("d", bytes(8 * NUM_BUCKETS))

    def probability(self, estimate: float, features: Iterable[Feature]) -> float:
        """Probability that a proposal is right: the estimate, moved by its features' weights."""
        logit = math.log(estimate / (1 - estimate)) if 0 < estimate < 1 else math.copysign(_SUREST, estimate - 0.5)
        weights = self._weights
        for feature in features:
            logit += weights[feature % NUM_BUCKETS]
        return 1 / (1 + math.exp(-max(-_SUREST, min(_SUREST, logit))))

    def observe(self, probability: float, features: Sequence[Feature], right: bool) -> None:
        """Learn from a proposal that was given a probability, and was right or not."""
        error, rate = right - probability, _RATE / max(1, len(features))
        if abs(error) < _TOO_SMALL:
            return
        weights, errors = self._weights, self._errors
        for feature in features:
            bucket = feature % NUM_BUCKETS
            errors[bucket] = min(_REMEMBERED, errors[bucket] + error * error)
            weights[bucket] += rate * error / math.sqrt(1 + errors[bucket])


def draft_features(
    cursor: JsonCursor, spelled: bytes, source: PromptLookup, place: int | None, copied: int
) -> list[Feature]:
    """Features of one proposal.

    Args:
        cursor: Where the record stands.
        spelled: The bytes of the proposed token.
        source: The text.
        place: The byte of the text that the proposal reads on from, or that it ends a value before; `None` if it has to
            do with no place of the text.
        copied: The byte of the text behind the value that was copied last.
    """
    if place is None:
        return _anywhere(cursor, spelled, source)
    if cursor.written:
        return _inside(cursor, spelled, source, place)
    return _beginning(cursor, source, place, copied)


# Features are hashes of whole numbers alone: those of bytes are others in each process, and drafts would be.


def _anywhere(cursor: JsonCursor, spelled: bytes, source: PromptLookup) -> list[Feature]:
    if len(cursor.written) > LONGEST_WRITTEN:
        return []
    # The next key is told by the text, whatever value stands before it.
    field = crc32(cursor.field)
    around = (crc32(cursor.part.encode()), field if cursor.part == "value" else 0, cursor.quoted)
    proposed = hash((*around, crc32(cursor.written), crc32(spelled), len(cursor.nesting)))
    return [hash((proposed, field)), *(hash((proposed, word)) for word in source.vocabulary())]


def _beginning(cursor: JsonCursor, source: PromptLookup, place: int, copied: int) -> list[Feature]:
    field, index = crc32(cursor.field), source.index_at(place)
    before, behind, word = crc32(source.word(index - 1)), crc32(source.word(index + 1)), source.word(index)
    distance = max(-1, min(_MOST_BEHIND, index - source.index_at(copied))) if copied else _NOTHING_COPIED
    return [
        hash((0, field, distance)),
        hash((1, distance)),
        hash((2, field, before)),
        hash((3, field, crc32(word))),
        hash((4, field, _shape(word))),
        hash((5, field, behind)),
    ]


def _inside(cursor: JsonCursor, spelled: bytes, source: PromptLookup, place: int) -> list[Feature]:
    ends, field, index = spelled.startswith(b'"'), crc32(cursor.field), source.index_at(place)
    word, written = source.word(index), cursor.written
    following = crc32(word)
    return [
        hash((6, ends, field, following)),
        hash((7, ends, following)),
        hash((8, ends, field, _shape(word))),
        hash((9, ends, field, crc32(source.word(index + 1)))),
        hash((10, ends, field, written.count(b" "))),
        hash((11, ends, field, crc32(written))),
        hash((12, ends, field, crc32(written.rsplit(b" ", 1)[-1]))),
    ]


def _shape(word: bytes) -> int:
    """Shape of a word: digits, letters of either case or of none, or its first character."""
    first = word.decode("utf-8", "replace")[:1]
    if first.isdigit():
        return 0
    if first.isalpha():
        return 1 if first.isupper() else 2 if first.islower() else 3
    return ord(first) if first else 4
