"""The records of a long text's windows, out of the record of the whole text: the way back from `merge`.

Each window gets what the record has in it, by the places of the values. Knows canonical values, characters and windows;
knows no tokens and no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from extractft.grounding.list_merging import equal_json
from extractft.grounding.record_grounding import ground
from extractft.grounding.spans import Span
from extractft.grounding.text_windows import Window
from extractft.processes import raised_by_signal
from extractft.schema import (
    MISSING,
    ArrayNode,
    BooleanNode,
    Field,
    LiteralNode,
    MapNode,
    Node,
    NullNode,
    ObjectNode,
    Schema,
)
from extractft.schema.nodes import accepts_null, options_of
from extractft.schema.record_paths import join_path
from extractft.schema.records import choose_option

__all__ = ["WindowTargets", "window_targets"]

MIN_TEXT_LENGTH, MIN_OTHER_LENGTH = 2, 4
"""Characters from which a string, or a number or date, is taken for the same one wherever it stands."""
EMPTY: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True, slots=True)
class WindowTargets:
    """The records that the windows of a text should give.

    Attributes:
        values: For each window its record in canonical form; `MISSING` if no record is true to it, because a required
            field stands elsewhere or the schema's validators refuse what is left.
        lost: Fields, positions as `*`, of values that no window can say: they stand nowhere, or across an edge.
    """

    values: tuple[Any, ...]
    lost: tuple[str, ...]


def window_targets(schema: Schema[Any], value: Any, text: str, windows: Sequence[Window]) -> WindowTargets:
    """Divide the record of a text among its windows.

    A value is in every window in which it stands. Of numbers and dates shorter than four characters, of parts of list
    items and of items that a list has twice, only the likeliest place counts. What `merge` takes whole (unions, tuples,
    fields marked `Merge`) is whole in a window or not in it. A value that stands nowhere goes where most of the other
    values of its object stand. Where the record itself is that object, a choice (a literal, a bool) goes to every
    window, since each has to make it, and any other value is lost.

    Args:
        schema: The schema of the record.
        value: The record of the whole text in canonical form.
        text: The whole text.
        windows: Its windows, from left to right.

    Raises:
        PromptError: The text holds a lone surrogate, which no extractor reads.
    """
    root = _RecordReader(schema, ground(schema, value, text), windows).read(schema.tree, value, (), "")
    _settle(root, is_root=True)
    scalars = list(root.scalars())
    for scalar in scalars:
        if scalar.homes is None and scalar.choice:
            scalar.homes = frozenset(range(len(windows)))
    values: list[Any] = []
    said: set[int] = set()
    for number in range(len(windows)):
        made, own = _cut(root, number)
        valid = made is not MISSING and _is_valid(schema, made)
        values.append(made if valid else MISSING)
        said |= own if valid else set()
    made_of = {number for number, made in enumerate(values) if made is not MISSING}
    lost = [s for s in scalars if id(s) not in said and (not s.homes or s.homes & made_of)]
    return WindowTargets(tuple(values), tuple(dict.fromkeys(scalar.pattern or "the record" for scalar in lost)))


@dataclass(slots=True, eq=False)
class _Part:
    """A value of the record, and where it is.

    Attributes:
        node: What the schema says about it, the option of a union chosen.
        value: The canonical value.
        pattern: Its field, positions and data keys as `*`.
        homes: Of a scalar, the windows in which it stands; `None` for one that stands nowhere in the text.
        absent: What a window without it has in its place; `MISSING` if nothing can be.
        optional: True if a window without it may leave its key out.
        whole: True if its parts stay together.
        children: Its parts by their keys or positions.
    """

    node: Node
    value: Any
    pattern: str
    homes: frozenset[int] | None = None
    absent: Any = MISSING
    optional: bool = False
    whole: bool = False
    children: dict[Any, _Part] = field(default_factory=dict)

    @property
    def choice(self) -> bool:
        """True for one of a few scalars."""
        return isinstance(self.node, LiteralNode | BooleanNode)

    @property
    def silent(self) -> bool:
        """True if it says nothing: null, empty or the default."""
        return self.value in EMPTY or equal_json(self.value, self.absent)

    def scalars(self) -> Iterator[_Part]:
        """The scalars in it that say something, itself included."""
        if self.silent:
            return
        if not isinstance(self.node, ObjectNode | MapNode | ArrayNode):
            yield self
        for child in self.children.values():
            yield from child.scalars()


class _RecordReader:
    """Reads a record into parts, each scalar with the windows in which it stands."""

    def __init__(self, schema: Schema[Any], spans: Mapping[str, Sequence[Span]], windows: Sequence[Window]) -> None:
        self.schema = schema
        self.spans = spans
        self.windows = windows

    def read(self, node: Node, value: Any, route: tuple[str, ...], pattern: str, *, repeated: bool = False) -> _Part:
        """One value with all that is in it.

        Args:
            node: What the schema says about it.
            value: The canonical value.
            route: The way to it, fields by their names.
            pattern: The same with `*` for positions and keys that are data.
            repeated: Only the likeliest place of each scalar counts.
        """
        options = [option for option in options_of(node, self.schema.definitions) if not isinstance(option, NullNode)]
        part = _Part(choose_option(node, value, self.schema), value, pattern, whole=len(options) > 1)
        match part.node, value:
            case ObjectNode(), dict():
                self._read_fields(part.node, part, route, repeated)
            case MapNode() as mapping, dict():
                for key, item in value.items():
                    inner = (*route, str(key))
                    part.children[key] = self.read(
                        mapping.values, item, inner, join_path(pattern, "*"), repeated=repeated
                    )
            case ArrayNode(), list():
                self._read_items(part.node, part, route)
            case _:
                part.homes = self._homes(".".join(route), value, repeated)
        return part

    def _read_fields(self, node: ObjectNode, part: _Part, route: tuple[str, ...], repeated: bool) -> None:
        for own in node.fields:
            if own.key not in part.value:
                continue
            place = join_path(part.pattern, own.name)
            child = self.read(own.node, part.value[own.key], (*route, own.name), place, repeated=repeated)
            child.absent, child.optional = absent_value(own, self.schema), not own.required
            child.whole = child.whole or own.merge is not None
            part.children[own.key] = child

    def _read_items(self, node: ArrayNode, part: _Part, route: tuple[str, ...]) -> None:
        part.whole = part.whole or bool(node.prefix)
        counts = Counter(map(repr, part.value))
        for index, item in enumerate(part.value):
            inner = node.item_node(index)
            if inner is not None:
                repeated = isinstance(item, dict | list) or counts[repr(item)] > 1
                place = join_path(part.pattern, "*")
                part.children[index] = self.read(inner, item, (*route, str(index)), place, repeated=repeated)

    def _homes(self, path: str, value: Any, repeated: bool) -> frozenset[int] | None:
        """The windows that hold a scalar; `None` if it stands nowhere in the text."""
        spans = self.spans.get(path, ())
        if not spans:
            return None
        least = MIN_TEXT_LENGTH if isinstance(value, str) else MIN_OTHER_LENGTH
        sure = [span for span in spans[1:] if span.method != "fuzzy" and span.end - span.start >= least]
        counted = [spans[0], *([] if repeated else sure)]
        return frozenset(
            number
            for number, window in enumerate(self.windows)
            if any(window.start <= span.start and span.end <= window.end for span in counted)
        )


def _settle(part: _Part, *, is_root: bool = False) -> None:
    """Give what stands nowhere the windows that have most of what is around it, from the inside out."""
    for child in part.children.values():
        _settle(child)
    if is_root or not (part.whole or isinstance(part.node, ObjectNode)):
        return
    scalars = list(part.scalars())
    counts = Counter(number for scalar in scalars for number in scalar.homes or ())
    for scalar in scalars:
        if scalar.homes is None and counts:
            scalar.homes = frozenset(number for number, count in counts.items() if count == max(counts.values()))


def _cut(part: _Part, number: int) -> tuple[Any, set[int]]:
    """A part as a window has it, and the scalars that it says; `MISSING` if it is not there or cannot be."""
    scalars = list(part.scalars())
    if part.whole or not part.children:
        there = all(number in (scalar.homes or ()) for scalar in scalars)
        return (part.value, {id(scalar) for scalar in scalars}) if there else (MISSING, set())
    if isinstance(part.node, ObjectNode):
        return _cut_object(part, number)
    made: dict[Any, Any] = {}
    said: set[int] = set()
    for key, child in part.children.items():
        value, own = _cut(child, number)
        if own:
            made[key] = value
            said |= own
    return (list(made.values()) if isinstance(part.value, list) else made), said


def _cut_object(part: _Part, number: int) -> tuple[Any, set[int]]:
    made: dict[Any, Any] = {}
    said: set[int] = set()
    for key, child in part.children.items():
        value, own = _cut(child, number)
        if not own and next(child.scalars(), None) is not None:  # it says something, and not here
            if child.optional:
                continue
            value = value if child.absent is MISSING else child.absent
        if value is MISSING:
            return MISSING, set()
        made[key] = value
        said |= own
    return made, said


def absent_value(own: Field, schema: Schema[Any]) -> Any:
    """The value of a field in a text that has none of it; `MISSING` if it has to be there."""
    if own.default is not MISSING:
        return own.default
    if accepts_null(own.node, schema.definitions):
        return None
    options = options_of(own.node, schema.definitions)
    if any(isinstance(node, ArrayNode) and not node.min_items and not node.prefix for node in options):
        return []
    return {} if any(isinstance(node, MapNode) and not node.min_items for node in options) else MISSING


def _is_valid(schema: Schema[Any], value: Any) -> bool:
    """True if the schema takes a record, validators included, and writes it back."""
    try:
        schema.canonical_json(schema.parse_value(value))
    except Exception as error:  # validators may raise anything
        if raised_by_signal(error):
            raise
        return False
    return True
