"""The one answer to "is this value in this text, how, and where", for checks, evaluation and spans alike.

A value and a piece of text may be the same on one of several rungs of a ladder (`Rung`); `occurrences` finds the places
of a value on the lowest rung that has any. A place never begins or ends within a
grapheme cluster. Knows values and texts; knows no schema, and nothing of what is merely similar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Literal

from extractft.text.equality import Occurrence, Rung
from extractft.text.folding import fold_value, squeeze
from extractft.text.indexed_text import IndexedText
from extractft.text.nfc import normal_form
from extractft.text.other_notations import other_notations
from extractft.text.search_budget import SearchBudget, starts_of
from extractft.text.word_boundaries import cuts_word, weight, word_part

__all__ = ["FOLDED_COST", "MAX_PLACES", "SHORT_LENGTH", "folded_places", "occurrences", "written_places"]

MAX_PLACES = 1000
"""Places of one value that are kept, from the beginning of the text."""
CLUSTER_COST, WORD_COST, FOLDED_COST = 8.0, 4.0, 0.5
"""Costs of the cluster around a copied part of it, of a place that begins or ends within a word, and of one that is not
written the same."""
SHORT_LENGTH, LONG_LENGTH = 4, 40
"""Words of fewer letters are no part of longer words: `am` is not in `team`. Longer values may begin or end within a
number."""
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://")


def occurrences(
    value: str, text: IndexedText, *, verbatim: bool = False, link: bool = False, budget: SearchBudget | None = None
) -> list[Occurrence]:
    """The places of a value in a text. There are none for a value of white space alone, if it is not verbatim.

    Args:
        value: The value.
        text: The text to search.
        verbatim: True if it is known to be a copy, so that it may well begin or end within a word or a number.
        link: True if it is a link, which also stands in a text without the scheme and the closing slash.
        budget: The work that the search may do; when it is used up, the result is all that was found so far.

    Returns:
        Places on the lowest rung that has any, from left to right and each once. Where the value only stands as a
        part of longer words, those of the next rungs are among them.
    """
    budget = budget or SearchBudget(len(text.text))
    for spelled in _spellings(value) if link else (value,):
        found = _on_lowest_rung(spelled, text, budget, verbatim=verbatim)
        if found:
            return in_order(found if spelled == value else [replace(place, rung=Rung.FORM) for place in found])
    return []


def in_order(places: Iterable[Occurrence]) -> list[Occurrence]:
    """Places from left to right and each once, as on the lowest rung that it was found on."""
    best: dict[tuple[int, int], Occurrence] = {}
    for place in places:
        known = best.get((place.start, place.end))
        if known is None or (place.rung, place.cost) < (known.rung, known.cost):
            best[place.start, place.end] = place
    return [best[key] for key in sorted(best)]


def _spellings(link: str) -> Iterator[str]:
    bare = _SCHEME.sub("", link)
    for spelled in dict.fromkeys((link, link.rstrip("/"), bare, bare.rstrip("/"))):
        if len(spelled) >= SHORT_LENGTH:
            yield spelled


def _on_lowest_rung(value: str, text: IndexedText, budget: SearchBudget, *, verbatim: bool) -> list[Occurrence]:
    written = _first(written_places(value, text, budget, verbatim=verbatim))
    if written and (verbatim or any(not place.cost for place in written)):
        return written
    loose = fold_value(value, loose=True)
    if not verbatim and not any(map(str.isalnum, loose)):
        return written
    found = written + _first(folded_places(value, text, budget, verbatim=verbatim))
    if not found and weight(loose, SHORT_LENGTH) >= SHORT_LENGTH - 1:
        found = _first(folded_places(value, text, budget, loose=True))
    return found or _first(other_notations(value, text, budget))


def _first(places: Iterable[Occurrence]) -> list[Occurrence]:
    return list(islice(places, MAX_PLACES))


def written_places(
    value: str, text: IndexedText, budget: SearchBudget, *, verbatim: bool = False
) -> Iterator[Occurrence]:
    """The places where the text has the value character by character."""
    composed = normal_form("NFC", value)
    if composed.isspace() and not verbatim:
        return
    for start in starts_of(composed, text.text, budget):
        end = start + len(composed)
        if text.cuts_cluster(start, end):
            if verbatim:
                yield Occurrence(*text.whole_clusters(start, end), Rung.LOOSE, CLUSTER_COST)
            continue
        cut = _word_cut(text.text, start, end)
        if verbatim or cut != "wrong":
            yield Occurrence(start, end, _as_written(value, text, start, end), WORD_COST * (cut is not None))


def _as_written(value: str, text: IndexedText, start: int, end: int) -> Rung:
    return Rung.EXACT if text.slice(start, end) == value else Rung.NFC


def folded_places(
    value: str, text: IndexedText, budget: SearchBudget, *, loose: bool = False, verbatim: bool = False
) -> Iterator[Occurrence]:
    """The places where the text has the value in other writing. `US` is not `us`, though `am` may be `AM`."""
    view = text.loose if loose else text.folded
    folded = fold_value(value, loose=loose)
    cased = len(folded) < SHORT_LENGTH and not value.islower()
    squeezed = squeeze(value)
    for found in starts_of(folded, view.text, budget):
        place = view.to_source(found, found + len(folded))
        if place is None or text.cuts_cluster(*place):
            continue
        start, end = place
        piece = text.text[start:end]
        if piece == value:  # found as it is written
            continue
        cut = _word_cut(text.text, start, end)
        if verbatim or not (cut == "wrong" or (cased and piece.islower())):
            same = Rung.BLANKS if squeeze(piece) == squeezed else Rung.LOOSE if loose else Rung.FOLDED
            yield Occurrence(start, end, same, FOLDED_COST + WORD_COST * (cut is not None))


def _word_cut(text: str, start: int, end: int) -> Literal["part", "wrong"] | None:
    """`"part"` for a part of a longer word, `"wrong"` for one that cannot be meant as such, `None` for whole words."""
    edges = [at for at in (start, end) if cuts_word(text, at)]
    if not edges:
        return None
    if end - start < LONG_LENGTH and any(text[at].isdecimal() for at in edges):
        return "wrong"
    return "wrong" if end - start < SHORT_LENGTH and all(map(word_part, text[start:end])) else "part"
