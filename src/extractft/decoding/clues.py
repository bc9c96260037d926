"""What may tell whether a guess is right: words of the text, and where the record stands.

A guess that reads on in the text is told by the words around that place; any other, such as the next key, by the words
that stand anywhere in the text. Knows bytes; knows no tokens and no model.
"""

from __future__ import annotations

from zlib import crc32

from extractft.decoding.chances import Clue
from extractft.decoding.copying import CopySource
from extractft.decoding.draft_memory import LONGEST_WRITTEN
from extractft.decoding.standing import Standing

__all__ = ["clues"]

_MOST_BEHIND, _NOTHING_COPIED = 3, -9


def clues(standing: Standing, spelled: bytes, source: CopySource, place: int | None, copied: int) -> list[Clue]:
    """What tells of one guess.

    Args:
        standing: Where the record stands.
        spelled: The bytes of the guessed token.
        source: The text.
        place: The byte of the text that the guess reads on from, or that it ends a value before; `None` if it has to
            do with no place of the text.
        copied: The byte of the text behind the value that was copied last.
    """
    if place is None:
        return _anywhere(standing, spelled, source)
    if standing.written:
        return _inside(standing, spelled, source, place)
    return _beginning(standing, source, place, copied)


# Clues are hashes of whole numbers alone: those of bytes are others in each process, and drafts would be.


def _anywhere(standing: Standing, spelled: bytes, source: CopySource) -> list[Clue]:
    if len(standing.written) > LONGEST_WRITTEN:
        return []
    # The next key is told by the text, whatever value stands before it.
    field = crc32(standing.field)
    around = (crc32(standing.part.encode()), field if standing.part == "value" else 0, standing.quoted)
    guessed = hash((*around, crc32(standing.written), crc32(spelled), len(standing.nesting)))
    return [hash((guessed, field)), *(hash((guessed, word)) for word in source.vocabulary())]


def _beginning(standing: Standing, source: CopySource, place: int, copied: int) -> list[Clue]:
    field, index = crc32(standing.field), source.index_at(place)
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


def _inside(standing: Standing, spelled: bytes, source: CopySource, place: int) -> list[Clue]:
    ends, field, index = spelled.startswith(b'"'), crc32(standing.field), source.index_at(place)
    word, written = source.word(index), standing.written
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
    """What kind of word it is: digits, letters of either case or of none, or what it begins with."""
    first = word.decode("utf-8", "replace")[:1]
    if first.isdigit():
        return 0
    if first.isalpha():
        return 1 if first.isupper() else 2 if first.islower() else 3
    return ord(first) if first else 4
