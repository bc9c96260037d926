"""Constraints in Pydantic's core schemas that the field tree has no words for: a note for each.

Knows core schemas and Pydantic's own validators; user's validators are no constraints and get no note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from extractft.schema.node_plan import Core

__all__ = ["notes_of_chain", "notes_of_leaf", "notes_of_validator"]

_AFTER = "is checked after decoding, not by the grammar"
_WORDS = ("deprecated", "description", "examples", "format", "readOnly", "title", "writeOnly")
"""Keywords that Pydantic adds to a JSON schema without checking them."""
_LIBRARIES = ("pydantic", "pydantic_extra_types", "annotated_types")
_HARMLESS = ("decode", "decode_str", "forbid_inf_nan_check", "path_validator", "wrap_val")
"""Functions that only make the value, or that a format speaks of."""
_NAMES = {"minLength": "min_length", "maxLength": "max_length", "minItems": "min_length", "maxItems": "max_length"}
_STRINGS = ("pattern", "min_length", "max_length", "ascii_only")


def notes_of_leaf(core: Core, config: Mapping[str, Any]) -> Iterator[str]:
    """The demands of a single value's schema that its node does not hold."""
    if core["type"] == "bytes":
        for name in ("min_length", "max_length"):
            if core.get(name):
                yield f"{name}={core[name]} counts bytes and {_AFTER}"
    if core["type"] == "str":
        if core.get("ascii_only", config.get("str_ascii_only")):
            yield f"that all characters are ASCII {_AFTER}"
        if core.get("strip_whitespace", config.get("str_strip_whitespace")):
            shortest = core.get("min_length", config.get("str_min_length"))
            if shortest:
                yield f"min_length={shortest} counts what is left without white space at the ends, and {_AFTER}"
            if core.get("pattern"):
                yield f"the pattern is searched for in what is left without white space at the ends, which {_AFTER}"


def notes_of_validator(core: Core, *, tells_format: bool) -> Iterator[str]:
    """The demands of a validator of Pydantic's own around a schema.

    Args:
        core: The schema of the validator.
        tells_format: True if Pydantic's JSON schema has a format for it, which has a note of its own.
    """
    updates = {
        name: value
        for name, value in ((core.get("metadata") or {}).get("pydantic_js_updates") or {}).items()
        if name not in _WORDS
    }
    for name, value in updates.items():
        yield f"{_NAMES.get(name, name)}={value} {_AFTER}"
    if not updates and not tells_format and "function" in core:
        function = _named(core["function"].get("function"))
        if function is not None:
            yield f"{function} {_AFTER}"


def notes_of_chain(steps: list[Core]) -> Iterator[str]:
    """The demands of the later steps of a chain."""
    for step in steps:
        inner: Any = step
        while isinstance(inner, Mapping):
            yield from (f"{name}={inner[name]!r} {_AFTER}" for name in _STRINGS if inner.get(name))
            inner = inner.get("schema")


def _named(function: Any) -> str | None:
    """A library's validator in words; `None` for a user's, and for those that demand nothing."""
    given: Mapping[str, Any] = {}
    while isinstance(function, partial):
        function, given = function.func, {**function.keywords, **given}
    owner = getattr(function, "__self__", None)
    function = getattr(function, "__func__", function)
    module, name = getattr(function, "__module__", None) or "", getattr(function, "__name__", "")
    if module.split(".")[0] not in _LIBRARIES or name in _HARMLESS or isinstance(function, type):
        return None
    if given:
        return ", ".join(f"{key}={value}" for key, value in given.items())
    if name == "<lambda>" and module == "pydantic.types":  # makes a secret
        return None
    if isinstance(owner, type):
        return f"what {owner.__name__} takes"
    return "a predicate" if name == "val_func" else f"the validator {name}"
