"""`Schema`: a type, its field tree, its one canonical JSON form and its parser, in one object.

The only place where a Python type and the tree meet. Knows nothing of prompts, tokens or models.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar, cast, get_args, get_origin, overload

from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUndefinedAnnotation
from pydantic_core import PydanticSerializationError, to_json

from extractft.errors import ExtractFTError, MissingDependencyError, SchemaError
from extractft.schema.grammar_schema import grammar_schema
from extractft.schema.model_rebuilder import rebuild_type, with_usable_names
from extractft.schema.nodes import MapNode, Node, ObjectNode, StringNode, iter_nodes, resolve
from extractft.schema.pydantic_access import docstring
from extractft.schema.scalar_writers import Writer, Writing, dumps
from extractft.schema.schema_equality import is_same
from extractft.schema.string_formats import Unwritable
from extractft.schema.tree_assembly import assemble
from extractft.schema.tree_builder import TreeBuilder
from extractft.schema.tree_serialisation import fingerprint, node_from_dict, node_to_dict
from extractft.schema.type_validation import is_value, require_type

__all__ = ["Schema"]

T = TypeVar("T")
R = TypeVar("R")


class Schema(Generic[T]):
    """The shape of a record. Made with `Schema.of`; immutable.

    Attributes:
        name: The type's name, such as `"Complaint"` or `"list[Complaint]"`.
        type: The type itself.
        adapter: Pydantic's adapter for it.
        omit_defaults: True if fields that equal their default are left out of the canonical JSON.
        tree: Root of the field tree; a `RefNode` if the root refers to itself (see `resolve`).
        definitions: Targets of the tree's references, by name.
        description: Docstring of the root class, `None` if the author wrote none.
        fingerprint: SHA-256 (hex) over names, keys, kinds, constraints, order and `omit_defaults`, not over words.
        notes: Constraints that the grammar cannot enforce, each with its path; Pydantic checks them after decoding.

    Example:
        ```python
        schema = Schema.of(Complaint)
        assert schema.canonical_json(Complaint(name="龙琳")) == '{"name":"龙琳"}'
        assert schema.parse('{"name":"龙琳"}') == Complaint(name="龙琳")
        ```
    """

    name: str
    type: Any
    adapter: TypeAdapter[T]
    omit_defaults: bool
    tree: Node
    definitions: Mapping[str, Node]
    description: str | None
    notes: tuple[str, ...]

    def __init__(self, type_: Any, *, omit_defaults: bool = True) -> None:
        self.type = type_
        self.name = _name(type_)
        self._stored: Mapping[str, Any] | None = None
        self.omit_defaults = omit_defaults
        self.adapter = _adapter(type_)
        builder = TreeBuilder(self.adapter.core_schema)
        root = builder.build()
        assembly = assemble(builder, root, omit_defaults=omit_defaults)
        self._write: Writer = root.write
        self.tree, self.definitions = assembly.tree, MappingProxyType(dict(assembly.definitions))
        self.notes = tuple(builder.notes)
        self._keeps_extras = builder.keeps_extras
        resolved = self.resolve(self.tree)
        words = resolved.description if isinstance(resolved, ObjectNode) else None
        self.description = words or (docstring(type_) if isinstance(type_, type) and _has_words(type_) else None)

    @overload
    @classmethod
    def of(cls, type_: builtins.type[R] | Schema[R], *, omit_defaults: bool | None = None) -> Schema[R]: ...

    @overload
    @classmethod
    def of(cls, type_: Any, *, omit_defaults: bool | None = None) -> Schema[Any]: ...

    @classmethod
    def of(cls, type_: Any, *, omit_defaults: bool | None = None) -> Schema[Any]:
        """The schema of a type of Pydantic's that JSON has a form for; `docs/schemas.md` lists them.

        Args:
            type_: A model, a dataclass, `list[Model]`, a union, ... or a `Schema`.
            omit_defaults: Leave out fields that equal their default. Off, every key is written, nulls too. `None`:
                what a `Schema` says itself, on for types.

        Raises:
            SchemaError: Some part of the type cannot be written as JSON by a model; `path` says which, with `*` for
                the items of a list or the values of a mapping.
            MissingDependencyError: Pydantic needs a package for one of the types (`EmailStr`: email-validator).
        """
        if isinstance(type_, Schema):
            if omit_defaults is None or type_.omit_defaults == omit_defaults:
                return type_
            return cls(type_.type, omit_defaults=omit_defaults)
        return cls(type_, omit_defaults=omit_defaults is not False)

    def __copy__(self) -> Schema[T]:
        return self

    def __deepcopy__(self, memo: Any) -> Schema[T]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the type, by its name; one that was rebuilt has no name to be found under, and goes by its tree."""
        if self._stored is not None:
            return Schema.from_dict, (self._stored,)
        return partial(Schema.of, omit_defaults=self.omit_defaults), (self.type,)

    def __repr__(self) -> str:
        return f"Schema({self.name}, omit_defaults={self.omit_defaults})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything that decides what a record looks like."""
        return fingerprint(self.tree, self.definitions, omit_defaults=self.omit_defaults)

    @cached_property
    def decoding_key(self) -> str:
        """SHA-256 (hex) of all that the grammar depends on: the fingerprint's contents, and what is verbatim."""
        return fingerprint(self.tree, self.definitions, omit_defaults=self.omit_defaults, decoding=True)

    @cached_property
    def has_verbatim(self) -> bool:
        """True if a string has to be copied from the text, so that each text has a grammar of its own."""
        strings = (node.keys if isinstance(node, MapNode) else node for node in self.iter_nodes())
        return any(isinstance(node, StringNode) and node.verbatim for node in strings)

    def resolve(self, node: Node) -> Node:
        """The node itself, or what a reference refers to."""
        return resolve(node, self.definitions)

    def iter_nodes(self, *, map_keys: bool = False) -> Iterator[Node]:
        """Every node of the tree and of all definitions once; `map_keys` adds the keys of maps."""
        for root in (self.tree, *self.definitions.values()):
            yield from iter_nodes(root, map_keys=map_keys)

    def grammar_schema(self, *, max_string_length: int | None = None) -> dict[str, Any]:
        """A JSON schema made for the grammar compiler (not for people, and not Pydantic's).

        Args:
            max_string_length: Most characters of any free string; without it, nothing makes a string end.
        """
        return grammar_schema(self.tree, self.definitions, max_string_length=max_string_length)

    def canonical_value(self, instance: T) -> Any:
        """The record as JSON-able Python value, in the one canonical form.

        Raises:
            SchemaError: The value does not fit the schema, or holds what JSON cannot (NaN, a lone surrogate).
        """
        return self._written(instance, Writing())

    def full_value(self, instance: T) -> Any:
        """The record with every field present, nulls and defaults too: for comparing records.

        Raises:
            SchemaError: As for `canonical_value`.
        """
        return self._written(instance, Writing(full=True))

    def canonical_json(self, instance: T) -> str:
        """The record as the one canonical JSON text: what training targets spell and the grammar accepts.

        Raises:
            SchemaError: The value does not fit the schema, or does not survive being written and parsed back.
        """
        wrote, read = Writing(), Writing()
        value = self._written(instance, wrote)
        text = dumps(value)
        try:
            again = self.adapter.validate_json(text)
            value_again = self._written(again, read)
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
            path = self._path(first["loc"], value)
            raise SchemaError(f"the record is not valid ({first['type']})", path=path) from None
        if value_again != value:
            raise SchemaError(f"a record of {self.name} changes when it is written and parsed back").hint(
                "A validator probably changes a value that it has already changed; make it leave its own output alone."
            )
        if wrote.choices != read.choices and not is_same(again, instance):
            raise SchemaError(
                f"a record of {self.name} has a value in a union that is read back as another of its types"
            ).hint("JSON does not tell the two apart: make it one type, or give each option a tag (see Unions).")
        return text

    def parse(self, json_text: str) -> T:
        """The record that a JSON text spells.

        Raises:
            pydantic.ValidationError: The text is no JSON, or no valid record.
        """
        return self.adapter.validate_json(json_text)

    def parse_value(self, value: Any) -> T:
        """The record that a JSON-able value spells; fields may go by name or by alias.

        Raises:
            pydantic.ValidationError: The value is no valid record.
            SchemaError: The value has no JSON form.
        """
        if isinstance(self.type, type) and not get_args(self.type) and type(value) is self.type:
            value = self._written(cast("T", value), Writing(drop_extras=True))
        try:
            text = to_json(value, inf_nan_mode="constants")
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            raise SchemaError(f"expected a JSON-able value, found one that is not: {type(error).__name__}") from None
        instance = self.adapter.validate_json(text, by_alias=True, by_name=not self._swaps_names)
        if not self._keeps_extras:
            return instance
        return self.adapter.validate_json(dumps(self._written(instance, Writing(drop_extras=True))))

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to rebuild the schema without the Python type, as JSON-able dict."""
        return {
            "name": self.name,
            "description": self.description,
            "omit_defaults": self.omit_defaults,
            "fingerprint": self.fingerprint,
            "tree": node_to_dict(self.tree),
            "definitions": {name: node_to_dict(node) for name, node in self.definitions.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schema[Any]:
        """The schema that `to_dict` wrote, with classes rebuilt from its tree.

        Raises:
            SchemaError: The data is no stored schema, or the rebuilt classes do not have its fingerprint.
        """
        try:
            tree = node_from_dict(data["tree"])
            definitions = {name: node_from_dict(node) for name, node in data["definitions"].items()}
            name, omit_defaults, stored = data["name"], data["omit_defaults"], data["fingerprint"]
        except (KeyError, TypeError, AttributeError) as error:
            raise SchemaError(f"expected a stored schema, found something else: {error!r}") from error
        usable = with_usable_names(tree), {key: with_usable_names(node) for key, node in definitions.items()}
        schema = cls(rebuild_type(*usable), omit_defaults=omit_defaults)
        for expected, found in (
            (stored, fingerprint(tree, definitions, omit_defaults=omit_defaults)),
            (fingerprint(*usable, omit_defaults=omit_defaults), schema.fingerprint),
        ):
            if expected != found:
                raise SchemaError(
                    f"expected fingerprint {expected[:12]} of the stored schema {name}, found {found[:12]} after "
                    "rebuilding its classes"
                ).hint("Load the extractor with its own class: from_pretrained(path, schema=YourClass).")
        schema.name, schema.description, schema._stored = name, data.get("description"), dict(data)
        schema.tree, schema.definitions = tree, MappingProxyType(definitions)
        vars(schema).pop("fingerprint", None)  # which was that of the rebuilt names
        return schema

    def require_loadable(self) -> None:
        """Find out whether the stored form can be turned into classes again, before compute is spent on it.

        Raises:
            SchemaError: It cannot; the message says why.
        """
        try:
            again = Schema.from_dict(json.loads(json.dumps(self.to_dict(), allow_nan=False)))
            problem = None if again.fingerprint == self.fingerprint else "its fingerprint changes"
        except ValueError as error:  # a SchemaError is one
            problem = str(error)
        if problem is not None:
            raise SchemaError(f"{self.name} could be trained and saved, but not be loaded again: {problem}").hint(
                "Please report it with the class. Until then, write the field concerned with a simpler type."
            )

    @cached_property
    def field_names(self) -> Mapping[str, str]:
        """The Python names of all fields, by these and by their keys."""
        fields = [field for node in self.iter_nodes() if isinstance(node, ObjectNode) for field in node.fields]
        return {field.name: field.name for field in fields} | {field.key: field.name for field in fields}

    def _path(self, loc: Sequence[int | str], value: Any) -> str:
        """Pydantic's path to an error in our words; keys of mappings are the customer's and are not shown.

        Args:
            loc: The steps; those that are not in the value name options of unions, and are left out.
            value: The JSON value.
        """
        steps: list[str] = []
        for step in loc:
            if isinstance(value, list) and isinstance(step, int) and step < len(value):
                steps.append(str(step))
                value = value[step]
            elif isinstance(value, dict) and step in value:
                steps.append(self.field_names.get(str(step), "*"))
                value = value[step]
        return ".".join(steps)

    @cached_property
    def _swaps_names(self) -> bool:
        """True if the name of a field is the key of another one, so that rows can only go by keys."""
        objects = [node for node in self.iter_nodes() if isinstance(node, ObjectNode)]
        return any(
            field.name != field.key and any(field.name == other.key for other in node.fields)
            for node in objects
            for field in node.fields
        )

    def _written(self, instance: T, writing: Writing) -> Any:
        try:
            return self._write(instance, writing)
        except Unwritable as error:
            raise SchemaError(f"cannot write the record: {error.reason}", path=".".join(error.path)) from None


def _adapter(type_: Any) -> TypeAdapter[Any]:
    require_type(type_)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(type_)
        adapter.rebuild(raise_errors=True)
    except PydanticUndefinedAnnotation as error:
        raise SchemaError(f"{_name(type_)} refers to {error.name!r}, which is not defined").hint(
            "Call `model_rebuild()` once all its classes exist."
        ) from error
    except PydanticSchemaGenerationError as error:
        if is_value(type_):
            raise SchemaError(f"expected a type, found {_name(type_)}").hint("Give a Pydantic model.") from None
        raise SchemaError(f"{_name(type_)} holds a type that Pydantic has no schema for: {_headline(error)}") from error
    except ImportError as error:
        raise MissingDependencyError(f"A type in {_name(type_)} needs a package that is missing: {error}.").hint(
            "For e-mail addresses: pip install 'pydantic[email]'"
        ) from error
    except ExtractFTError:
        raise
    except Exception as error:  # a class's own hooks may raise anything
        raise SchemaError(f"Pydantic cannot use {_name(type_)}: {_headline(error)}") from error
    return adapter


def _headline(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _has_words(type_: type[Any]) -> bool:
    return issubclass(type_, BaseModel)


def _name(type_: Any) -> str:
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    if is_value(type_):  # which may hold customers' text
        return f"an instance of {type(type_).__name__}"
    if isinstance(type_, type) and not get_args(type_):
        return type_.__name__
    return re.sub(r"(?:[^\W\d]\w*(?:\.<locals>)?\.)+(\w)", r"\1", str(type_))
