"""Describe pydantic's validation errors as faults of a row, quoting no values. Knows the schema's names, no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, get_args

from pydantic_core import ErrorDetails, core_schema

from extractft.data.column_names import closest_name, display_name
from extractft.data.field_paths import field_path
from extractft.data.raw_row import InvalidRow, RowFault
from extractft.schema import Schema
from extractft.schema.record_paths import join_path

__all__ = ["ErrorDescriber"]

MESSAGES = {
    "union_tag_invalid": "the tag is none of the expected ones",
    "uuid_parsing": "expected a UUID",
    "url_parsing": "expected a URL",
    "url_syntax_violation": "expected a URL",
    "json_invalid": "expected valid Unicode and JSON",
    "string_unicode": "expected valid Unicode, found half of a surrogate pair",
}
QUOTING = {"value_error", "assertion_error", "get_attribute_error", "iteration_error"}
KNOWN = frozenset(get_args(core_schema.ErrorType)) - QUOTING
MAX_FAULTS = 20
"""Most faults reported for one row."""
MAX_CHARACTERS = 300
"""Most characters of one message."""
REFUSED = "refused by a validator of the schema (its words are not repeated here, since they may quote the record)"


class ErrorDescriber:
    """Describes errors of pydantic with the paths of their fields.

    Args:
        schema: Its field names may be shown; other keys of a record are data.
        show_values: True if the words of the schema's own validators may be repeated, which may quote the record.
    """

    def __init__(self, schema: Schema[Any], *, show_values: bool = False) -> None:
        self._schema = schema
        self._names = schema.field_names
        self._show_values = show_values

    def describe(self, details: Sequence[ErrorDetails], raw: Any) -> InvalidRow:
        """The faults of a row, at most twenty; equal ones from several options of a union are reported once."""
        found: dict[tuple[str, str, str], RowFault] = {}
        for detail in details[:MAX_FAULTS]:
            problem = self._fault(detail, raw)
            found.setdefault((problem.kind, problem.message, problem.field), problem)
        more = len(details) - MAX_FAULTS
        rest = [RowFault(details[-1]["type"], f"and {more} more of the kind in this row")] if more > 0 else []
        return InvalidRow([*found.values(), *rest])

    def _fault(self, detail: ErrorDetails, raw: Any) -> RowFault:
        if detail["type"] == "extra_forbidden":
            *place, key = detail["loc"]
            shown = display_name(key)
            meant = closest_name(str(key), sorted(self._names))
            message = f"the schema has no key {shown}"
            asked = f"{message}; is {display_name(meant)} meant?" if meant else message
            return RowFault("unknown_key", asked, join_path(self._path(place, raw), shown.strip("'")), detail["input"])
        message = MESSAGES.get(detail["type"], detail["msg"])
        if detail["type"] not in KNOWN and not self._show_values:
            message = REFUSED
        if len(message) > MAX_CHARACTERS:  # an enumeration of thousands of values lists them all
            message = message[:MAX_CHARACTERS].rpartition(",")[0] + ", ... (one of many values)"
        if detail["type"] == "missing" and detail["loc"]:
            message += self._mistyped(detail["loc"], raw)
            return RowFault("invalid_output", message, field_path(detail["loc"], raw, self._schema, missing=True))
        return RowFault("invalid_output", message, self._path(detail["loc"], raw), detail["input"])

    def _mistyped(self, loc: Sequence[int | str], raw: Any) -> str:
        """A question after the key that a missing one may be hidden under; keys that resemble no field are data."""
        for step in loc[:-1]:
            if isinstance(raw, Mapping):
                raw = raw.get(step, raw)
            elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
                raw = raw[step]
        unknown = [str(key) for key in raw if key not in self._names] if isinstance(raw, Mapping) else []
        meant = closest_name(str(loc[-1]), unknown)
        return f"; is {display_name(meant)} meant for it?" if meant else ""

    def unknown_to_all(self, details: Sequence[ErrorDetails], raw: Any) -> list[ErrorDetails]:
        """The errors about keys that every option of a union refuses.

        Each option also refuses the keys of the other options; such a key is known.
        """
        path_of = cache(partial(self._path, raw=raw))
        refused_keys: dict[str, dict[tuple[int | str, ...], set[int | str]]] = {}
        for detail in details:
            place, key = detail["loc"][:-1], detail["loc"][-1]
            refused_keys.setdefault(path_of(place), {}).setdefault(place, set()).add(key)
        unknown = {path: set.intersection(*options.values()) for path, options in refused_keys.items()}
        return [
            detail
            for detail in details
            if not (keys := unknown[path_of(detail["loc"][:-1])]) or detail["loc"][-1] in keys
        ]

    def shown_path(self, path: str) -> str:
        """A path of `SchemaError` without the keys that are data."""
        return ".".join(step if step.isdigit() else self._shown(step) for step in path.split(".") if step)

    def _path(self, loc: Sequence[int | str], raw: Any) -> str:
        return field_path(loc, raw, self._schema)

    def _shown(self, key: str) -> str:
        return self._names.get(key, "*")
