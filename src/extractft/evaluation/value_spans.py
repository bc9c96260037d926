"""The spans of values in a text, as the report needs them. Knows texts and paths; knows no scores."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from extractft.data.free_text import ungrounded_paths
from extractft.grounding import ground
from extractft.schema import Schema
from extractft.text import IndexedText, cuts_word

__all__ = ["TextRange", "ValueLocator", "ValueSpans", "overlapping_spans"]

TextRange = tuple[int, int]
"""Characters of a text, end exclusive."""
ValueSpans = Mapping[str, Sequence[TextRange]]
"""For each path of a record the spans of its value in the text, most likely first."""


class ValueLocator:
    """Finds the values of a record, in JSON form, in its text by the rules of a schema."""

    def __init__(self, schema: Schema[Any]) -> None:
        self._schema = schema

    def gold_spans(self, value: Any, text: IndexedText) -> ValueSpans:
        """The spans of a gold record's values.

        Parts of words are left out for a value that also stands as a word: a prediction may well be half a word, a
        gold value hardly.
        """
        spans = {}
        for path, found in self.spans(value, text).items():
            words = [span for span in found if not any(cuts_word(text.original, border) for border in span)]
            spans[path] = words or found
        return spans

    def spans(self, value: Any, text: IndexedText) -> ValueSpans:
        """The spans of a prediction's values. Merely similar text does not count: the value does not stand there."""
        return {
            path: [(span.start, span.end) for span in spans if span.method != "fuzzy"]
            for path, spans in ground(self._schema, value, text).items()
        }

    def ungrounded(self, value: Any, text: IndexedText) -> set[str]:
        """The paths of the values that are free text and stand nowhere in the text."""
        return ungrounded_paths(value, self._schema, text)


def overlapping_spans(
    gold: Sequence[TextRange], prediction: Sequence[TextRange]
) -> tuple[TextRange | None, TextRange | None]:
    """One span for each of two values: two that overlap if there are such, else the most likely ones."""
    ordered = sorted(prediction)
    starts = [start for start, _ in ordered]
    farthest = list(accumulate((end for _, end in ordered), max))
    for right in gold:
        before = bisect_left(starts, right[1])
        if before and farthest[before - 1] > right[0]:
            return right, next(found for found in prediction if right[0] < found[1] and found[0] < right[1])
    return next(iter(gold), None), next(iter(prediction), None)
