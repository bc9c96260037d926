"""Joins the lists of overlapping windows to one. Knows JSON values, no schema."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from extractft.schema.record_paths import Route
from extractft.schema.scalar_writers import sort_key

__all__ = ["JoinedItem", "WindowValue", "equal_json", "join_items"]


@dataclass(frozen=True, slots=True)
class WindowValue:
    """A value in the record of a window.

    Attributes:
        window: Number of the window.
        route: The way to it in that record.
        value: The JSON value.
    """

    window: int
    route: Route
    value: Any

    def into(self, step: str | int, value: Any) -> WindowValue:
        """A value right inside of this one."""
        return WindowValue(self.window, (*self.route, step), value)


@dataclass(slots=True)
class JoinedItem:
    """An item of the joined list.

    Attributes:
        value: Its JSON value.
        key: The same for all equal items.
        sources: The items of the windows that it was joined from.
    """

    value: Any
    key: str
    sources: list[WindowValue] = field(default_factory=list)


def equal_json(a: Any, b: Any) -> bool:
    """True if two JSON values are the same: `1` and `1.0` are, `1` and `true` are not, the order of keys is ignored."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal_json(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal_json, a, b))
    return bool(a == b) and isinstance(a, bool) is isinstance(b, bool)


def join_items(windows: Sequence[Sequence[WindowValue]], *, unique: bool = False) -> list[JoinedItem]:
    """The items of all windows in the order of the text, each with its sources.

    Of equal items, as many stay as the window with most of them has.

    Args:
        windows: The items of each window.
        unique: True if the list is a set: no item twice, and sorted as sets are.
    """
    entries: list[JoinedItem] = []
    before: list[JoinedItem] = []
    for items in windows:
        keys = [_key(item.value) for item in items]
        matches = _equal_entries(entries, items, keys, unique=unique)
        _match_truncated(before, items, keys, matches)
        before = _insert_new(entries, items, keys, matches)
    if unique:
        entries.sort(key=lambda entry: sort_key(entry.value))
    return entries


def _equal_entries(
    entries: Sequence[JoinedItem], items: Sequence[WindowValue], keys: Sequence[str], *, unique: bool
) -> list[JoinedItem | None]:
    """For each item the entry that is equal; of several the last ones, which is where an overlap would be."""
    counts = Counter(keys)
    known: dict[str, list[JoinedItem]] = {key: [] for key in counts}
    for entry in entries:
        if entry.key in known:
            known[entry.key].append(entry)
    free = {key: iter(known[key][-count:]) for key, count in counts.items()}
    made: dict[str, JoinedItem] = {}
    matches: list[JoinedItem | None] = []
    for item, key in zip(items, keys, strict=True):
        match = next(free[key], None)
        if unique:
            match = made.setdefault(key, match or JoinedItem(item.value, key))
        matches.append(match)
    return matches


def _match_truncated(
    before: Sequence[JoinedItem], items: Sequence[WindowValue], keys: Sequence[str], matches: list[JoinedItem | None]
) -> None:
    """An object that was cut off at the end of the last window or at the beginning of this one finds its whole."""
    taken = {id(match) for match in matches if match is not None}
    if before and items and matches[0] is None:
        whole = next(
            (entry for entry in before if id(entry) not in taken and _extends(entry.value, items[0].value)), None
        )
        if whole is not None:
            matches[0] = whole
            taken.add(id(whole))
    if not before or id(before[-1]) in taken:
        return
    for index, item in enumerate(items):
        if matches[index] is None and _extends(item.value, before[-1].value):
            matches[index] = before[-1]
            before[-1].value, before[-1].key = item.value, keys[index]
            return


def _insert_new(
    entries: list[JoinedItem], items: Sequence[WindowValue], keys: Sequence[str], matches: Sequence[JoinedItem | None]
) -> list[JoinedItem]:
    """Take the items in: what is new stands before the next item that was known already, else at the end."""
    known = {id(entry) for entry in entries}
    end = 0
    before: defaultdict[int, list[JoinedItem]] = defaultdict(list)
    having = [match or JoinedItem(item.value, key) for item, key, match in zip(items, keys, matches, strict=True)]
    for item, entry in zip(items, having, strict=True):
        entry.sources.append(item)
    anchor, added = end, set()
    for entry in reversed(having):
        if id(entry) in known:
            anchor = id(entry)
        elif id(entry) not in added:
            added.add(id(entry))
            before[anchor].append(entry)
    joined: list[JoinedItem] = []
    for entry in entries:
        joined += [*reversed(before.get(id(entry), ())), entry]
    entries[:] = [*joined, *reversed(before.get(end, ()))]
    return having


def _extends(whole: Any, part: Any) -> bool:
    """True if an object says all that another one says, and more."""
    if not (isinstance(whole, dict) and isinstance(part, dict)) or equal_json(whole, part):
        return False
    said = {key: value for key, value in part.items() if value not in (None, "", [], {})}
    return bool(said) and all(
        key in whole and (equal_json(whole[key], value) or _extends(whole[key], value)) for key, value in said.items()
    )


def _key(value: Any) -> str:
    """Equal for values that are the same."""
    return json.dumps(_whole_numbers(value), ensure_ascii=False, sort_keys=True)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
