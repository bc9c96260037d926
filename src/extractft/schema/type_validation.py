"""Near misses of types: JSON schemas, instances, names. Says what to write instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from pydantic import BaseModel, TypeAdapter

from extractft.errors import SchemaError

__all__ = ["is_value", "require_type"]

_KEYWORDS = {"$defs", "$ref", "$schema", "additionalProperties", "anyOf", "properties", "required", "type"}
"""Keywords at the top of a JSON schema."""
_TYPE_MODULES = (
    "_collections_abc",
    "annotated_types",
    "builtins",
    "collections",
    "types",
    "typing",
    "typing_extensions",
)
"""Modules of aliases and functions, which stand for types."""


def require_type(value: Any) -> None:
    """Refuse what is no type.

    Raises:
        SchemaError: It is a value; the note says what may have been meant.
    """
    instance = isinstance(value, BaseModel) or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    found, hint = type(value).__name__, ""
    match value:
        case _ if instance:
            found, hint = f"an instance of {found}", f"Give the class itself: {found}."
        case Mapping():
            found, hint = "a " + found, _hint_for_mapping(value)
        case str():
            found, hint = "a string", "Give the class itself, not its name or its source."
        case bytes() | int() | float():
            found, hint = "a " + found, "Give a Pydantic model, or a type such as list[Model]."
        case list() | set() | tuple():
            found, hint = "a " + found, "For several records write list[Model], for one of several Model | Other."
        case TypeAdapter():
            found, hint = "a TypeAdapter", "Give the type that it was made for."
        case ModuleType():
            found, hint = "a module", "Give a class of it."
    if hint:
        raise SchemaError(f"expected a type, found {found}").hint(hint)


def is_value(value: Any) -> bool:
    """True for an object of some other library's class, which is no type, alias or function."""
    return not isinstance(value, type) and type(value).__module__.removesuffix("_extensions") not in _TYPE_MODULES


def _hint_for_mapping(value: Mapping[Any, Any]) -> str:
    names = {key: item.__name__ for key, item in value.items() if isinstance(key, str) and isinstance(item, type)}
    if value and len(names) == len(value):
        fields = ", ".join(f"{key}=({name}, ...)" for key, name in list(names.items())[:3])
        return f"Make a model of it: pydantic.create_model('Record', {fields})."
    if _KEYWORDS & {key for key in value if isinstance(key, str)}:
        return "This looks like a JSON schema. Give the class that it was made from, not Model.model_json_schema()."
    return "Give a Pydantic model."
