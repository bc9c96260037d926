"""Turns whole Python values into canonical JSON values: lists, mappings, fields, objects, unions, foreign classes.

A union gives each value to the option that it belongs to by its type, not to the first that could write it. Knows
the writers of leaves, no node and none of Pydantic's schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Secret, SecretBytes, SecretStr

from extractft.schema.nodes import MISSING
from extractft.schema.scalar_writers import Match, Writer, Writing, dumps, expected, sort_key
from extractft.schema.string_formats import Unwritable

__all__ = [
    "ArrayWriter",
    "FieldWriter",
    "ForeignWriter",
    "MapWriter",
    "ObjectWriter",
    "RootWriter",
    "SecretWriter",
    "UnionWriter",
]


def _at(path: str, write: Writer, value: Any, writing: Writing) -> Any:
    try:
        return write(value, writing)
    except Unwritable as error:
        error.path.insert(0, path)
        raise


@dataclass(frozen=True, slots=True)
class ArrayWriter:
    """Lists, sets and tuples. What has no order of its own is sorted.

    Attributes:
        items: Writes what stands behind the fixed positions; `None` if nothing may.
        prefix: Write the fixed positions of a tuple.
        own: The class of values of the place, such as `set`.
    """

    items: Writer | None
    prefix: tuple[Writer, ...] = ()
    own: type[Any] = list

    def __call__(self, value: Any, writing: Writing) -> list[Any]:
        """Write the value, or raise `Unwritable`."""
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
            raise expected("a list", value)
        if not isinstance(value, self.own):
            writing.met(Match.LOOSE)
        if len(value) < len(self.prefix) or (self.items is None and len(value) > len(self.prefix)):
            raise Unwritable(f"expected {len(self.prefix)} items, found {len(value)}")
        written = []
        for i, item in enumerate(value):
            write = self.prefix[i] if i < len(self.prefix) else self.items
            assert write is not None
            written.append(_at(str(i), write, item, writing))
        return sorted(written, key=sort_key) if isinstance(value, set | frozenset) else written


@dataclass(frozen=True, slots=True)
class MapWriter:
    """Dictionaries with keys that are data; known keys are written in their order, others in the data's."""

    key: Writer
    value: Writer
    order: tuple[str, ...] = ()

    def __call__(self, value: Any, writing: Writing) -> dict[str, Any]:
        """Write the value, or raise `Unwritable`."""
        if not isinstance(value, Mapping):
            raise expected("a mapping", value)
        written: dict[str, Any] = {}
        for key, item in value.items():
            text = self.key(key, writing)
            text = ("true" if text else "false") if isinstance(text, bool) else str(text)
            written[text] = _at("*", self.value, item, writing)  # the key is the customer's
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
        settled: True if `default` and `loose` are known.
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
                self.default = self.write(self.python_default, Writing())
            except Unwritable:
                self.loose = True

    def __call__(self, value: Any, writing: Writing) -> Any:
        """The canonical value, `MISSING` when the key is left out."""
        self.settle()
        if value is MISSING:
            if not self.optional:
                raise Unwritable("the field is missing")
            return None if writing.full else MISSING
        try:
            written = self.write(value, writing)
        except Unwritable:
            if not (self.loose and (value is self.python_default or value == self.python_default)):
                raise
            return None if writing.full else MISSING
        if writing.full or self.keep or self.default is MISSING or written != self.default:
            return written
        return written if dumps(written) != dumps(self.default) else MISSING  # 1 == True, but not in JSON


@dataclass(slots=True, eq=False)
class ObjectWriter:
    """Models, dataclasses, TypedDicts and named tuples. Filled after it is made, since models refer to themselves."""

    cls: type[Any] | None
    fields: list[FieldWriter] = field(default_factory=list)

    def __call__(self, value: Any, writing: Writing) -> dict[str, Any]:
        """Write the value, or raise `Unwritable`."""
        values = self._values(value, writing)
        written: dict[str, Any] = {}
        for item in self.fields:
            result = _at(item.name, item, values.get(item.name, MISSING), writing)
            if result is not MISSING:
                written[item.key] = result
        return written

    def _values(self, value: Any, writing: Writing) -> Mapping[str, Any]:
        names = [item.name for item in self.fields]
        if self.cls is None:
            if not isinstance(value, Mapping):
                raise expected("a mapping", value)
            if set(value) - set(names) and not writing.drop_extras:
                raise Unwritable("the mapping has keys that the schema does not list")
            return value
        if not self.is_instance(value):
            raise expected(self.cls.__name__, value)
        if getattr(value, "__pydantic_extra__", None) and not writing.drop_extras:
            raise Unwritable("the record carries extra keys that the schema does not list")
        if type(value) is not self.cls:
            writing.met(Match.SUBCLASS)
            if set(getattr(type(value), "model_fields", ())) - set(names):
                raise Unwritable(
                    f"{type(value).__name__} has fields that {self.cls.__name__} has not; they would be lost"
                )
        return {name: getattr(value, name) for name in names if hasattr(value, name)}

    def is_instance(self, value: Any) -> bool:
        """True if the value is of this class, or of the generic class that this one parametrises."""
        if self.cls is None:
            return False
        origin = getattr(self.cls, "__pydantic_generic_metadata__", {}).get("origin")
        return isinstance(value, self.cls) or (origin is not None and type(value) is origin)


@dataclass(frozen=True, slots=True)
class RootWriter:
    """A RootModel: written as its root."""

    cls: type[Any]
    write: Writer

    def __call__(self, value: Any, writing: Writing) -> Any:
        """Write the value, or raise `Unwritable`."""
        if not isinstance(value, self.cls):
            raise expected(self.cls.__name__, value)
        if type(value) is not self.cls:
            writing.met(Match.SUBCLASS)
        return self.write(value.root, writing)


@dataclass(frozen=True, slots=True)
class UnionWriter:
    """The option that the value belongs to: the one of its own class, else the one that it matches best."""

    options: tuple[Writer, ...]

    def __call__(self, value: Any, writing: Writing) -> Any:
        """Write the value, or raise `Unwritable`."""
        own = [i for i, w in enumerate(self.options) if getattr(w, "cls", None) is type(value)]
        best: tuple[int, Any, Writing] | None = None
        errors: list[Unwritable] = []
        for index in own or range(len(self.options)):
            branch = writing.branch()
            try:
                written = self.options[index](value, branch)
            except Unwritable as error:
                errors.append(error)
                continue
            if best is None or branch.match < best[2].match:
                best = index, written, branch
            if own or branch.match is Match.EXACT:
                break
        if best is None:
            raise self._deepest(errors, value)
        index, written, branch = best
        writing.choices.append(index)
        writing.join(branch)
        return written

    @staticmethod
    def _deepest(errors: list[Unwritable], value: Any) -> Unwritable:
        if len(errors) == 1:
            return errors[0]
        deep = max(errors, key=lambda error: len(error.path))
        return deep if deep.path else expected("a value of one of the union's types", value)


@dataclass(frozen=True, slots=True)
class SecretWriter:
    """A value that may be hidden in a secret: written as what it is.

    Attributes:
        write: Writes what is hidden.
        always: True if the place holds secrets only, so that a bare value is a loose match.
    """

    write: Writer
    always: bool

    def __call__(self, value: Any, writing: Writing) -> Any:
        """Write the value, or raise `Unwritable`."""
        if isinstance(value, Secret | SecretStr | SecretBytes):
            return self.write(value.get_secret_value(), writing)
        if self.always:
            writing.met(Match.LOOSE)
        return self.write(value, writing)


@dataclass(frozen=True, slots=True)
class ForeignWriter:
    """A class that JSON knows nothing of, such as a path: written as what is read back as an equal value.

    The value itself is tried first, then what each conversion makes of it. None of them counts before reading it
    gives the value again, so that `None` is not taken for the path `None`; only the value itself, as it stands, may
    be written unproven: a default that was never validated.

    Attributes:
        write: Writes what the conversions make.
        conversions: Make something to write of a value; may raise anything.
        read: Parses JSON text as Pydantic does in this place; may raise anything.
    """

    write: Writer
    conversions: tuple[Callable[[Any], Any], ...]
    read: Callable[[str], Any]

    def __call__(self, value: Any, writing: Writing) -> Any:
        """Write the value, or raise `Unwritable`."""
        attempts = (_unchanged, *self.conversions)
        loose: tuple[Any, Writing] | None = None
        first: Unwritable | None = None
        for convert in attempts:
            branch = writing.branch()
            try:
                written = self.write(convert(value), branch)
            except Unwritable as error:
                first = first or error
                continue
            except Exception:  # a user's serialiser may raise anything
                continue
            match = self._proven(value, written, convert)
            if match is not None:
                branch.match = match
                writing.join(branch)
                return written
            if convert is _unchanged:
                loose = written, branch
        if loose is None:
            raise first or expected("a value of the field's type", value)
        writing.join(loose[1])
        writing.met(Match.LOOSE)
        return loose[0]

    def _proven(self, value: Any, written: Any, convert: Callable[[Any], Any]) -> Match | None:
        """The match of the value with what reading gives back, `None` if it is another one.

        Objects that compare by identity have to be of one class and to look the same.
        """
        try:
            again = self.read(dumps(written))
            alike = type(again) is type(value)
            if again == value:
                return Match.EXACT if alike else Match.CONVERTED
            identity: Any = object.__eq__
            if alike and type(value).__eq__ is identity and convert(again) == written:
                return Match.EXACT
        except Exception:  # a user's validator or comparison may raise anything
            return None
        return None


def _unchanged(value: Any) -> Any:
    return value
