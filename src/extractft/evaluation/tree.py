"""A record as a tree of its present values. Knows what absent means; knows nothing of scores.

Absent are `null`, a missing key, an empty list and an empty object; an empty string is a value.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from extractft.evaluation.matching import Match, normal_form, same_value
from extractft.evaluation.shape import ANY, FieldPath, Shape

__all__ = ["Bag", "Branch", "Leaf", "Place", "Tree", "grow", "leaves"]


@dataclass(slots=True)
class Leaf:
    """A scalar that is present."""

    value: Any
    shape: Shape
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
            self._form = normal_form(self.value, self.shape)
        return self._form

    def match(self, other: Leaf) -> Match:
        """How much two scalars agree that stand at the same place."""
        if same_value(self.value, other.value):
            return Match.EXACT
        return Match.NORMALIZED if self.form == other.form else Match.DIFFERENT


@dataclass(slots=True)
class Branch:
    """An object, a map or a tuple: members by key, each with its part of the field path."""

    members: dict[str, tuple[str, Tree]]
    _key: str | None = field(default=None, init=False)

    @property
    def key(self) -> str:
        """Equal for identical values, and an order among all values."""
        if self._key is None:
            inner = (f"{json.dumps(key)}:{member.key}" for key, (_, member) in sorted(self.members.items()))
            self._key = "{" + ",".join(inner) + "}"
        return self._key


@dataclass(slots=True)
class Bag:
    """A list, whose order does not count: items with the position that they had."""

    items: list[tuple[int, Tree]]
    _key: str | None = field(default=None, init=False)

    @property
    def key(self) -> str:
        """Equal for identical values in any order, and an order among all values."""
        if self._key is None:
            self._key = "[" + ",".join(sorted(item.key for _, item in self.items)) + "]"
        return self._key


Tree = Leaf | Branch | Bag


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: `field` is the path of its field, `path` the way through this very record."""

    field: FieldPath = ()
    path: FieldPath = ()

    def member(self, part: str, key: str) -> Place:
        """The place of a branch's member."""
        if not part:
            return self
        return Place((*self.field, part), (*self.path, key if part == ANY else part))

    def item(self, index: int) -> Place:
        """The place of a bag's item."""
        return Place((*self.field, ANY), (*self.path, str(index)))


def grow(value: Any, shape: Shape) -> Tree | None:
    """Make a tree of a JSON-able value; `None` if nothing in it is present."""
    if value is None:
        return None
    if isinstance(value, dict):
        return _grow_branch(value, shape)
    if isinstance(value, list | tuple):
        return _grow_tuple(value, shape) if shape.positions else _grow_bag(value, shape)
    return Leaf(value, shape)


def _grow_branch(value: dict[str, Any], shape: Shape) -> Branch | None:
    members = {}
    for key, item in value.items():
        if item is not None:
            part, inner = shape.member(key)
            member = grow(item, inner)
            if member is not None:
                members[key] = (part, member)
    return Branch(members) if members else None


def _grow_bag(value: list[Any] | tuple[Any, ...], shape: Shape, *, start: int = 0) -> Bag | None:
    inner = shape.items or Shape()
    grown = ((index, grow(item, inner)) for index, item in enumerate(value[start:], start))
    items = [(index, item) for index, item in grown if item is not None]
    return Bag(items) if items else None


def _grow_tuple(value: list[Any] | tuple[Any, ...], shape: Shape) -> Branch | None:
    """A tuple's positions are members; what follows them is a list of its own, under an empty path part."""
    members: dict[str, tuple[str, Tree]] = {}
    for index, (item, inner) in enumerate(zip(value, shape.positions, strict=False)):
        member = grow(item, inner)
        if member is not None:
            members[str(index)] = (str(index), member)
    rest = _grow_bag(value, shape, start=len(shape.positions))
    if rest is not None:
        members[""] = ("", rest)
    return Branch(members) if members else None


def leaves(tree: Tree, place: Place) -> Iterator[tuple[Place, Leaf]]:
    """All scalars of a tree with their places."""
    if isinstance(tree, Leaf):
        yield place, tree
    elif isinstance(tree, Branch):
        for key, (part, member) in tree.members.items():
            yield from leaves(member, place.member(part, key))
    else:
        for index, item in tree.items:
            yield from leaves(item, place.item(index))
