"""A record as a tree of its present values, and the comparison of two scalars: exact, or after normalisation.

Absent are `null`, a missing key, an empty list and an empty object; an empty string is a value. Knows what values
spell; knows nothing of scores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any

from extractft.evaluation.merged_schema import WILDCARD, FieldPath, MergedSchema
from extractft.text import normal_form as unicode_form

__all__ = [
    "ListItem",
    "ListNode",
    "MappingNode",
    "MatchLevel",
    "Member",
    "ScalarNode",
    "ValuePath",
    "ValueTree",
    "iter_scalars",
    "normal_form",
    "normalize_string",
    "same_value",
    "squash",
    "to_tree",
]

EDGES = " .,;:!?。、·'\"`“”‘’«»‹›「」『』《》〈〉"
"""Cut off at both ends of a normalised string: blanks, sentence marks, quotes. Brackets and signs stay."""


class MatchLevel(IntEnum):
    """The level at which two values agree; a higher one includes the lower ones."""

    DIFFERENT = 0
    NORMALIZED = 1
    EXACT = 2


def normalize_string(text: str) -> str:
    """The form in which free text is compared by the normalised scores.

    NFKC (full-width letters and digits become plain ones), case folded, runs of white space folded into one blank,
    and blanks, sentence marks and quotes cut off at both ends. A string of nothing else keeps them.
    """
    folded = " ".join(_fold(text).split())
    return folded.strip(EDGES) or folded


def squash(text: str) -> str:
    """NFKC, case folded, without any white space: the form in which two values are compared part by part."""
    return "".join(_fold(text).split())


def _fold(text: str) -> str:
    return unicode_form("NFKC", unicode_form("NFKC", text).casefold())


def same_value(gold: Any, prediction: Any) -> bool:
    """True if two JSON scalars are the same value: `1` and `1.0` are, `1` and `true` are not.

    Strings are compared composed (NFC), as models are trained to write them.
    """
    if isinstance(gold, str) and isinstance(prediction, str):
        return gold == prediction or unicode_form("NFC", gold) == unicode_form("NFC", prediction)
    if isinstance(gold, bool) is not isinstance(prediction, bool):
        return False
    return bool(gold == prediction or (gold != gold and prediction != prediction))  # NaN is the same as NaN here


def normal_form(value: Any, schema: MergedSchema) -> Hashable:
    """The form that the normalised scores compare: equal forms count as equal values.

    Decimals, dates and times that are spelt as strings count by value (`12.50` is `12.5`, `14:00+02:00` is
    `12:00Z`), free text by `normalize_string`. Everything else has one spelling: numbers, booleans, and the words of
    a `Literal` or an `Enum`, where another case may be another choice.
    """
    if not isinstance(value, str):
        return type(value) is bool, value
    for name, parse in _PARSERS.items():
        if name in schema.formats:
            parsed = parse(value)
            if parsed is not None:
                return name, parsed
    return "text", normalize_string(value) if schema.free_text else value


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _datetime(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str) -> time | None:
    try:
        value = time.fromisoformat(text)
    except ValueError:
        return None
    if value.tzinfo is None:
        return value
    moment = datetime.combine(datetime(2000, 1, 2), value)  # a time alone cannot be moved to another zone
    return moment.astimezone(UTC).timetz()


_PARSERS: dict[str, Callable[[str], Decimal | datetime | time | None]] = {
    "decimal": _decimal,
    "datetime": _datetime,
    "time": _time,
}


@dataclass(slots=True)
class ScalarNode:
    """A scalar that is present."""

    value: Any
    schema: MergedSchema
    _key: str | None = field(default=None, init=False)
    _form: Hashable = field(default=None, init=False)

    @property
    def key(self) -> str:
        """Equal for identical values, and an order among all values."""
        if self._key is None:
            self._key = json.dumps(self.value, ensure_ascii=False)
        return self._key

    @property
    def form(self) -> Hashable:
        """Equal for values that are equal after normalisation."""
        if self._form is None:
            self._form = normal_form(self.value, self.schema)
        return self._form

    def match(self, other: ScalarNode) -> MatchLevel:
        """Compare two scalars that stand at the same place."""
        if same_value(self.value, other.value):
            return MatchLevel.EXACT
        return MatchLevel.NORMALIZED if self.form == other.form else MatchLevel.DIFFERENT


@dataclass(slots=True)
class Member:
    """A value of a `MappingNode`.

    Attributes:
        part: Its part of the field path.
        node: The value.
    """

    part: str
    node: ValueTree


@dataclass(slots=True)
class MappingNode:
    """An object, a map or a tuple: members by key."""

    members: dict[str, Member]
    _key: str | None = field(default=None, init=False)

    @property
    def key(self) -> str:
        """Equal for identical values, and an order among all values."""
        if self._key is None:
            inner = (f"{json.dumps(key)}:{member.node.key}" for key, member in sorted(self.members.items()))
            self._key = "{" + ",".join(inner) + "}"
        return self._key


@dataclass(slots=True)
class ListItem:
    """An item of a list.

    Attributes:
        index: Its position in the list of the record.
        node: Its value.
    """

    index: int
    node: ValueTree


@dataclass(slots=True)
class ListNode:
    """A list, whose order does not count."""

    items: list[ListItem]
    _key: str | None = field(default=None, init=False)

    @property
    def key(self) -> str:
        """Equal for identical values in any order, and an order among all values."""
        if self._key is None:
            self._key = "[" + ",".join(sorted(item.node.key for item in self.items)) + "]"
        return self._key


ValueTree = ScalarNode | MappingNode | ListNode


@dataclass(frozen=True, slots=True)
class ValuePath:
    """The place of a value: `field` is the path of its field, `path` the way through this very record."""

    field: FieldPath = ()
    path: FieldPath = ()

    def member(self, part: str, key: str) -> ValuePath:
        """The path of a mapping's member."""
        if not part:
            return self
        return ValuePath((*self.field, part), (*self.path, key if part == WILDCARD else part))

    def item(self, index: int) -> ValuePath:
        """The path of a list's item."""
        return ValuePath((*self.field, WILDCARD), (*self.path, str(index)))


def to_tree(value: Any, schema: MergedSchema) -> ValueTree | None:
    """Make a tree of a JSON-able value; `None` if nothing in it is present."""
    if value is None:
        return None
    if isinstance(value, dict):
        return _object_tree(value, schema)
    if isinstance(value, list | tuple):
        return _tuple_tree(value, schema) if schema.positions else _list_tree(value, schema)
    return ScalarNode(value, schema)


def _object_tree(value: dict[str, Any], schema: MergedSchema) -> MappingNode | None:
    members = {}
    for key, item in value.items():
        if item is not None:
            known = schema.member(key)
            node = to_tree(item, known.schema)
            if node is not None:
                members[key] = Member(known.name, node)
    return MappingNode(members) if members else None


def _list_tree(value: list[Any] | tuple[Any, ...], schema: MergedSchema, *, start: int = 0) -> ListNode | None:
    inner = schema.items or MergedSchema()
    items = []
    for index, item in enumerate(value[start:], start):
        node = to_tree(item, inner)
        if node is not None:
            items.append(ListItem(index, node))
    return ListNode(items) if items else None


def _tuple_tree(value: list[Any] | tuple[Any, ...], schema: MergedSchema) -> MappingNode | None:
    """A tuple's positions are members; the items after them are a list of its own, under an empty path part."""
    members: dict[str, Member] = {}
    for index, (item, inner) in enumerate(zip(value, schema.positions, strict=False)):
        node = to_tree(item, inner)
        if node is not None:
            members[str(index)] = Member(str(index), node)
    rest = _list_tree(value, schema, start=len(schema.positions))
    if rest is not None:
        members[""] = Member("", rest)
    return MappingNode(members) if members else None


def iter_scalars(tree: ValueTree, path: ValuePath) -> Iterator[tuple[ValuePath, ScalarNode]]:
    """All scalars of a tree with their paths."""
    if isinstance(tree, ScalarNode):
        yield path, tree
    elif isinstance(tree, MappingNode):
        for key, member in tree.members.items():
            yield from iter_scalars(member.node, path.member(member.part, key))
    else:
        for item in tree.items:
            yield from iter_scalars(item.node, path.item(item.index))
