"""Where the values of a record stand in its text. Knows characters; knows no fields and no scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from extractft.evaluation.tree import Place, Tree, leaves

__all__ = ["Places", "Range", "exact_places", "nearest"]

Range = tuple[int, int]
Places = Mapping[str, Sequence[Range]]
"""For each path of a record the places of its value in the text, most likely first."""
MAX_PLACES = 50


def exact_places(record: Tree | None, text: str, *, words: bool) -> Places:
    """The places at which strings of a record stand in the text, letter by letter.

    Places that are whole words come first. Numbers and other scalars are not looked up: a 3 in the text need not be
    the 3 of the record.

    Args:
        record: The values; `None` if there are none.
        text: Where to look.
        words: Leave out places within words where the value also stands as a word. A prediction may well be half a
            word, a gold value hardly.
    """
    if record is None:
        return {}
    found: dict[str, list[Range]] = {}
    for place, leaf in leaves(record, Place()):
        if isinstance(leaf.value, str) and leaf.value.strip():
            places = sorted(_occurrences(leaf.value, text), key=lambda where: not _whole(where, text))
            whole = [where for where in places if _whole(where, text)] if words else []
            found[".".join(place.path)] = whole or places
    return found


def _occurrences(value: str, text: str) -> Iterator[Range]:
    start, count = text.find(value), 0
    while start >= 0 and count < MAX_PLACES:
        yield start, start + len(value)
        start, count = text.find(value, start + 1), count + 1


WORD = re.compile(r"[0-9A-Za-z]")


def _whole(place: Range, text: str) -> bool:
    """Whether no Latin word or number is cut in two at either end; other scripts put no blanks between words."""
    start, end = place
    cut_before = start > 0 and WORD.match(text[start]) and WORD.match(text[start - 1])
    cut_after = end < len(text) and WORD.match(text[end - 1]) and WORD.match(text[end])
    return not (cut_before or cut_after)


def nearest(gold: Sequence[Range], prediction: Sequence[Range]) -> tuple[Range | None, Range | None]:
    """One place for each of two values: two that overlap if there are such, else the most likely ones."""
    for right in gold:
        for found in prediction:
            if right[0] < found[1] and found[0] < right[1]:
                return right, found
    return next(iter(gold), None), next(iter(prediction), None)
