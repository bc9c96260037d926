"""Literals that tell `1`, `1.0` and `true` apart, as JSON and enumerations do, for rebuilt classes.

A `Literal` of Python's takes any value that equals one of its own, and so would take away from the other options of a
union what is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from extractft.schema.markers import STORED
from extractft.schema.nodes import LiteralNode

__all__ = ["TypedLiteral"]


@dataclass(frozen=True, eq=False)
class TypedLiteral:
    """Makes Pydantic read a literal by value and type; `1.0` for `1` counts as converted, `true` for `1` as wrong.

    Attributes:
        node: The literal, among whose values are numbers or booleans.
    """

    node: LiteralNode

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The literal itself first, then whole numbers written as floats."""
        own = core_schema.no_info_before_validator_function(self._own, handler(source))
        number = core_schema.no_info_before_validator_function(self._no_boolean, core_schema.int_schema())
        equal = core_schema.no_info_after_validator_function(self._own, number)
        return core_schema.union_schema([own, equal], metadata={STORED: self.node})

    def _own(self, value: Any) -> Any:
        if not any(type(value) is type(allowed) and value == allowed for allowed in self.node.values):
            raise ValueError("none of the allowed values")
        return value

    @staticmethod
    def _no_boolean(value: Any) -> Any:
        if isinstance(value, bool | str):
            raise ValueError("none of the allowed values")
        return value
