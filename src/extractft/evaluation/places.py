"""The places of values in a text, as the report needs them. Knows places; knows no fields and no scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Lookup", "Places", "Range", "nearest"]

Range = tuple[int, int]
Places = Mapping[str, Sequence[Range]]
"""For each path of a record the places of its value in the text, most likely first."""
Lookup = Callable[[Any, str, bool], Places]
"""Looks the values of a record, in JSON form, up in its text; if the last argument says so, leaves out parts of words
for a value that also stands as a word. A prediction may well be half a word, a gold value hardly."""


def nearest(gold: Sequence[Range], prediction: Sequence[Range]) -> tuple[Range | None, Range | None]:
    """One place for each of two values: two that overlap if there are such, else the most likely ones."""
    for right in gold:
        for found in prediction:
            if right[0] < found[1] and found[0] < right[1]:
                return right, found
    return next(iter(gold), None), next(iter(prediction), None)
