"""One place of a core schema on its own: read, serialised, described, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from pydantic import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreConfig, PydanticOmit, SchemaSerializer, SchemaValidator, core_schema

from extractft.schema.grammar_schema import unenforced_notes
from extractft.schema.json_schema_nodes import node_of_json_schema, tells_format, unexpressed_notes
from extractft.schema.node_plan import Core
from extractft.schema.nodes import Node, StringNode

__all__ = ["Subschemas"]


class Subschemas:
    """Makes places of a core schema stand on their own, with the definitions that they refer to.

    Attributes:
        definitions: The schemas that places may refer to.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Core] = {}

    def closed(self, core: Core) -> Any:
        """The place as a core schema that is complete."""
        inner: Any = core
        definitions: Any = list(self.definitions.values())
        return core_schema.definitions_schema(inner, definitions) if definitions else inner

    def reader(self, core: Core, config: Mapping[str, Any]) -> Callable[[str], Any]:
        """Parses JSON text as Pydantic does in this place."""
        made: list[SchemaValidator] = []

        def read(text: str) -> Any:
            if not made:
                made.append(SchemaValidator(self.closed(core), cast("CoreConfig", config) or None))
            return made[0].validate_json(text)

        return read

    def serialiser(self, core: Core) -> Callable[[Any], Any]:
        """Pydantic's own serialisation of this place."""
        made: list[SchemaSerializer] = []

        def convert(value: Any) -> Any:
            if not made:
                made.append(SchemaSerializer(self.closed(core)))
            return made[0].to_python(value, mode="json", warnings=False)

        return convert

    def json_schema(self, core: Core) -> Mapping[str, Any]:
        """Pydantic's JSON schema of this place; empty if it has none."""
        try:
            return GenerateJsonSchema().generate(self.closed(core), mode="validation")
        except (PydanticUserError, PydanticOmit, KeyError):
            return {}

    def told(self, core: Core, node: Node) -> tuple[Node, list[str]]:
        """The node of a free string with what only the JSON schema says of it, and what the grammar does not enforce.

        Args:
            core: The place.
            node: The node that its schema alone makes.
        """
        own, added = _describers(core)
        if not isinstance(node, StringNode) or not (own or added):
            return node, []
        said, told = self.json_schema(core), None
        if own and node == StringNode(verbatim=node.verbatim):
            told = node_of_json_schema(said)
        if isinstance(told, StringNode):
            told = replace(told, verbatim=node.verbatim)
        return told or node, [*(unenforced_notes(told) if told else ()), *unexpressed_notes(said, told or node)]

    def tells_format(self, core: Core) -> bool:
        """True if the JSON schema of a place names a format that Pydantic checks."""
        return any(_describers(core)) and tells_format(self.json_schema(core))


def _describers(core: Core) -> tuple[Any, Any]:
    """The functions that describe a place in JSON schemas: its class's own, and those of annotations."""
    metadata = core.get("metadata") or {}
    return metadata.get("pydantic_js_functions"), metadata.get("pydantic_js_annotation_functions")
