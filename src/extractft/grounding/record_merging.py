"""Merges the records of a long text's windows into one, and says from which windows each value came.

Rules by field (`Merge` in the schema, else by kind): of scalars and unions the first window that says something, lists
one after another, objects field by field, mappings key by key. Knows canonical values and where they were found; knows
no models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from extractft.errors import MergeConflictError
from extractft.grounding.list_merging import WindowValue, equal_json, join_items
from extractft.grounding.spans import Span
from extractft.grounding.text_windows import Window
from extractft.schema import (
    MISSING,
    ArrayNode,
    Field,
    LiteralNode,
    MapNode,
    MergeRule,
    Node,
    NullNode,
    ObjectNode,
    Schema,
)
from extractft.schema.nodes import options_of
from extractft.schema.record_paths import Route, join_path, path_of
from extractft.schema.records import choose_option, scalars

__all__ = ["MergedRecord", "ValueSource", "merge", "merge_records", "merge_spans"]

Spans = Mapping[str, Sequence[Span]]


@dataclass(frozen=True, slots=True)
class ValueSource:
    """The origin of a value of a merged record.

    Attributes:
        window: Number of the window, from 0.
        path: Path of the value in the record of that window.
    """

    window: int
    path: str


@dataclass(frozen=True, slots=True)
class MergedRecord:
    """One record made of several.

    Attributes:
        value: The record in canonical form. What only the schema's own validators can refuse (too many items, say) is
            not checked.
        sources: For every leaf, the windows that say it, the one it was taken from first.
    """

    value: Any
    sources: Mapping[str, tuple[ValueSource, ...]]


def merge_records(schema: Schema[Any], values: Sequence[Any]) -> Any:
    """The merged value alone; see `merge`."""
    return merge(schema, values).value


def merge(
    schema: Schema[Any], values: Sequence[Any], *, spans: Sequence[Spans] | None = None, text: str = ""
) -> MergedRecord:
    """Merge the records of a text's windows.

    A value says something if it is not null, empty or the field's default. Of what has to be chosen, the first window
    that says something wins; with `spans`, the first whose value stands in its text: a window without the value has to
    make one up where the field is required.

    Lists are joined in the order of the text. An item that two windows have counts once, as it does in an overlap; an
    item that one window has twice stays twice. An object at the edge of a window that says less than the same object
    in the next window, and nothing else, was cut off, and gives way to the whole one.

    Args:
        schema: The schema of the records.
        values: Canonical values of the windows, from left to right.
        spans: For each window what `ground` says of its record.
        text: The whole text, for the error's attribute alone.

    Raises:
        ValueError: There is nothing to merge, or not one set of spans for each value.
        MergeConflictError: Two windows say different things of a field marked `Merge("error")`.
    """
    if not values or (spans is not None and len(spans) != len(values)):
        raise ValueError(f"expected values, and as many spans, found {len(values)} and {spans and len(spans)}")
    merger = _Merger(schema, spans, text)
    pieces = [WindowValue(window, (), value) for window, value in enumerate(values)]
    value = merger.merge(schema.tree, None, MISSING, pieces, (), "")
    return MergedRecord(value, merger.sources)


def merge_spans(
    sources: Mapping[str, Sequence[ValueSource]], windows: Sequence[Window], spans: Sequence[Spans]
) -> dict[str, tuple[Span, ...]]:
    """The places of a merged record's leaves in the whole text.

    Args:
        sources: `MergedRecord.sources`.
        windows: The windows.
        spans: For each window what `ground` says of its record.

    Returns:
        Spans by path. First come the most likely places of the windows that have the value, those that are more than
        similar before the others; then all other places.
    """
    lifted: dict[str, tuple[Span, ...]] = {}
    for path, found in sources.items():
        places = [
            [span.shifted(windows[source.window].start) for span in spans[source.window].get(source.path, ())]
            for source in found
        ]
        first = sorted((group[0] for group in places if group), key=lambda span: span.method == "fuzzy")
        unique: dict[tuple[int, int], Span] = {}
        for span in (*first, *(span for group in places for span in group[1:])):
            unique.setdefault((span.start, span.end), span)
        lifted[path] = tuple(unique.values())
    return lifted


class _Merger:
    """Merges the records of one text; `sources` fills up on the way, in the order of the record."""

    def __init__(self, schema: Schema[Any], spans: Sequence[Spans] | None, text: str) -> None:
        self.schema = schema
        self.text = text
        self.sources: dict[str, tuple[ValueSource, ...]] = {}
        self._grounded = None if spans is None else [_prefixes(found) for found in spans]

    def merge(
        self, node: Node, rule: MergeRule | None, default: Any, pieces: list[WindowValue], route: Route, pattern: str
    ) -> Any:
        """The merged value of the windows' values of one place; `MISSING` if there are none."""
        informative = [piece for piece in pieces if self._is_informative(node, piece.value, default)]
        if not informative:
            return self._take_whole(node, pieces[:1], pieces, route)
        if rule == "error":
            self._require_agreement(informative, pattern)
        options = [option for option in options_of(node, self.schema.definitions) if not isinstance(option, NullNode)]
        if rule in ("first", "error") or len(options) != 1:
            return self._take_whole(node, self._first_grounded(informative), informative, route)
        match options[0]:
            case ObjectNode(fields=fields):
                return self._object(fields, informative, route, pattern)
            case MapNode() as mapping:
                return self._map(mapping, informative, route, pattern)
            case ArrayNode(items=items, prefix=()) as array if items is not None:
                return self._list(array, items, informative, route)
        return self._take_whole(node, self._first_grounded(informative), informative, route)

    def _object(self, fields: Sequence[Field], pieces: list[WindowValue], route: Route, pattern: str) -> dict[str, Any]:
        made = {}
        for field in fields:
            inner = [piece.into(field.name, piece.value[field.key]) for piece in pieces if field.key in piece.value]
            place = join_path(pattern, field.name)
            value = self.merge(field.node, field.merge, field.default, inner, (*route, field.name), place)
            if value is not MISSING:
                made[field.key] = value
        return made

    def _map(self, node: MapNode, pieces: list[WindowValue], route: Route, pattern: str) -> dict[str, Any]:
        keys = dict.fromkeys(key for piece in pieces for key in piece.value)
        if isinstance(node.keys, LiteralNode):
            keys = dict.fromkeys(str(key) for key in node.keys.values if str(key) in keys)
        made = {}
        for key in keys:
            inner = [piece.into(key, piece.value[key]) for piece in pieces if key in piece.value]
            place = join_path(pattern, "*")
            made[key] = self.merge(node.values, None, MISSING, inner, (*route, key), place)
        return made

    def _list(self, node: ArrayNode, items: Node, pieces: list[WindowValue], route: Route) -> list[Any]:
        windows = [[piece.into(index, item) for index, item in enumerate(piece.value)] for piece in pieces]
        joined = join_items(windows, unique=node.unique)
        for index, item in enumerate(joined):
            self._record_sources(items, item.value, item.sources, (*route, index))
        return [item.value for item in joined]

    def _take_whole(self, node: Node, chosen: list[WindowValue], pieces: list[WindowValue], route: Route) -> Any:
        """The value of the chosen piece as it is; others that have the same are sources as well."""
        if not chosen:
            return MISSING
        others = [piece for piece in pieces if piece is not chosen[0] and equal_json(piece.value, chosen[0].value)]
        self._record_sources(node, chosen[0].value, [chosen[0], *others], route)
        return chosen[0].value

    def _first_grounded(self, informative: list[WindowValue]) -> list[WindowValue]:
        if self._grounded is not None:
            for piece in informative:
                if path_of(piece.route) in self._grounded[piece.window]:
                    return [piece]
        return informative[:1]

    def _record_sources(self, node: Node, value: Any, having: list[WindowValue], route: Route) -> None:
        """Keep the sources of all leaves of a value."""
        known = [
            (piece, {leaf.route: leaf.value for leaf in scalars(piece.value, self.schema, node=node)})
            for piece in having
        ]
        for leaf in scalars(value, self.schema, node=node):
            self.sources[path_of((*route, *leaf.route))] = tuple(
                ValueSource(piece.window, path_of((*piece.route, *leaf.route)))
                for piece, leaves in known
                if leaf.route in leaves and equal_json(leaves[leaf.route], leaf.value)
            )

    def _is_informative(self, node: Node, value: Any, default: Any) -> bool:
        """True if a value says something."""
        if value is None or value in ("", [], {}) or (default is not MISSING and equal_json(value, default)):
            return False
        option = choose_option(node, value, self.schema)
        if isinstance(option, ObjectNode) and isinstance(value, dict):
            return any(
                self._is_informative(field.node, value[field.key], field.default)
                for field in option.fields
                if field.key in value
            )
        return True

    def _require_agreement(self, informative: list[WindowValue], pattern: str) -> None:
        other = next((piece for piece in informative if not equal_json(piece.value, informative[0].value)), None)
        if other is None:
            return
        windows = informative[0].window, other.window
        where = pattern or "the record"
        raise MergeConflictError(
            f"{where}: expected windows that agree, found different values in {windows[0]} and {windows[1]}",
            path=pattern,
            windows=windows,
            text=self.text,
        ).hint('The field is marked Merge("error"). Merge("first") takes what comes first in the text.')


def _prefixes(spans: Spans) -> set[str]:
    """The paths of all values that have a place, and of all that they are parts of."""
    grounded = {""} if any(spans.values()) else set()
    for path, found in spans.items():
        while found and path:
            grounded.add(path)
            path = path.rpartition(".")[0]
    return grounded
