"""Raw outputs into validated instances, and what is wrong with them in words that quote no values.

Knows the schema and pydantic's errors; knows no rows and no files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, core_schema

from extractft.data.cells import drop_padding, is_plain, plain
from extractft.data.jsontext import JsonProblem, parse_json, shown_name
from extractft.data.row import RowProblem
from extractft.data.walk import options_of
from extractft.errors import SchemaError
from extractft.schema import LiteralNode, Node, ObjectNode, Schema, StringNode, UnionNode

__all__ = ["OutputParser"]

T = TypeVar("T")

OWN_WORDS = {
    "union_tag_invalid": "the tag is none of the expected ones",
    "uuid_parsing": "expected a UUID",
    "url_parsing": "expected a URL",
    "url_syntax_violation": "expected a URL",
    "json_invalid": "expected valid Unicode and JSON",
    "string_unicode": "expected valid Unicode, found half of a surrogate pair",
    "extra_forbidden": "unknown key",
}
QUOTING = {"value_error", "assertion_error", "get_attribute_error", "iteration_error"}
KNOWN = frozenset(get_args(core_schema.ErrorType)) - QUOTING
REFUSED = "refused by a validator of the schema (its words are not repeated here, since they may quote the record)"


class OutputParser(Generic[T]):
    """Turns raw outputs into instances.

    Args:
        schema: What they have to be.
        padded: Whether they come from a typed table, which pads records with nulls.
    """

    def __init__(self, schema: Schema[T], *, padded: bool = False) -> None:
        self.schema = schema
        self.padded = padded
        self._takes_text = any(
            isinstance(option, StringNode)
            or (isinstance(option, LiteralNode) and any(isinstance(value, str) for value in option.values))
            for option in options_of(schema.tree, schema)
        )
        self._names = {field.key for field in self._fields()} | {field.name for field in self._fields()}

    def parse(self, raw: Any) -> T:
        """The instance that `raw` stands for.

        `raw` is an instance, a JSON-able value, a JSON string, or a Python value that pydantic takes. A string is taken
        as it stands when the schema itself takes text, and as JSON otherwise.

        A key that the schema does not know is a problem, since a label with a mistyped key would vanish silently. A
        model that says `extra="ignore"` or `extra="allow"` itself is believed.

        Raises:
            RowProblem: `raw` is not valid; every problem is listed.
        """
        if self._is_instance(raw):
            return self._checked(raw)
        if isinstance(raw, str) and not self._takes_text:
            raw = self._from_json(raw)
        elif not is_plain(raw):
            instance = self._from_python(raw)
            if instance is not None:
                return instance
            raw = plain(raw)
        if self.padded:
            raw = drop_padding(raw, self.schema)
        instance = self._validated(raw)
        self._refuse_unknown_keys(raw, instance)
        return self._checked(instance)

    def _is_instance(self, raw: Any) -> bool:
        expected = self.schema.type
        return isinstance(expected, type) and not is_plain(raw) and isinstance(raw, expected)

    def _checked(self, instance: T) -> T:
        """Refuse an instance that cannot be a target: changed past its validators, or by them once more."""
        try:
            self.schema.canonical_json(instance)
        except SchemaError as error:
            steps = [step if step.isdigit() or step in self._names else "*" for step in error.path.split(".") if step]
            message = f"not a valid {self.schema.name}, or one that changes when it is written and parsed back"
            raise RowProblem.one("invalid_output", message, ".".join(steps)) from error
        return instance

    @staticmethod
    def _from_json(raw: str) -> Any:
        if not raw.strip():
            raise RowProblem.one("missing_output", "the output is blank")
        try:
            return parse_json(raw)
        except JsonProblem as problem:
            raise RowProblem.one("invalid_json", f"the output: {problem}") from problem

    def _from_python(self, raw: Any) -> T | None:
        """The instance that pydantic makes of Python objects, `None` if it makes none."""
        try:
            instance: T = self.schema.adapter.validate_python(raw, extra="forbid")
        except ValidationError:
            return None
        return self._checked(instance)

    def _validated(self, raw: Any) -> T:
        try:
            return self.schema.parse_value(raw)
        except ValidationError as error:
            raise self._problem(error, raw) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise RowProblem.one("invalid_output", f"not a valid {self.schema.name}") from error

    def _refuse_unknown_keys(self, raw: Any, instance: T) -> None:
        try:
            self.schema.adapter.validate_json(json.dumps(raw), extra="forbid", by_alias=True, by_name=True)
        except ValidationError as error:
            unknown = [
                detail
                for detail in error.errors(include_url=False)
                if detail["type"] == "extra_forbidden" and not _says_extra(instance, detail["loc"][:-1])
            ]
            if unknown:
                raise RowProblem([self._described(detail, raw) for detail in unknown]) from None

    def _problem(self, error: ValidationError, raw: Any = None) -> RowProblem:
        return RowProblem([self._described(detail, raw) for detail in error.errors(include_url=False)])

    def _described(self, detail: ErrorDetails, raw: Any) -> tuple[str, str, str]:
        kind = "unknown_key" if detail["type"] == "extra_forbidden" else "invalid_output"
        message = OWN_WORDS.get(detail["type"], detail["msg"]) if detail["type"] in KNOWN else REFUSED
        if kind == "unknown_key":
            message = f"the schema has no key {shown_name(detail['loc'][-1])}"
        return kind, message, self._path(detail, raw)

    def _path(self, detail: ErrorDetails, raw: Any) -> str:
        """Where the error is, in the record's own keys.

        Pydantic's names of union options are left out; keys that are data, as in `dict[str, int]`, become `*`.
        """
        steps: list[str] = []
        value = raw
        for index, step in enumerate(detail["loc"]):
            last = index == len(detail["loc"]) - 1
            if isinstance(value, list) and isinstance(step, int) and step < len(value):
                steps.append(str(step))
                value = value[step]
            elif last and detail["type"] == "extra_forbidden":
                steps.append(shown_name(step).strip("'"))
            elif isinstance(value, Mapping) and step in value:
                steps.append(str(step) if step in self._names else "*")
                value = value[step]
            elif step in self._names and (raw is None or (last and detail["type"] == "missing")):
                steps.append(str(step))
        return ".".join(steps)

    def _fields(self) -> list[Any]:
        nodes: list[Node] = [self.schema.tree, *self.schema.definitions.values()]
        found: list[Any] = []
        while nodes:
            node = nodes.pop()
            if isinstance(node, ObjectNode):
                found.extend(node.fields)
                nodes.extend(field.node for field in node.fields)
            elif isinstance(node, UnionNode):
                nodes.extend(node.options)
            else:
                parts = [*getattr(node, "prefix", ()), getattr(node, "items", None), getattr(node, "values", None)]
                nodes.extend(part for part in parts if part is not None and not isinstance(part, tuple))
        return found


def _says_extra(instance: Any, loc: tuple[int | str, ...]) -> bool:
    """Whether the model at a place of the instance says itself what happens to unknown keys."""
    for step in loc:
        instance = _child(instance, step)
    config = getattr(type(instance), "model_config", None) or getattr(type(instance), "__pydantic_config__", None) or {}
    return config.get("extra") in ("ignore", "allow")


def _child(value: Any, step: int | str) -> Any:
    """What stands at a step of pydantic's path; the value itself where the step names an option of a union."""
    if isinstance(value, list | tuple):
        return value[step] if isinstance(step, int) and step < len(value) else value
    if isinstance(value, Mapping):
        return value.get(step, value)
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if step in (name, field.alias, field.validation_alias):
                return getattr(value, name)
    return value
