"""Comparison of records by value and type: `1`, `True`, `1.0` and an enumeration's member are four things."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Secret

from extractft.schema.nodes import MISSING

__all__ = ["is_same"]


def is_same(one: Any, other: Any) -> bool:
    """True if two values are equal, and of the same types all the way down."""
    return bool(one == other) and _same_types(one, other)


def _same_types(one: Any, other: Any) -> bool:
    """True if two values that are equal have the same types."""
    if type(one) is not type(other):
        return False
    match one:
        case BaseModel():
            mine, others = _contents(one), _contents(other)
            return mine.keys() == others.keys() and all(_same_types(mine[name], others[name]) for name in mine)
        case Mapping():
            keys = {key: key for key in one}
            return all(_same_types(keys[key], key) and _same_types(one[key], other[key]) for key in other)
        case list() | tuple():
            return all(map(_same_types, one, other))
        case set() | frozenset():
            items = {item: item for item in one}
            return all(_same_types(items[item], item) for item in other)
        case Secret():
            return _same_types(one.get_secret_value(), other.get_secret_value())
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one) if field.compare]
        return all(_same_types(getattr(one, name, MISSING), getattr(other, name, MISSING)) for name in names)
    return True


def _contents(record: BaseModel) -> dict[str, Any]:
    return {**vars(record), **(record.__pydantic_extra__ or {})}
