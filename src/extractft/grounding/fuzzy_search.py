"""The place in a folded text that is most like a value: found coarsely by rapidfuzz, then cut to size exactly.

Strict on purpose: similar is not the same, and a place that is shown for a value is believed. Knows folded texts, not
what values mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from extractft.text import SearchBudget
from extractft.text.folding import FoldedText
from extractft.text.word_boundaries import UNSPACED, cuts_word, weight, word_part

__all__ = ["MAX_LENGTH", "MIN_SIMILARITY", "MIN_WEIGHT", "SimilarPiece", "find_similar"]

MIN_SIMILARITY = 0.8
"""1 - edits / length, from which on a place is shown; measured by `benchmarks/trust.py`."""
MIN_WEIGHT = 8
"""Shorter values are never looked up this way. Letters and digits weigh 1, characters of scripts without spaces 2."""
MAX_LENGTH = 500
"""Longer values are not looked up this way either, so that the work for one value stays bounded."""
_ROUGH = 0.9
"""rapidfuzz compares with pieces as long as the value; the best cut of such a piece may be this much better."""
_DIGITS = re.compile(r"[0-9]+")
_WORD = re.compile(rf"[^\W\d_{UNSPACED}]+")
_WORD_EDITS = 1 / 3
"""Edits a letter that leave a word the same word; in scripts without spaces, one edit in any three characters."""


@dataclass(frozen=True, slots=True)
class SimilarPiece:
    """A piece of a text that is like a value.

    Attributes:
        start: First character, in the text before folding.
        end: Character after the last one.
        similarity: 1 - edits / length.
    """

    start: int
    end: int
    similarity: float


def find_similar(
    text: FoldedText, value: str, *, least: float = MIN_SIMILARITY, budget: SearchBudget | None = None
) -> SimilarPiece | None:
    """The place in the source that is most like a folded value; `None` if none is alike enough.

    Every word of the value has to be there, a few letters aside, and the digits have to be the same ones: another
    house number is another house, and Stanford University Press is not Oxford University Press.

    Args:
        text: The folded text.
        value: A value, folded the same way.
        least: Least similarity, above 0.
        budget: The work that the search may do; nothing is found once it is used up.
    """
    if weight(value, MIN_WEIGHT) < MIN_WEIGHT or len(value) > MAX_LENGTH:
        return None
    if budget is not None and not budget.allows_comparison(len(value)):
        return None
    window = _rough_window(text.text, value, least)
    if window is None:
        return None
    found = _closest_piece(text.text, value, *window)
    if found is None:
        return None
    start, end = _trimmed(text.text, value, *_whole_words(text.text, value, *found))
    similarity = _similarity(value, text.text[start:end])
    if similarity < least or not _same_words(value, text.text[start:end]):
        return None
    place = text.to_source(start, end)
    return None if place is None else SimilarPiece(*place, similarity)


def _rough_window(text: str, value: str, least: float) -> tuple[int, int] | None:
    """A stretch of the text in which the most similar piece lies."""
    margin = int(len(value) * (1 - least)) + 4
    if len(text) <= len(value):
        return 0, len(text)
    found = fuzz.partial_ratio_alignment(value, text, score_cutoff=100 * least * _ROUGH)
    if found is None:
        return None
    return max(0, found.dest_start - margin), min(len(text), found.dest_end + margin)


def _closest_piece(text: str, value: str, low: int, high: int) -> tuple[int, int] | None:
    """The piece of `text[low:high]` with the fewest edits to the value; of several, the first to end."""
    ends = _edits(value, text[low:high])
    fewest = min(ends)
    if fewest >= len(value):
        return None
    end = ends.index(fewest)
    starts = _edits(value[::-1], text[low : low + end][::-1])
    longest = max(index for index, edits in enumerate(starts) if edits == fewest and index <= end)
    shortest = starts.index(fewest)
    # where a cut costs the same edits, the piece of the value's own length is the fairest
    length = min(max(len(value), shortest), longest)
    if starts[length] != fewest:
        length = shortest
    return low + end - length, low + end


def _edits(pattern: str, text: str) -> list[int]:
    """For every end in the text, the fewest edits between the pattern and a piece that ends there.

    Myers' bit-parallel algorithm (1999) on Python's unlimited integers: one step a character of the text.
    """
    size = len(pattern)
    masks: dict[str, int] = {}
    for index, char in enumerate(pattern):
        masks[char] = masks.get(char, 0) | 1 << index
    full, last = (1 << size) - 1, 1 << size - 1
    plus, minus, score = full, 0, size
    scores = [size]
    for char in text:
        equal = masks.get(char, 0)
        vertical = equal | minus
        horizontal = (((equal & plus) + plus) ^ plus) | equal
        up, down = minus | ~(horizontal | plus) & full, plus & horizontal
        score += bool(up & last) - bool(down & last)
        up, down = up << 1 & full, down << 1 & full
        plus, minus = down | ~(vertical | up) & full, up & vertical
        scores.append(score)
    return scores


def _whole_words(text: str, value: str, start: int, end: int) -> tuple[int, int]:
    """Move edges that cut a word to the nearer end of it that costs less; keep them where that costs too much."""
    for move in (_move_start, _move_end):
        options = move(text, start, end, len(value))
        if options:
            start, end = max(options, key=lambda piece: _similarity(value, text[piece[0] : piece[1]]))
    return start, end


def _move_start(text: str, start: int, end: int, most: int) -> list[tuple[int, int]]:
    if not cuts_word(text, start):
        return []
    left, right = _word_edge(text, start, -1, most), _word_edge(text, start, 1, end - start)
    return [(left, end), (right, end)] if right < end else [(left, end)]


def _move_end(text: str, start: int, end: int, most: int) -> list[tuple[int, int]]:
    if not cuts_word(text, end):
        return []
    left, right = _word_edge(text, end, -1, end - start), _word_edge(text, end, 1, most)
    return [(start, right), (start, left)] if left > start else [(start, right)]


def _word_edge(text: str, at: int, step: int, most: int) -> int:
    """The next position to one side that cuts no word, at most so many characters away: farther is unlike anyway."""
    for _ in range(most):
        at += step
        if not cuts_word(text, at):
            break
    return at


def _trimmed(text: str, value: str, start: int, end: int) -> tuple[int, int]:
    """Leave out what stands at the edges of the piece and is part of neither a word nor the value."""
    while end - start > 1 and not text[start].isalnum() and text[start] != value[0]:
        start += 1
    while end - start > 1 and not text[end - 1].isalnum() and text[end - 1] != value[-1]:
        end -= 1
    return start, end


def _same_words(value: str, piece: str) -> bool:
    """True if the edits are spread so thinly that every word of the value is still the same word."""
    if _DIGITS.findall(value) != _DIGITS.findall(piece):
        return False
    edits = [0] * len(value)
    added = [""] * (len(value) + 1)
    for edit in Levenshtein.editops(value, piece):
        if edit.tag == "insert":
            added[edit.src_pos] += piece[edit.dest_pos]
        else:
            edits[edit.src_pos] += 1
    for match in _WORD.finditer(value):
        start, end = match.span()
        inside = sum(map(len, added[start + 1 : end]))
        glued = _letters(reversed(added[start])) + _letters(added[end])
        if sum(edits[start:end]) + inside + glued > _WORD_EDITS * (end - start):
            return False
    dense = (index for index, char in enumerate(value) if word_part(char) is None and char.isalnum())
    gaps = list(map(bool, added))
    return all(sum(edits[i : i + 3]) + sum(gaps[i + 1 : i + 3]) <= 3 * _WORD_EDITS for i in dense)


def _letters(text: Iterable[str]) -> int:
    """The number of letters at the start."""
    return sum(1 for _ in takewhile(lambda char: word_part(char) == "letter", text))


def _similarity(value: str, piece: str) -> float:
    return Levenshtein.normalized_similarity(value, piece)
