"""Paths of values: the one way in which all rooms name a place in a record.

A path has the Python name of each field, the key of each entry of a map and the position of each item of a list, joined
by dots: `lines.0.total`. In a pattern, which is the same for all records, positions in lists and keys of maps are `*`.
Knows no schema and no record.
"""

from __future__ import annotations

__all__ = ["Route", "join_path", "path_of"]

Route = tuple[str | int, ...]
"""The way to a value, step by step; a position in a list is an integer."""


def path_of(route: Route) -> str:
    """The path that a route spells: `("lines", 0, "total")` -> `lines.0.total`."""
    return ".".join(map(str, route))


def join_path(path: str, step: str) -> str:
    """The path one step further: `lines` and `total` -> `lines.total`."""
    return f"{path}.{step}" if path else step
