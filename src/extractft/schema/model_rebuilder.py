"""The field tree -> Pydantic types, for when the class that it was made from is not at hand.

Dataclasses, TypedDicts and named tuples come back as models, enumerations as literals; validators do not come back.
Keys, order, constraints and defaults are the same, so the rebuilt type has the same tree. Where no type of Pydantic's
has it, a marker within the type does.
"""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from collections.abc import Mapping
from functools import lru_cache, partialmethod
from typing import Annotated, Any, ForwardRef, Literal, Union, cast
from uuid import UUID

from pydantic import (
    AnyUrl,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FutureDate,
    FutureDatetime,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    NaiveDatetime,
    PastDate,
    PastDatetime,
    RootModel,
    TypeAdapter,
    UrlConstraints,
    ValidationError,
    create_model,
)
from pydantic.types import UuidVersion
from pydantic_core import CoreSchema, core_schema

from extractft.errors import SchemaError
from extractft.schema import nodes as n
from extractft.schema.markers import KEPT, STORED, TAG, Merge, Verbatim
from extractft.schema.nodes import iter_nodes, map_children
from extractft.schema.string_formats import STRING_FORMATS
from extractft.schema.tree_builder import TreeBuilder
from extractft.schema.tree_serialisation import node_from_dict, node_to_dict
from extractft.schema.typed_literals import TypedLiteral

__all__ = ["rebuild_type", "with_usable_names"]

BOUNDS = ("ge", "gt", "le", "lt", "multiple_of")
# typed as Any: these are parametrised at run time
TUPLE: Any = tuple
LIST: Any = list
SET: Any = set
FROZENSET: Any = frozenset
DICT: Any = dict
ROOT: Any = RootModel
UNION: Any = Union
SCALARS = (n.StringNode, n.IntegerNode, n.NumberNode, n.BooleanNode, n.NullNode, n.LiteralNode)
MODULE = "extractft.schema.rebuilt"


class Email(str):
    """An e-mail address, checked as far as a record needs it; needs no further package."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls._checked, core_schema.str_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "email"}

    @classmethod
    def _checked(cls, value: str) -> str:
        name, _, domain = value.rpartition("@")
        if not name or not domain:
            raise ValueError("value is not a valid email address")
        return value


@dataclasses.dataclass(frozen=True)
class _Note:
    """A note in the metadata of a core schema, for what no type of Pydantic's expresses."""

    name: str
    value: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        core: Any = handler(source)
        return cast("CoreSchema", {**core, "metadata": {**(core.get("metadata") or {}), self.name: self.value}})


@dataclasses.dataclass(frozen=True, eq=False)
class _TakesDefault:
    """Lets a field keep a default that its own constraints refuse, as Pydantic does where it is not validated.

    Attributes:
        default: The canonical JSON value.
        value: The Python value to keep.
        kept: True if the field is written though it equals its default.
    """

    default: Any
    value: Any
    kept: bool

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._read, handler(source), metadata={KEPT: self.kept})

    def _read(self, value: Any, handler: Any) -> Any:
        try:
            return handler(value)
        except ValidationError:
            if type(value) is not type(self.default) or value != self.default:
                raise
            return self.value


def _unconstrained(node: n.Node, value: Any) -> Any:
    """The Python value of a canonical JSON value, whatever bounds it breaks."""
    for option in node.options if isinstance(node, n.UnionNode) else (node,):
        format_ = option.format if isinstance(option, n.StringNode) else None
        type_ = None if format_ is None else STRING_FORMATS[format_].python_type
        if type_ is not None:
            try:
                return TypeAdapter(type_).validate_python(value)
            except ValidationError:
                continue
    return value


def rebuild_type(tree: n.Node, definitions: Mapping[str, n.Node]) -> Any:
    """A type that Pydantic can parse, with the same tree: for the same tree the same classes in all of a process.

    Raises:
        SchemaError: A field's name cannot be the name of a model's field.
    """
    form = {"tree": node_to_dict(tree), "definitions": {name: node_to_dict(node) for name, node in definitions.items()}}
    try:
        return _rebuilt(json.dumps(form))[0]
    except SchemaError:
        raise
    except Exception as error:  # whatever Pydantic raises for a type that it does not take
        raise SchemaError(f"cannot rebuild a class from the stored schema: {error}").hint(
            "Load the extractor with its own class: from_pretrained(path, schema=YourClass)."
        ) from error


@lru_cache(maxsize=128)
def _rebuilt(form: str) -> tuple[Any, list[type[BaseModel]]]:
    """The type of a stored tree and all classes in it, whose records are pickled by the tree and the class's number."""
    data = json.loads(form)
    definitions = {name: node_from_dict(node) for name, node in data["definitions"].items()}
    builder = _Rebuilder(node_from_dict(data["tree"]), definitions)
    root = builder.build()
    for number, model in enumerate(builder.models):
        type.__setattr__(model, "__reduce__", partialmethod(_reduce, form, number))
    return root, builder.models


def _reduce(record: BaseModel, form: str, number: int) -> tuple[Any, ...]:
    return _blank_record, (form, number), record.__getstate__()


def _blank_record(form: str, number: int) -> BaseModel:
    """A record that is about to get its state: how unpickling begins."""
    cls = _rebuilt(form)[1][number]
    return cls.__new__(cls)


def with_usable_names(node: n.Node) -> n.Node:
    """The node with names that a model's fields may have: no underscore first, nothing that Pydantic needs itself."""
    node = map_children(node, with_usable_names)
    if not isinstance(node, n.ObjectNode):
        return node
    taken = {field.name for field in node.fields}
    fields = []
    for field in node.fields:
        name = field.name
        if name.startswith("_") or (name.startswith("model_") and hasattr(BaseModel, name)):
            name = "field" + ("_" if not name.startswith("_") else "") + name
            while name in taken:
                name += "_"
            taken.add(name)
        fields.append(dataclasses.replace(field, name=name))
    return dataclasses.replace(node, fields=tuple(fields))


class _Rebuilder:
    def __init__(self, tree: n.Node, definitions: Mapping[str, n.Node]) -> None:
        self.tree = tree
        self.definitions = definitions
        self.refs = {name: f"_Rebuilt{number}" for number, name in enumerate(definitions)}
        self.models: list[type[BaseModel]] = []
        everything = [node for root in (tree, *definitions.values()) for node in iter_nodes(root)]
        self.hashable = any(
            isinstance(node, n.ArrayNode) and node.unique and not isinstance(node.items, SCALARS) for node in everything
        )
        self.config = ConfigDict(
            protected_namespaces=(),
            validate_by_name=not any(map(_swaps_names, everything)),
            validate_by_alias=True,
            frozen=self.hashable,
        )

    def build(self) -> Any:
        namespace = {self.refs[name]: self.definition(name, node) for name, node in self.definitions.items()}
        root = self.annotation(self.tree)
        for model in self.models:
            model.model_rebuild(force=True, _types_namespace=namespace)
        if isinstance(root, ForwardRef):
            return namespace[root.__forward_arg__]
        if isinstance(root, type) and issubclass(root, BaseModel):
            return root
        # other roots name their definitions by forward references as well; a RootModel would add a layer of its own
        self.refs = {}
        self.final = {name: namespace[f"_Rebuilt{number}"] for number, name in enumerate(self.definitions)}
        return self.annotation(self.tree)

    def definition(self, name: str, node: n.Node) -> Any:
        if isinstance(node, n.ObjectNode):
            return self.model(node)
        return self.made(create_model(name, __base__=ROOT[self.annotation(node)], __module__=MODULE))

    def made(self, model: type[BaseModel]) -> type[BaseModel]:
        self.models.append(model)
        return model

    def marked(self, field: n.Field) -> Any:
        annotation = self.annotation(field.node)
        if field.default is not n.MISSING:
            value = _unconstrained(field.node, field.default)
            annotation = Annotated[annotation, _TakesDefault(field.default, value, field.required)]
        return annotation if field.merge is None else Annotated[annotation, Merge(field.merge)]

    def field(self, field: n.Field) -> Any:
        words: dict[str, Any] = {"description": field.description} if field.description else {}
        if field.key != field.name:
            words["validation_alias"] = field.key
        if field.default is not n.MISSING:
            return Field(default=field.default, validate_default=field.default is not None, **words)
        if field.required:
            return Field(**words)
        if n.accepts_null(field.node, self.definitions):  # absence is a state of its own, beside null
            return Field(default=n.MISSING, exclude_if=_is_missing, **words)
        return Field(default=None, **words)

    def model(self, node: n.ObjectNode) -> type[BaseModel]:
        fields: dict[str, Any] = {field.name: (self.marked(field), self.field(field)) for field in node.fields}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a field may be called `json` or `copy`
            model = create_model(
                node.name, __config__=self.config, __doc__=node.description, __module__=MODULE, **fields
            )
        return self.made(cast("type[BaseModel]", model))

    def annotation(self, node: n.Node) -> Any:
        match node:
            case n.MapNode():
                pair = (self.annotation(node.keys), self.annotation(node.values))
                return _constrained(DICT[pair], min_length=node.min_items or None, max_length=node.max_items)
            case n.ArrayNode():
                return self.array(node)
            case n.ObjectNode():
                return self.model(node)
            case n.UnionNode(options, discriminator):
                union = UNION[tuple(map(self.annotation, options))]
                return union if discriminator is None else Annotated[union, _Note(TAG, discriminator)]
            case n.RefNode(name):
                return ForwardRef(self.refs[name]) if self.refs else self.final[name]
        return _leaf(node)

    def array(self, node: n.ArrayNode) -> Any:
        if node.items is None:
            return TUPLE[tuple(map(self.annotation, node.prefix)) or ()]
        items = self.annotation(node.items)
        made: Any
        if node.unique:
            made = FROZENSET[items] if self.hashable else SET[items]
        else:
            made = TUPLE[items, ...] if self.hashable else LIST[items]
        return _constrained(made, min_length=node.min_items or None, max_length=node.max_items)


def _swaps_names(node: n.Node) -> bool:
    """True if the name of a field is the key of another, so that going by name would read the wrong one."""
    fields = node.fields if isinstance(node, n.ObjectNode) else ()
    keys = {field.key for field in fields}
    return any(field.name != field.key and field.name in keys for field in fields)


def _is_missing(value: Any) -> bool:
    return value is n.MISSING


def _leaf(node: n.Node) -> Any:
    """A type for a single value."""
    if not isinstance(node, n.LiteralNode):
        return _scalar_leaf(node)
    numeric = any(isinstance(value, int | float) for value in node.values)
    return Annotated[Literal[node.values], TypedLiteral(node)] if numeric else Literal[node.values]


@lru_cache(maxsize=4096)
def _scalar_leaf(node: n.Node) -> Any:
    """A type for a single value, with its node in a marker if the type alone does not make it."""
    type_ = _leaf_type(node)
    try:
        if TreeBuilder(TypeAdapter(type_).core_schema).build().node == node:
            return type_
    except Exception:  # whatever Pydantic raises, such as for a pattern that is written for another engine
        pass
    plain = {n.IntegerNode: int, n.NumberNode: float}.get(type(node), str)
    return Annotated[plain, _Note(STORED, node)]


def _leaf_type(node: n.Node) -> Any:
    match node:
        case n.StringNode():
            return _string(node)
        case n.IntegerNode(minimum, maximum, multiple):
            return _constrained(int, ge=minimum, le=maximum, multiple_of=multiple)
        case n.NumberNode(minimum, maximum, above, below, multiple):
            return _constrained(float, ge=minimum, le=maximum, gt=above, lt=below, multiple_of=multiple)
        case n.BooleanNode():
            return bool
        case n.NullNode():
            return None
    raise AssertionError(node)


def _constrained(type_: Any, **constraints: Any) -> Any:
    given = {name: value for name, value in constraints.items() if value is not None}
    return Annotated[type_, Field(**given)] if given else type_


def _string(node: n.StringNode) -> Any:
    type_ = _unmarked_string(node)
    return Annotated[type_, Verbatim(node.verbatim == "normalized")] if node.verbatim else type_


def _unmarked_string(node: n.StringNode) -> Any:
    match node.format:
        case None:
            python = node.constraint("regex_engine") == "python-re"
            pattern = re.compile(str(node.pattern)) if python else node.pattern
            return _constrained(str, min_length=node.min_length or None, max_length=node.max_length, pattern=pattern)
        case "email":
            return _constrained(Email, min_length=node.min_length or None, max_length=node.max_length)
        case "uri":
            schemes = node.constraint("schemes")
            allowed = str(schemes).split(",") if schemes else None
            if allowed is None and node.max_length is None:
                return AnyUrl
            return Annotated[AnyUrl, UrlConstraints(max_length=node.max_length, allowed_schemes=allowed)]
        case "uuid":
            version: Any = node.constraint("version")
            return Annotated[UUID, UuidVersion(version)] if version else UUID
    type_ = STRING_FORMATS[node.format].python_type
    bounds = {name: _bound(type_, node.constraint(name)) for name in BOUNDS}
    counts = {name: node.constraint(name) for name in ("max_digits", "decimal_places")}
    variant = _VARIANTS.get((node.format, node.constraint("now") or node.constraint("timezone")), type_)
    return _constrained(variant, **bounds, **counts)


def _bound(type_: Any, value: n.JsonScalar) -> Any:
    return None if value is None else TypeAdapter(type_).validate_python(value)


_VARIANTS: Mapping[tuple[str, n.JsonScalar], Any] = {
    ("date", "past"): PastDate,
    ("date", "future"): FutureDate,
    ("datetime", "past"): PastDatetime,
    ("datetime", "future"): FutureDatetime,
    ("datetime", "required"): AwareDatetime,
    ("datetime", "forbidden"): NaiveDatetime,
}
