"""Count how the fields of a schema are used in examples, and report odd uses. Knows no tokens and no grammar."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from extractft.data.check_report import FieldSummary, Finding
from extractft.data.example import Example
from extractft.data.free_text import find_free_text, is_free_text
from extractft.schema import MISSING, ArrayNode, Field, JsonScalar, LiteralNode, Schema, StringNode, verbatim_sources
from extractft.schema.nodes import accepts_null, options_of
from extractft.schema.records import Visit, walk
from extractft.text import IndexedText, is_blank, normal_form

__all__ = ["FieldStats", "collect_field_stats", "field_findings", "field_summaries"]

T = TypeVar("T")

INFERRED_SHARE = 0.5
"""Least share of values that are not in their text for a field to count as inferred rather than copied."""
IMBALANCED_SHARE = 0.95
"""Least share of one allowed value at which the others are as good as unseen."""
MIN_VALUES = 20
"""Least number of values that say something about their distribution."""
MAX_SHOWN_VALUES = 10


@dataclass(slots=True)
class FieldStats:
    """Counts of how one field, or the items of one list, is used.

    Attributes:
        field: The field, `None` for items.
        nullable: True if it may be null or an empty list.
        allowed: The values of its enums and literals.
        total: Objects that have the field.
        filled: Of these, those in which it is not null, empty or its default.
        strings: Number of free texts among its values.
        ungrounded: Row of each free text that is nowhere in its source text; see `extractft.data.free_text`.
        not_verbatim: Row of each that is not copied from it character by character, or up to normalisation where
            the field asks for no more than that.
        verbatim: True if the field is marked `Verbatim`.
        blank: Row of each empty string.
        seen: Count of each allowed value.
    """

    field: Field | None
    nullable: bool
    allowed: tuple[JsonScalar, ...]
    total: int = 0
    filled: int = 0
    strings: int = 0
    ungrounded: list[int] = dataclasses.field(default_factory=list)
    not_verbatim: list[int] = dataclasses.field(default_factory=list)
    verbatim: bool = False
    blank: list[int] = dataclasses.field(default_factory=list)
    seen: Counter[JsonScalar] = dataclasses.field(default_factory=Counter)

    def add(self, visit: Visit, row: int, text: IndexedText) -> None:
        """Count one value."""
        self.total += 1
        self.filled += _is_filled(visit)
        if isinstance(visit.node, StringNode) and is_free_text(visit.node) and isinstance(visit.value, str):
            self._add_string(visit.node, visit.value, row, text)
        elif isinstance(visit.node, LiteralNode):
            self.seen[visit.value] += 1

    def _add_string(self, node: StringNode, value: str, row: int, text: IndexedText) -> None:
        self.verbatim |= node.verbatim is not None
        value = normal_form("NFC", value)
        if not value or not any(value in source for source in verbatim_sources(text.text, node.verbatim or "exact")):
            self.not_verbatim.append(row)
        if is_blank(value):
            self.blank.append(row)
            return
        self.strings += 1
        if not find_free_text(node, value, text):
            self.ungrounded.append(row)


def collect_field_stats(examples: Sequence[Example[T]], schema: Schema[T]) -> dict[str, FieldStats]:
    """Statistics by path (positions in lists as `*`), in the order of the schema."""
    stats: dict[str, FieldStats] = {}
    for row, example in enumerate(examples, 1):
        text = IndexedText(example.text)
        for visit in walk(schema.full_value(example.output), schema):
            if visit.pattern not in stats:
                stats[visit.pattern] = _new_stats(visit, schema)
            stats[visit.pattern].add(visit, row, text)
    return stats


def field_summaries(stats: dict[str, FieldStats]) -> tuple[FieldSummary, ...]:
    """The counts for the report: all fields, and items and records that are texts themselves."""
    return tuple(
        FieldSummary(path, found.total, found.filled, found.strings, len(found.ungrounded))
        for path, found in stats.items()
        if found.field is not None or found.strings
    )


def _new_stats(visit: Visit, schema: Schema[Any]) -> FieldStats:
    options = options_of(visit.field.node if visit.field else visit.node, schema.definitions)
    allowed = [value for option in options if isinstance(option, LiteralNode) for value in option.values]
    nullable = visit.field is not None and (
        accepts_null(visit.field.node, schema.definitions)
        or any(isinstance(o, ArrayNode) and not o.min_items for o in options)
    )
    return FieldStats(visit.field, nullable, tuple(value for value in allowed if value is not None))


def _is_filled(visit: Visit) -> bool:
    if visit.value is None or visit.value in ("", [], {}):
        return False
    default = MISSING if visit.field is None else visit.field.default
    return default is MISSING or visit.value != default


def field_findings(stats: dict[str, FieldStats]) -> Iterator[Finding]:
    """Findings about fields that are used in an odd way."""
    for path, found in stats.items():
        yield from _filling_findings(path, found)
        yield from _verbatim_findings(path, found)
        yield from _grounding_findings(path, found)
        yield from _allowed_value_findings(path, found)


def _filling_findings(path: str, found: FieldStats) -> Iterator[Finding]:
    if found.field is None or len(found.allowed) == 1:  # a tag says the same everywhere
        return
    if not found.filled:
        has_default = found.field.default is not MISSING and found.field.default not in (None, "", [], {})
        what = "always has its default" if has_default else "is never filled"
        yield Finding("never_filled", "warning", f"{what}: the model cannot learn when to fill it", field=path)
    elif found.nullable and found.filled == found.total:
        message = (
            "may be absent but never is: the model will invent it where the text has none. Add rows without it, or "
            "have some made (absence_examples)"
        )
        yield Finding("never_absent", "info", message, field=path)
    if found.blank:
        message = "empty strings: absence has two spellings where null or a default means the same"
        yield Finding("blank_string", "warning", message, _unique(found.blank), path)


def _verbatim_findings(path: str, found: FieldStats) -> Iterator[Finding]:
    if found.verbatim and found.not_verbatim:
        message = (
            f"{len(found.not_verbatim)} values of a verbatim field are not in their text, so the model could never "
            "write them: correct them, or take Verbatim off the field"
        )
        yield Finding("not_verbatim", "error", message, _unique(found.not_verbatim), path)
    elif not found.verbatim and not found.not_verbatim and found.strings >= MIN_VALUES:
        message = (
            f"all {found.strings} values are copied from their text: Verbatim() would make it impossible to invent one"
        )
        yield Finding("could_be_verbatim", "info", message, field=path)


def _grounding_findings(path: str, found: FieldStats) -> Iterator[Finding]:
    if not found.ungrounded:
        return
    share = len(found.ungrounded) / found.strings
    counts = f"{len(found.ungrounded)} of {found.strings} values stand nowhere in their text"
    if share >= INFERRED_SHARE:
        message = f"{counts}: fine if the field is meant to be inferred rather than copied"
        yield Finding("ungrounded", "info", message, _unique(found.ungrounded), path)
    else:
        message = f"{counts}: most of the field is copied, so these are likely mistakes"
        yield Finding("ungrounded", "warning", message, _unique(found.ungrounded), path)


def _allowed_value_findings(path: str, found: FieldStats) -> Iterator[Finding]:
    total = found.seen.total()
    if len(found.allowed) < 2 or not total:
        return
    unseen = [value for value in found.allowed if not found.seen[value]]
    if unseen:
        names = ", ".join(repr(value) for value in unseen[:MAX_SHOWN_VALUES])
        more = f" and {len(unseen) - MAX_SHOWN_VALUES} more" if len(unseen) > MAX_SHOWN_VALUES else ""
        yield Finding("unseen_value", "info", f"no example has {names}{more}", field=path)
    value, count = found.seen.most_common(1)[0]
    if total >= MIN_VALUES and count / total >= IMBALANCED_SHARE:
        yield Finding("imbalance", "info", f"{count} of {total} values are {value!r}", field=path)


def _unique(rows: list[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(rows))
