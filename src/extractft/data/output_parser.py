"""Parse raw outputs into validated instances. Knows the schema; knows no rows and no files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from extractft.data.raw_row import InvalidRow
from extractft.data.strict_json import InvalidJson, parse_json, unwrap_answer
from extractft.data.table_values import drop_null_padding, is_jsonable, to_jsonable
from extractft.data.validation_errors import ErrorDescriber
from extractft.errors import SchemaError
from extractft.schema import LiteralNode, Schema, StringNode
from extractft.schema.nodes import options_of

__all__ = ["OutputParser"]

T = TypeVar("T")


class OutputParser(Generic[T]):
    """Parses raw outputs into instances of a schema.

    Args:
        schema: The schema of the outputs.
        padded: True if they come from a typed table, which pads records with nulls.
        show_values: True if messages may repeat the words of the schema's own validators.
    """

    def __init__(self, schema: Schema[T], *, padded: bool = False, show_values: bool = False) -> None:
        self.schema = schema
        self.padded = padded
        self._takes_text = any(
            isinstance(option, StringNode)
            or (isinstance(option, LiteralNode) and any(isinstance(value, str) for value in option.values))
            for option in options_of(schema.tree, schema.definitions)
        )
        self._describer = ErrorDescriber(schema, show_values=show_values)

    def parse(self, raw: Any) -> T:
        """Parse a raw output.

        `raw` is an instance, a JSON-able value, a JSON string, or a Python value that pydantic takes. A string is taken
        as it stands when the schema itself takes text, and as JSON otherwise.

        A key that the schema does not know is refused, since a label with a mistyped key would vanish silently, unless
        the model itself says `extra="ignore"` or `extra="allow"`.

        Raises:
            InvalidRow: `raw` is not valid; every problem is listed.
        """
        try:
            return self._parse_any(raw)
        except (InvalidRow, MemoryError):
            raise
        except RecursionError as error:
            raise InvalidRow.one("invalid_output", "nested too deeply to read") from error
        except Exception as error:  # the schema's own validators may raise anything
            message = f"a validator of the schema failed with {type(error).__name__}"
            raise InvalidRow.one("invalid_output", message, "", raw) from error

    def _parse_any(self, raw: Any) -> T:
        if self._is_instance(raw):
            return self._require_round_trip(raw)
        if isinstance(raw, str) and not self._takes_text:
            raw = self._parse_json_output(raw)
        elif self.padded:
            raw = drop_null_padding(to_jsonable(raw), self.schema)
        elif not is_jsonable(raw):
            instance = self._validate_python(raw)
            if instance is not None:
                return instance
            raw = to_jsonable(raw)
        instance = self._validate(raw)
        self._refuse_unknown_keys(raw, instance)
        return self._require_round_trip(instance)

    def _is_instance(self, raw: Any) -> bool:
        expected = self.schema.type
        if not isinstance(expected, type) or is_jsonable(raw):
            return False
        try:
            return isinstance(raw, expected)
        except TypeError:  # a TypedDict is a type without instances
            return False

    def _require_round_trip(self, instance: T) -> T:
        """Refuse an instance that changes when it is written and parsed back."""
        try:
            self.schema.canonical_json(instance)
        except SchemaError as error:
            message = f"not a valid {self.schema.name}, or one that changes when it is written and parsed back"
            raise InvalidRow.one("invalid_output", message, self._describer.shown_path(error.path), instance) from error
        return instance

    def _parse_json_output(self, raw: str) -> Any:
        if not raw.strip():
            raise InvalidRow.one("missing_output", "the output is blank")
        names = self.schema.field_names
        try:
            value = parse_json(raw, names)
            quoted = isinstance(value, str) and value.lstrip().startswith(("{", "["))
            return parse_json(value, names) if quoted else value
        except InvalidJson as problem:
            answer = unwrap_answer(raw)
            if answer != raw:
                with suppress(InvalidJson):
                    return parse_json(answer, names)
            raise InvalidRow.one("invalid_json", f"the output: {problem}", "", raw) from problem

    def _validate_python(self, raw: Any) -> T | None:
        """The instance that pydantic makes of Python objects, `None` if it makes none."""
        try:
            instance: T = self.schema.adapter.validate_python(raw, extra="forbid")
        except ValidationError:
            return None
        return self._require_round_trip(instance)

    def _validate(self, raw: Any) -> T:
        try:
            return self.schema.parse_value(raw)
        except ValidationError as error:
            raise self._describer.describe(error.errors(include_url=False), raw) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidRow.one("invalid_output", f"not a valid {self.schema.name}", "", raw) from error

    def _refuse_unknown_keys(self, raw: Any, instance: T) -> None:
        try:
            self.schema.adapter.validate_json(json.dumps(raw), extra="forbid", by_alias=True, by_name=True)
        except ValidationError as error:
            allows_extra = cache(partial(_allows_extra_keys, instance))  # many keys may be unknown at one place
            unknown = [
                detail
                for detail in error.errors(include_url=False)
                if detail["type"] == "extra_forbidden" and not allows_extra(detail["loc"][:-1])
            ]
            if unknown:
                raise self._describer.describe(self._describer.unknown_to_all(unknown, raw), raw) from None


def _allows_extra_keys(instance: Any, loc: tuple[int | str, ...]) -> bool:
    """True if the model at a place of the instance sets `extra` to `ignore` or `allow`."""
    for step in loc:
        instance = _value_at(instance, step)
    config = getattr(type(instance), "model_config", None) or getattr(type(instance), "__pydantic_config__", None) or {}
    return config.get("extra") in ("ignore", "allow")


def _value_at(value: Any, step: int | str) -> Any:
    """The value at a step of pydantic's path; the value itself where the step names an option of a union."""
    if isinstance(value, list | tuple):
        return value[step] if isinstance(step, int) and step < len(value) else value
    if isinstance(value, Mapping):
        return value.get(step, value)
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if step in (name, field.alias, field.validation_alias):
                return getattr(value, name)
    return value
