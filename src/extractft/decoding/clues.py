"""What may tell whether a guess is right: words of the text, and where the record stands.

A guess that reads on in the text is told by the words around that place; any other, such as the next key, by the words
that stand anywhere in the text. Knows bytes; knows no tokens and no model.
"""

from __future__ import annotations

from collections.abc import Iterator

from extractft.decoding.chances import Clue
from extractft.decoding.copying import CopySource
from extractft.decoding.standing import Standing

__all__ = ["clues"]

_MOST_BEHIND = 3
_LONGEST_WRITTEN = 32


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
    told = _inside if standing.written else _beginning
    return [hash(clue) for clue in told(standing, spelled, source, place, copied)]


def _anywhere(standing: Standing, spelled: bytes, source: CopySource) -> list[Clue]:
    if len(standing.written) > _LONGEST_WRITTEN:
        return []
    field = standing.field if standing.part == "value" else b""
    guessed = hash((standing.part, field, standing.quoted, standing.written, spelled, len(standing.nesting)))
    return [hash((guessed, standing.field)), *(hash((guessed, word)) for word in source.vocabulary())]


def _beginning(
    standing: Standing, spelled: bytes, source: CopySource, place: int, copied: int
) -> Iterator[tuple[object, ...]]:
    field, index = standing.field, source.index_at(place)
    before, word, behind = (source.word(index + step) for step in (-1, 0, 1))
    distance = max(-1, min(_MOST_BEHIND, index - source.index_at(copied))) if copied else None
    yield "distance", field, distance
    yield "distance", distance
    yield "before", field, before
    yield "word", field, word
    yield "shape", field, _shape(word)
    yield "behind", field, behind


def _inside(
    standing: Standing, spelled: bytes, source: CopySource, place: int, copied: int
) -> Iterator[tuple[object, ...]]:
    ends, field, index = spelled.startswith(b'"'), standing.field, source.index_at(place)
    word, behind = source.word(index), source.word(index + 1)
    yield "next", ends, field, word
    yield "next", ends, word
    yield "shape", ends, field, _shape(word)
    yield "behind", ends, field, behind
    yield "words", ends, field, standing.written.count(b" ")
    yield "written", ends, field, standing.written
    yield "last", ends, field, standing.written.rsplit(b" ", 1)[-1]


def _shape(word: bytes) -> str:
    """What kind of word it is."""
    first = word.decode("utf-8", "replace")[:1]
    if first.isdigit():
        return "digit"
    if first.isalpha():
        return "upper" if first.isupper() else "lower" if first.islower() else "letter"
    return first
