"""Free texts of a record and their places in its text: the one meaning of "ungrounded".

Free text (strings without a format, e-mail addresses, links) is *ungrounded* if it has no place in its text on any rung
of `extractft.text.Rung`. Choices, truth values, numbers, dates and the like never are: a record has them in a form of
its own, and they may follow from a text that does not spell them. Used by the check of examples, by the evaluation, and
by the spans. Knows records and texts; knows no scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from extractft.schema import Node, Schema, StringNode
from extractft.schema.records import Visit, walk
from extractft.schema.string_formats import STRING_FORMATS
from extractft.text import IndexedText, Occurrence, SearchBudget, is_blank, occurrences

__all__ = ["find_free_text", "is_free_text", "iter_free_texts", "ungrounded_paths"]

FREE_TEXT_FORMATS = (None, *(name for name, spec in STRING_FORMATS.items() if spec.in_texts == "as_is"))


def is_free_text(node: Node) -> bool:
    """True if the values of a node are free text."""
    return isinstance(node, StringNode) and node.format in FREE_TEXT_FORMATS


def iter_free_texts(value: Any, schema: Schema[Any]) -> Iterator[Visit]:
    """The free texts of a record that are not blank."""
    for visit in walk(value, schema):
        if is_free_text(visit.node) and isinstance(visit.value, str) and not is_blank(visit.value):
            yield visit


def find_free_text(
    node: StringNode, value: str, text: IndexedText, budget: SearchBudget | None = None
) -> list[Occurrence]:
    """Find the places of a string in its text; see `extractft.text.occurrences`."""
    verbatim = node.verbatim is not None
    return occurrences(value, text, verbatim=verbatim, link=node.format == "uri", budget=budget)


def ungrounded_paths(value: Any, schema: Schema[Any], text: IndexedText) -> set[str]:
    """The paths of the free texts of a record that are nowhere in its text."""
    return {
        visit.path
        for visit in iter_free_texts(value, schema)
        if isinstance(visit.node, StringNode) and not find_free_text(visit.node, visit.value, text)
    }
