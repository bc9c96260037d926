"""A record that somebody types, held against the schema and the text: what is wrong where, and where its values stand.

Knows schemas; knows no store and no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from extractft.data.output_parser import OutputParser
from extractft.data.raw_row import InvalidRow
from extractft.errors import SchemaError
from extractft.grounding import ground
from extractft.schema import Schema

__all__ = ["CheckedRecord", "check_record", "places_of"]


@dataclass(frozen=True, slots=True)
class CheckedRecord:
    """Outcome of a check.

    Attributes:
        record: The record with every field present; `None` if it is not valid.
        issues: What is wrong: `path` and `message`.
        spans: By path, the places of each value in the text.
    """

    record: Any = None
    issues: tuple[dict[str, str], ...] = ()
    spans: Mapping[str, Any] = field(default_factory=dict)

    def issues_at(self, path: str | None) -> list[dict[str, str]]:
        """Faults of a field or of what is in it; all of them if there is no path."""
        return [
            issue
            for issue in self.issues
            if path is None or issue["path"] == path or issue["path"].startswith(f"{path}.")
        ]


def check_record(schema: Schema[Any], record: Any, text: str | None) -> CheckedRecord:
    """Check a record as the rows to train on are checked.

    Args:
        schema: The schema of the record.
        record: The record as JSON value.
        text: Its text, if places are wanted.
    """
    try:
        instance = OutputParser(schema, show_values=True).parse(record)
        full = schema.full_value(instance)
    except InvalidRow as problem:
        issues = tuple({"path": fault.field, "message": _sentence(fault.message)} for fault in problem.faults)
        return CheckedRecord(None, issues, {} if text is None else places_of(schema, record, text))
    except SchemaError as error:
        return CheckedRecord(None, ({"path": error.path, "message": "this value cannot be written"},))
    return CheckedRecord(full, (), {} if text is None else places_of(schema, full, text))


def places_of(schema: Schema[Any], record: Any, text: str) -> dict[str, Any]:
    """By path, the places of each value in the text; none of what is no record."""
    try:
        found = ground(schema, record, text)
    except Exception:  # half a record may be anything; places explain it and are no part of it
        return {}
    return {
        path: [{"start": span.start, "end": span.end, "method": span.method} for span in spans]
        for path, spans in found.items()
    }


def _sentence(message: str) -> str:
    """A message of Pydantic's without the words that say whose it is."""
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
