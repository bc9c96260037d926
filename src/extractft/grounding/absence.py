"""Examples of absence: the place of an optional field is cut from a text, and the field from its record.

Knows examples, schemas and characters; knows no tokens and no model.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from extractft.data import Example
from extractft.errors import PromptError
from extractft.grounding.record_grounding import ground
from extractft.grounding.spans import Span
from extractft.grounding.window_targets import absent_value
from extractft.schema import MISSING, ArrayNode, MapNode, Schema
from extractft.schema.record_paths import Route
from extractft.schema.records import Visit, walk

__all__ = ["absence_examples"]

T = TypeVar("T")
Spans = Mapping[str, tuple[Span, ...]]
JOINING, ENDING = ",;:|/，、；：·", ".。"
"""Signs between values, and behind them: where a cut leaves two side by side, the first goes too."""


@dataclass(frozen=True, slots=True)
class _OptionalField:
    """A field of a record that may be absent.

    Attributes:
        path: As the grounding names it: `lines.0.total`.
        pattern: The same for all records, positions as `*`.
        steps: Keys and positions that lead to it in the JSON value.
        absent: Its value when the text has none.
        filled: True if the record has a value for it.
    """

    path: str
    pattern: str
    steps: Route
    absent: Any
    filled: bool


@dataclass(slots=True)
class _FieldUse:
    """The rows that have a field, and those of them that fill it."""

    filled: int = 0
    rows: int = 0

    @property
    def share(self) -> float:
        """The share of rows that fill it."""
        return self.filled / self.rows


def absence_examples(
    examples: Sequence[Example[T]], schema: Schema[T], *, count: int, seed: int
) -> list[tuple[int, Example[T]]]:
    """Examples made from others by cutting the value of one optional field out of the text.

    Fields that are absent least often come first, so that a field which the examples always fill gets the most. A
    field is only cut where that is certain to be true to the text: all that it holds is found there as written,
    apart from every other value, and afterwards it is found nowhere while all others still are.

    Args:
        examples: Examples to make others from.
        schema: The schema of their outputs.
        count: Number of examples to make; fewer are made when there are no more places to cut.
        seed: Chooses among the rows.

    Returns:
        The examples made, each with the index of the one that it was made from.
    """
    values = [schema.full_value(example.output) for example in examples]
    uses: dict[str, _FieldUse] = {}
    waiting: dict[str, list[tuple[int, _OptionalField]]] = {}
    for index, value in enumerate(values):
        for place in _optional_fields(value, schema):
            use = uses.setdefault(place.pattern, _FieldUse())
            use.rows += 1
            use.filled += place.filled
            if place.filled:
                waiting.setdefault(place.pattern, []).append((index, place))
    shuffled = random.Random(seed)
    for found in waiting.values():
        shuffled.shuffle(found)
    made: list[tuple[int, Example[T]]] = []
    while len(made) < count and waiting:
        pattern = max(waiting, key=lambda name: uses[name].share)
        index, place = waiting[pattern].pop()
        if not waiting[pattern]:
            del waiting[pattern]
        example = _cut_field(examples[index], values[index], place, schema)
        if example is not None:
            made.append((index, example))
            uses[pattern].rows += 1
    return made


def _optional_fields(value: Any, schema: Schema[Any]) -> Iterator[_OptionalField]:
    """The fields of a full value that may be absent."""
    for visit in walk(value, schema):
        if visit.field is None or _is_in_map_or_tuple(visit):
            continue
        absent = absent_value(visit.field, schema)
        if absent is not MISSING:
            filled = visit.value not in (absent, None, "", [], {})
            yield _OptionalField(visit.path, visit.pattern, visit.keys, absent, filled)


def _is_in_map_or_tuple(visit: Visit) -> bool:
    """True if a map or the positions of a tuple are on the way: their parts are not left out one by one."""
    inner, parent = visit, visit.parent
    while parent is not None:
        if isinstance(parent.node, MapNode):
            return True
        if isinstance(parent.node, ArrayNode) and isinstance(inner.route[-1], str):
            return True
        inner, parent = parent, parent.parent
    return False


def _cut_field(example: Example[T], value: Any, place: _OptionalField, schema: Schema[T]) -> Example[T] | None:
    """The example without the field, `None` if that would not be true to the text."""
    try:
        before = ground(schema, value, example.text)
    except PromptError:  # a text that no extractor reads
        return None
    own = {path for path in before if path == place.path or path.startswith(place.path + ".")}
    if not own or any(not before[path] or before[path][0].method == "fuzzy" for path in own):
        return None
    cuts = sorted({(span.start, span.end) for path in own for span in before[path]})
    others = [(s[0].start, s[0].end) for path, s in before.items() if s and path not in own]
    if any(start < other_end and other_start < end for start, end in cuts for other_start, other_end in others):
        return None
    text = _cut_text(example.text, cuts)
    if not text.strip() or not _others_stay_found(before, ground(schema, value, text), own):
        return None
    output = _parse_or_none(schema, _replaced(value, place.steps, place.absent))
    return None if output is None else Example(text, output)


def _others_stay_found(before: Spans, after: Spans, cut: set[str]) -> bool:
    """True if the cut values are found nowhere, and everything else is found as it was."""
    return all(not after[path] if path in cut else _method(after[path]) == _method(before[path]) for path in before)


def _method(spans: tuple[Span, ...]) -> str | None:
    return spans[0].method if spans else None


def _parse_or_none(schema: Schema[T], value: Any) -> T | None:
    """The record that a value spells, `None` if a validator wants the field or says something else in its place."""
    try:
        output = schema.parse_value(value)
    except ValidationError:
        return None
    return output if schema.full_value(output) == value else None


def _replaced(value: Any, steps: Sequence[str | int], new: Any) -> Any:
    value = copy.deepcopy(value)
    target = value
    for step in steps[:-1]:
        target = target[step]
    target[steps[-1]] = copy.deepcopy(new)
    return value


def _cut_text(text: str, cuts: Sequence[tuple[int, int]]) -> str:
    """The text without these places, from the last to the first, and without signs that then have nothing to part."""
    for start, end in reversed(cuts):
        before, after = text[:start], text[end:]
        left, right = before.rstrip(), after.lstrip()
        if not left:
            before, after = "", right.lstrip(JOINING + ENDING).lstrip()
        elif not right:
            before, after = left.rstrip(JOINING), ""
        elif left[-1] in JOINING + ENDING and right[0] in JOINING + ENDING:
            before = left[:-1]
        elif before[-1].isspace() and after[0].isspace():
            after = after[1:]
        text = before + after
    return text
