"""Small questions to Pydantic's core schemas: which fields, which default, which words."""

from __future__ import annotations

import inspect
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, RootModel
from pydantic_core import SchemaValidator

from extractft.errors import SchemaError
from extractft.schema.markers import KEPT, MERGE, MergeRule
from extractft.schema.node_plan import Core
from extractft.schema.nodes import (
    MISSING,
    ArrayNode,
    Node,
    NullNode,
    UnionNode,
)

__all__ = [
    "AROUND",
    "HINT",
    "UNKNOWN",
    "check_key",
    "class_identity",
    "default_value",
    "description",
    "docstring",
    "field_key",
    "find_default",
    "find_merge_rule",
    "is_kept",
    "is_list",
    "iter_class_fields",
]

AROUND = (
    "union",
    "chain",
    "custom-error",
    "function-after",
    "function-before",
    "function-wrap",
    "json-or-python",
    "lax-or-strict",
)
"""Layers around the schema of a class that Pydantic knows by name, such as a path."""
HINT = "Name the type of the value: str, int, a model, a union of these."
UNKNOWN = {
    "any": "one that takes anything (Any, object, a bare list or dict, a type variable without its type)",
    "is-instance": "an arbitrary class",
    "is-subclass": "a class as a value",
    "callable": "a function",
    "generator": "a one-shot iterable",
    "json": "JSON inside of a string",
    "complex": "a complex number",
}
"""The types behind Pydantic's names for schemas that no node is made for."""
FUNCTIONS = ("function-before", "function-after", "function-wrap")


def class_identity(core: Core) -> Any:
    """The identity of a class with fields; `None` for anything else."""
    while core["type"] in FUNCTIONS:
        core = core["schema"]
    match core["type"]:
        case "model" if not core.get("root_model"):
            return core["cls"]
        case "named-tuple":
            return core["cls"]
        case "dataclass":  # takes the aliases of the class around it
            return core["cls"], tuple(str(item.get("validation_alias")) for _, item in iter_class_fields(core))
        case "call":
            return core["function"]
        case "typed-dict":
            return core.get("ref") or id(core)
    return None


def iter_class_fields(core: Core) -> Iterator[tuple[str, Core]]:
    """Names and field schemas of a class, in their order, beneath its validators."""
    while "fields" not in core or not isinstance(core["fields"], list | dict) or core["type"] == "dataclass":
        if "arguments_schema" in core and isinstance(core["arguments_schema"], list):
            yield from ((item["name"], item) for item in core["arguments_schema"])
            return
        core = core["arguments_schema"] if core["type"] == "call" else core["schema"]
    if isinstance(core["fields"], dict):
        total = core.get("total", True)
        for name, item in core["fields"].items():
            is_key = item["type"] == "typed-dict-field"
            yield name, {**item, "required": item.get("required", total)} if is_key else item
    else:
        yield from ((item["name"], item) for item in core["fields"])


def field_key(name: str, core: Core, config: Mapping[str, Any], path: str) -> str:
    """The key under which parsing looks for a field: its validation alias, if it has one.

    Raises:
        SchemaError: The alias is a path into other values, or holds what the grammar cannot spell.
    """
    alias = core.get("validation_alias", core.get("alias"))
    if alias is None or config.get("validate_by_alias") is False:
        return check_key(name, path)
    routes = [[alias]] if isinstance(alias, str) else alias if isinstance(alias[0], list) else [alias]
    for route in routes:
        if len(route) == 1 and isinstance(route[0], str):
            return check_key(route[0], path)
    raise SchemaError("an alias path reaches into other values; the field has no key of its own", path=path).hint(
        "Give the field a plain alias, or AliasChoices with one."
    )


def check_key(key: str, path: str) -> str:
    """The key, if JSON and the grammar can spell it.

    Raises:
        SchemaError: It holds a lone surrogate or the control character DEL.
    """
    if "\x7f" in key or any("\ud800" <= char <= "\udfff" for char in key):
        raise SchemaError("a key with DEL or a lone surrogate in it cannot be written", path=path)
    return key


def find_default(core: Core) -> Core | None:
    """The part of a field's schema that holds its default, beneath its validators."""
    while core["type"] in FUNCTIONS:
        core = core["schema"]
    return core if core["type"] == "default" else None


def default_value(core: Core, config: Mapping[str, Any], closed: Callable[[Core], Any], path: str) -> Any:
    """The static default that a field's schema holds, `MISSING` if it is made anew each time.

    Args:
        core: The schema that `find_default` found.
        config: The configuration of the class.
        closed: Makes a schema stand on its own, with its definitions.
        path: The path of the field.

    Raises:
        SchemaError: The class validates its defaults, and this one is not valid.
    """
    if core.get("default_factory") is not None:
        return _empty_container(core["default_factory"], core.get("default_factory_takes_data"))
    value = core.get("default", MISSING)
    if value is not MISSING and core.get("validate_default", config.get("validate_default")):
        try:
            return SchemaValidator(closed(core["schema"])).validate_python(value)
        except Exception as error:  # a user's validator may raise anything, and quote the value
            message = f"expected a default that the field takes, found one that it refuses ({type(error).__name__})"
            raise SchemaError(message, path=path).hint("Correct the default, or leave it out.") from error
    return value


def description(core: Core) -> str | None:
    """The author's words about a field: on the field, or on its type."""
    current: Any = core
    while isinstance(current, Mapping):
        updates = (current.get("metadata") or {}).get("pydantic_js_updates") or {}
        if updates.get("description"):
            return inspect.cleandoc(updates["description"])
        if current.get("root_model"):
            return docstring(current["cls"])
        current = current.get("schema") if current.get("type") in (*FUNCTIONS, "default", *_FIELD_TYPES) else None
    return None


def is_kept(core: Core) -> bool:
    """True if a rebuilt field says that it is written though it equals its default."""
    current: Any = core["schema"]
    while isinstance(current, Mapping) and current["type"] in FUNCTIONS:
        if (current.get("metadata") or {}).get(KEPT):
            return True
        current = current.get("schema")
    return False


def is_list(node: Node) -> bool:
    """True for a list, or a list or null."""
    options = [option for option in (node.options if isinstance(node, UnionNode) else (node,)) if option != NullNode()]
    return len(options) == 1 and isinstance(options[0], ArrayNode) and not options[0].prefix


def find_merge_rule(core: Core, markers: set[int]) -> MergeRule | None:
    """The rule that `Merge` gives a field, `None` without one.

    Args:
        core: The schema of the field's value.
        markers: Takes in the identity of the marked schema.
    """
    current: Any = core
    while isinstance(current, Mapping):
        rule: MergeRule | None = (current.get("metadata") or {}).get(MERGE)
        if rule is not None:
            markers.add(id(current))
            return rule
        current = current.get("schema") if current["type"] in (*FUNCTIONS, "default", "nullable") else None
    return None


_FIELD_TYPES = ("model-field", "typed-dict-field", "dataclass-field", "named-tuple-field")


def docstring(cls: type[Any] | None) -> str | None:
    """The docstring that the author wrote, not one that a decorator or a base class made up."""
    if cls is None:
        return None
    origin = getattr(cls, "__pydantic_generic_metadata__", {}).get("origin") or cls
    text = origin.__dict__.get("__doc__") if origin not in (BaseModel, RootModel) else None
    if not isinstance(text, str) or text == dict.__doc__ or text.startswith(f"{origin.__name__}("):
        return None
    return inspect.cleandoc(text).strip() or None


_CONTAINERS: tuple[Any, ...] = (list, dict, set, frozenset, tuple, deque, OrderedDict, defaultdict)


def _empty_container(factory: Any, takes_data: bool | None) -> Any:
    """The value of a default factory if that is always an empty container, else `MISSING`.

    A factory of anything else (a new id, the current time) has no static default.
    """
    if takes_data:
        return MISSING
    if factory in _CONTAINERS:
        return factory()
    if not inspect.isfunction(factory):
        return MISSING
    try:
        value = factory()
    except Exception:  # a user's factory may raise anything; it is asked again when the default is needed
        return MISSING
    return value if isinstance(value, _CONTAINERS) and not value else MISSING
