"""Turns Python values into canonical JSON values, one writer for each place in the tree.

A writer checks that the value fits its place and raises `Unwritable` otherwise. Pydantic's own serialisation is not
used: it writes serialisation aliases, computed fields and user serialisers, which parsing does not take back.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from extractft.schema.formats import (
    Unwritable,
    date_text,
    datetime_text,
    decimal_text,
    duration_text,
    float_text,
    time_text,
)
from extractft.schema.nodes import MISSING, JsonScalar

__all__ = [
    "ArrayWriter",
    "LiteralWriter",
    "MapWriter",
    "ObjectWriter",
    "UnionWriter",
    "Writer",
    "dumps",
    "fallback",
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
    "write_text_of",
    "write_time",
    "write_uuid",
    "write_whole",
]

Writer = Callable[[Any, bool], Any]
"""`(value, full)` -> canonical JSON value; `full` writes every field, defaults too."""


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


def _expected(what: str, value: Any) -> Unwritable:
    return Unwritable(f"expected {what}, found {type(value).__name__}")


def write_str(value: Any, full: bool) -> str:
    """A string, or a string enumeration's member."""
    if isinstance(value, enum.Enum):
        value = value.value
    if not isinstance(value, str):
        raise _expected("a string", value)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unwritable("the string holds a lone surrogate, which no JSON text can hold") from None
    return str(value)


def write_text_of(value: Any, full: bool) -> str:
    """For classes whose `str()` is what Pydantic parses: URLs, paths, addresses."""
    return write_str(str(value), full)


def write_int(value: Any, full: bool) -> int:
    """An integer, not a boolean."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise _expected("an integer", value)
    return int(value)


def write_float(value: Any, full: bool) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _expected("a number", value)
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise Unwritable("expected a finite number, found NaN or infinity, which JSON does not have")
    return number + 0.0  # -0.0 becomes 0.0


def write_whole(value: Any, full: bool) -> int:
    """A float field that takes multiples of a whole number: written without `.0`."""
    return int(write_float(value, full))


def write_bool(value: Any, full: bool) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise _expected("true or false", value)
    return value


def write_none(value: Any, full: bool) -> None:
    """Nothing."""
    if value is not None:
        raise _expected("nothing", value)


def write_decimal(value: Any, full: bool, *, whole_digits: int | None = None) -> str:
    """A finite decimal, as a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise _expected("a decimal", value)
    return decimal_text(value, whole_digits=whole_digits)


def write_date(value: Any, full: bool) -> str:
    """A date that is no date and time."""
    if isinstance(value, datetime) or not isinstance(value, date):
        raise _expected("a date", value)
    return date_text(value)


def write_time(value: Any, full: bool) -> str:
    """A time of day."""
    if not isinstance(value, time):
        raise _expected("a time", value)
    return time_text(value)


def write_datetime(value: Any, full: bool) -> str:
    """A date and time."""
    if not isinstance(value, datetime):
        raise _expected("a date and time", value)
    return datetime_text(value)


def write_duration(value: Any, full: bool) -> str:
    """A duration."""
    if not isinstance(value, timedelta):
        raise _expected("a duration", value)
    return duration_text(value)


def write_uuid(value: Any, full: bool) -> str:
    """A UUID."""
    if not isinstance(value, UUID):
        raise _expected("a UUID", value)
    return str(value)


def write_bytes(value: Any, full: bool) -> str:
    """Bytes that are UTF-8 text."""
    if not isinstance(value, bytes | bytearray):
        raise _expected("bytes", value)
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise Unwritable("expected bytes that are UTF-8 text") from None


@dataclass(frozen=True, slots=True)
class LiteralWriter:
    """One of a few scalars, or the members of an enumeration."""

    values: tuple[JsonScalar, ...]

    def __call__(self, value: Any, full: bool) -> JsonScalar:
        """Write the value, or raise `Unwritable`."""
        if isinstance(value, enum.Enum):
            value = value.value
        for known in self.values:
            if known == value and isinstance(known, bool) == isinstance(value, bool):
                return known
        raise Unwritable("the value is none of the allowed ones")


def _items(value: Any) -> Collection[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
        raise _expected("a list", value)
    return value


def sort_key(item: Any) -> tuple[int, float, str]:
    """The order in which the items of a set are written: numbers by value, then all else as text."""
    if isinstance(item, int | float) and not isinstance(item, bool):
        return (0, item, "")
    return (1, 0, item if isinstance(item, str) else dumps(item))


def _at(path: str, write: Writer, value: Any, full: bool) -> Any:
    try:
        return write(value, full)
    except Unwritable as error:
        error.path.insert(0, path)
        raise


@dataclass(frozen=True, slots=True)
class ArrayWriter:
    """Lists, sets and tuples. What has no order of its own is sorted."""

    items: Writer | None
    prefix: tuple[Writer, ...] = ()

    def __call__(self, value: Any, full: bool) -> list[Any]:
        """Write the value, or raise `Unwritable`."""
        collection = _items(value)
        if len(collection) < len(self.prefix) or (self.items is None and len(collection) > len(self.prefix)):
            raise Unwritable(f"expected {len(self.prefix)} items, found {len(collection)}")
        written = []
        for i, item in enumerate(collection):
            write = self.prefix[i] if i < len(self.prefix) else self.items
            assert write is not None
            written.append(_at(str(i), write, item, full))
        return sorted(written, key=sort_key) if isinstance(value, set | frozenset) else written


@dataclass(frozen=True, slots=True)
class MapWriter:
    """Dictionaries with keys that are data; known keys are written in their order, others in the data's."""

    key: Writer
    value: Writer
    order: tuple[str, ...] = ()

    def __call__(self, value: Any, full: bool) -> dict[str, Any]:
        """Write the value, or raise `Unwritable`."""
        if not isinstance(value, Mapping):
            raise _expected("a mapping", value)
        written: dict[str, Any] = {}
        for key, item in value.items():
            text = self.key(key, full)
            text = ("true" if text else "false") if isinstance(text, bool) else str(text)
            written[text] = _at("*", self.value, item, full)  # the key is the customer's
        return {key: written[key] for key in self.order if key in written} if self.order else written


@dataclass(slots=True)
class FieldWriter:
    """A field on its way into an object.

    Attributes:
        optional: The key may be left out: there is a default, or the key is one that a TypedDict need not have.
        keep: The key is written even when the value equals the default.
        default: Canonical JSON value of the static default, `MISSING` if there is none.
        python_default: The default itself, compared when it does not fit the field's own type.
        loose: The default does not fit the field's own type (`x: str = None`), so that absence is its one spelling.
        may_be_missing: A key that a TypedDict need not have: there is no default, absence is a state of its own.
        settled: Whether `default` and `loose` are known.
    """

    name: str
    key: str
    write: Writer
    optional: bool
    default: Any = MISSING
    python_default: Any = MISSING
    keep: bool = False
    loose: bool = False
    may_be_missing: bool = False
    settled: bool = False

    def settle(self) -> None:
        """Write the default, once: when it is first needed, since it may hold objects with defaults of their own."""
        if self.settled:
            return
        self.settled = True
        if self.python_default is not MISSING:
            try:
                self.default = self.write(self.python_default, False)
            except Unwritable:
                self.loose = True

    def __call__(self, value: Any, full: bool) -> Any:
        """The canonical value, `MISSING` when the key is left out."""
        self.settle()
        if value is MISSING:
            if not self.optional:
                raise Unwritable("the field is missing")
            return None if full else MISSING
        try:
            written = self.write(value, full)
        except Unwritable:
            if not (self.loose and (value is self.python_default or value == self.python_default)):
                raise
            return None if full else MISSING
        if full or self.keep or self.default is MISSING or written != self.default:
            return written
        return written if dumps(written) != dumps(self.default) else MISSING  # 1 == True, but not in JSON


@dataclass(slots=True, eq=False)
class ObjectWriter:
    """Models, dataclasses, TypedDicts and named tuples. Filled after it is made, since models refer to themselves."""

    cls: type[Any] | None
    fields: list[FieldWriter] = field(default_factory=list)

    def __call__(self, value: Any, full: bool) -> dict[str, Any]:
        """Write the value, or raise `Unwritable`."""
        values = self._values(value)
        written: dict[str, Any] = {}
        for item in self.fields:
            result = _at(item.key, item, values.get(item.name, MISSING), full)
            if result is not MISSING:
                written[item.key] = result
        return written

    def _values(self, value: Any) -> Mapping[str, Any]:
        names = [item.name for item in self.fields]
        if self.cls is None or not (self.is_instance(value)):
            if self.cls is not None or not isinstance(value, Mapping):
                raise _expected(self.cls.__name__ if self.cls else "a mapping", value)
            if set(value) - set(names):
                raise Unwritable("the mapping has keys that the schema does not list")
            return value
        if getattr(value, "__pydantic_extra__", None):
            raise Unwritable("the record carries extra keys that the schema does not list")
        if type(value) is not self.cls and set(getattr(type(value), "model_fields", ())) - set(names):
            raise Unwritable(f"{type(value).__name__} has fields that {self.cls.__name__} has not; they would be lost")
        return {name: getattr(value, name) for name in names if hasattr(value, name)}

    def is_instance(self, value: Any) -> bool:
        """Whether the value is of this class, or of the generic class that this one parametrises."""
        if self.cls is None:
            return False
        origin = getattr(self.cls, "__pydantic_generic_metadata__", {}).get("origin")
        return isinstance(value, self.cls) or (origin is not None and type(value) is origin)


@dataclass(frozen=True, slots=True)
class UnionWriter:
    """The option whose class is the value's own, else the first that can write the value."""

    options: tuple[Writer, ...]

    def __call__(self, value: Any, full: bool) -> Any:
        """Write the value, or raise `Unwritable`."""
        own = [w for w in self.options if isinstance(w, ObjectWriter) and w.cls is type(value)]
        errors: list[Unwritable] = []
        for write in own or self.options:
            try:
                return write(value, full)
            except Unwritable as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        deep = max(errors, key=lambda error: len(error.path))
        raise deep if deep.path else _expected("a value of one of the union's types", value)


def fallback(first: Writer, then: Iterable[Callable[[Any], Any]]) -> Writer:
    """A writer that, when `first` cannot write the value, tries again with what the conversions make of it."""
    conversions = tuple(then)

    def write(value: Any, full: bool) -> Any:
        try:
            return first(value, full)
        except Unwritable as error:
            for convert in conversions:
                try:
                    return first(convert(value), full)
                except Exception:  # a user's serialiser may raise anything
                    continue
            raise error

    return write
