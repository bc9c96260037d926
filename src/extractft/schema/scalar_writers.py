"""Turns single Python values into canonical JSON values, one writer for each leaf of the tree.

A writer checks that the value fits its place and raises `Unwritable` otherwise, and says how well it fits, so that a
union can give each value to the option that it belongs to. Pydantic's own serialisation is not used: it writes
serialisation aliases, computed fields and user serialisers, which parsing does not take back.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from extractft.schema.nodes import JsonScalar
from extractft.schema.string_formats import (
    Unwritable,
    date_text,
    datetime_text,
    decimal_text,
    duration_text,
    float_text,
    time_text,
)

__all__ = [
    "MAX_INTEGER_DIGITS",
    "LiteralWriter",
    "Match",
    "Writer",
    "Writing",
    "dumps",
    "expected",
    "is_too_long",
    "sort_key",
    "write_bool",
    "write_bytes",
    "write_date",
    "write_datetime",
    "write_decimal",
    "write_duration",
    "write_float",
    "write_int",
    "write_none",
    "write_str",
    "write_time",
    "write_url",
    "write_uuid",
    "write_whole",
]

MAX_INTEGER_DIGITS = 4300
"""Digits of an integer that Python and Pydantic read."""
TOO_LONG = 10**MAX_INTEGER_DIGITS


class Match(enum.IntEnum):
    """Match of a value and a place; less is better."""

    EXACT = 0
    """Of the place's own type."""
    SUBCLASS = 1
    """Of a class derived from it."""
    CONVERTED = 2
    """Of another type, which reading what was written gives back as an equal value."""
    LOOSE = 3
    """Of another type: an enumeration's bare value, an integer for a decimal, a default that was never validated."""


@dataclass(slots=True)
class Writing:
    """One walk of a value along the tree.

    Attributes:
        full: Write every field, defaults too.
        drop_extras: Leave out keys that the schema does not list, instead of refusing them.
        match: The worst match on the way.
        choices: The option taken of each union, in the order of the walk.
    """

    full: bool = False
    drop_extras: bool = False
    match: Match = Match.EXACT
    choices: list[int] = field(default_factory=list)

    def met(self, match: Match) -> None:
        """Take notice of how well a value fits its place."""
        self.match = max(self.match, match)

    def branch(self) -> Writing:
        """A walk of its own from here on, to be thrown away or joined."""
        return Writing(self.full, self.drop_extras)

    def join(self, branch: Writing) -> None:
        """Go on from where a branch ended."""
        self.met(branch.match)
        self.choices.extend(branch.choices)


Writer = Callable[[Any, Writing], Any]
"""`(value, writing)` -> canonical JSON value."""


def dumps(value: Any) -> str:
    """The canonical JSON text of a canonical JSON value: compact, no ASCII escapes, no exponents, DEL escaped."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(key)}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumps, value)) + "]"
    return json.dumps(value)


def expected(what: str, value: Any) -> Unwritable:
    """The error of a value that does not fit its place."""
    return Unwritable(f"expected {what}, found {type(value).__name__}")


def is_too_long(value: Any) -> bool:
    """True for an integer with more digits than are read back."""
    return isinstance(value, int) and abs(value) >= TOO_LONG


def write_str(value: Any, writing: Writing) -> str:
    """A string, or a string enumeration's member."""
    if isinstance(value, enum.Enum):
        writing.met(Match.LOOSE)
        value = value.value
    if not isinstance(value, str):
        raise expected("a string", value)
    writing.met(Match.EXACT if type(value) is str else Match.SUBCLASS)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unwritable("the string holds a lone surrogate, which no JSON text can hold") from None
    return str(value)


def write_url(value: Any, writing: Writing) -> str:
    """A URL of any of Pydantic's classes, or a default that was never made one."""
    if hasattr(type(value), "unicode_string"):  # what all of Pydantic's URL classes have, and no common base
        return write_str(str(value), writing)
    writing.met(Match.LOOSE)
    return write_str(value, writing)


def write_int(value: Any, writing: Writing) -> int:
    """An integer, not a boolean."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise expected("an integer", value)
    if is_too_long(value):
        raise Unwritable(f"expected an integer of at most {MAX_INTEGER_DIGITS} digits, found a longer one")
    if type(value) is not int:
        writing.met(Match.LOOSE if isinstance(value, enum.Enum) else Match.SUBCLASS)
    return int(value)


def write_float(value: Any, writing: Writing) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise expected("a number", value)
    if type(value) is not float:
        writing.met(Match.SUBCLASS if isinstance(value, float) else Match.LOOSE)
    try:
        number = float(value)
    except OverflowError:
        raise Unwritable("expected a number of at most 308 digits, found a larger one") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise Unwritable("expected a finite number, found NaN or infinity, which JSON does not have")
    return number + 0.0  # -0.0 becomes 0.0


def write_whole(value: Any, writing: Writing) -> int:
    """A float field that takes multiples of a whole number: written without `.0`."""
    return int(write_float(value, writing))


def write_bool(value: Any, writing: Writing) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise expected("true or false", value)
    return value


def write_none(value: Any, writing: Writing) -> None:
    """Nothing."""
    if value is not None:
        raise expected("nothing", value)


def write_decimal(value: Any, writing: Writing, *, whole_digits: int | None = None) -> str:
    """A finite decimal, as a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        writing.met(Match.LOOSE)
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise expected("a decimal", value)
    return decimal_text(value, whole_digits=whole_digits)


def write_date(value: Any, writing: Writing) -> str:
    """A date that is no date and time."""
    if isinstance(value, datetime) or not isinstance(value, date):
        raise expected("a date", value)
    return date_text(value)


def write_time(value: Any, writing: Writing) -> str:
    """A time of day."""
    if not isinstance(value, time):
        raise expected("a time", value)
    return time_text(value)


def write_datetime(value: Any, writing: Writing) -> str:
    """A date and time."""
    if not isinstance(value, datetime):
        raise expected("a date and time", value)
    return datetime_text(value)


def write_duration(value: Any, writing: Writing) -> str:
    """A duration."""
    if not isinstance(value, timedelta):
        raise expected("a duration", value)
    return duration_text(value)


def write_uuid(value: Any, writing: Writing) -> str:
    """A UUID."""
    if not isinstance(value, UUID):
        raise expected("a UUID", value)
    return str(value)


def write_bytes(value: Any, writing: Writing) -> str:
    """Bytes that are UTF-8 text, or what bytes were encoded to."""
    if isinstance(value, str):
        writing.met(Match.LOOSE)
        return write_str(value, writing)
    if not isinstance(value, bytes | bytearray):
        raise expected("bytes", value)
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise Unwritable("expected bytes that are UTF-8 text") from None


class LiteralWriter:
    """One of a few scalars, or the members of an enumeration.

    Args:
        values: The JSON values.
        members: The Python object for each value: the value itself, or a member of an enumeration.
    """

    def __init__(self, values: tuple[JsonScalar, ...], members: Iterable[Any] | None = None) -> None:
        pairs = list(zip(values if members is None else members, values, strict=True))
        self._own = {(type(member), member): value for member, value in pairs}
        self._equal = {(isinstance(value, bool), value): value for value in values}

    def __call__(self, value: Any, writing: Writing) -> JsonScalar:
        """Write the value, or raise `Unwritable`."""
        try:
            if (type(value), value) in self._own:
                return self._own[type(value), value]
            writing.met(Match.LOOSE)
            plain = value.value if isinstance(value, enum.Enum) else value
            return self._equal[isinstance(plain, bool), plain]
        except (KeyError, TypeError):  # none of them, or nothing that can be looked up
            raise Unwritable("the value is none of the allowed ones") from None


def sort_key(item: Any) -> tuple[int, float, str]:
    """The order in which the items of a set are written: numbers by value, then all else as text."""
    if isinstance(item, int | float) and not isinstance(item, bool):
        return (0, item, "")
    return (1, 0, item if isinstance(item, str) else dumps(item))
