"""Features of a proposal: words of the text, and the place in the record.

A proposal that reads on in the text is described by the words around that place; any other, such as the next key, by
the words that stand anywhere in the text. Knows bytes; knows no tokens and no model.
"""

from __future__ import annotations

from zlib import crc32

from extractft.speculation.acceptance import Feature
from extractft.speculation.json_cursor import JsonCursor
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.proposal_statistics import LONGEST_WRITTEN

__all__ = ["draft_features"]

_MOST_BEHIND, _NOTHING_COPIED = 3, -9


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
