"""The OpenAPI document, with the schemas of the users' own records in it. Knows schemas; knows no requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from extractft.schema import Schema
from extractft.serving.record_answers import ExtractRequest

__all__ = ["PROBLEM_SCHEMA", "component_name", "component_schemas", "json_content", "problem_answers"]

REFERENCE = "#/components/schemas/"
UNUSABLE = re.compile(r"[^A-Za-z0-9._-]+")

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A problem as RFC 9457 has it.",
    "required": ["type", "code", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "code": {"type": "string", "description": "The last part of `type`, for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
SPANS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "By path of a value, its places in the text in characters, the most likely first.",
    "additionalProperties": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["start", "end", "method"],
            "properties": {
                "start": {"type": "integer"},
                "end": {"type": "integer"},
                "method": {"enum": ["exact", "normalized", "fuzzy"]},
            },
        },
    },
}
CONFIDENCE_SCHEMA: dict[str, Any] = {
    "description": "Null if the engine gives no log-probabilities.",
    "type": ["object", "null"],
    "required": ["record", "fields", "calibrated"],
    "properties": {
        "record": {"type": "number", "description": "Probability that the whole record is right."},
        "fields": {
            "type": "object",
            "description": "The same by path, of fields that are absent too.",
            "additionalProperties": {"type": "number"},
        },
        "calibrated": {"type": "boolean"},
    },
}


def component_name(name: str, names: Iterable[str]) -> str:
    """The name of an extractor among the components, which have fewer letters to write names with."""
    plain = UNUSABLE.sub("_", name)
    return plain if plain == name else f"{plain}_{list(names).index(name)}"


def json_content(component: str) -> dict[str, Any]:
    """JSON of a component."""
    return {"application/json": {"schema": {"$ref": REFERENCE + component}}}


def problem_answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Answers that are problems."""
    content = {"application/problem+json": {"schema": {"$ref": REFERENCE + "Problem"}}}
    return {code: {"description": "A problem.", "content": content} for code in codes}


def component_schemas(schemas: Mapping[str, Schema[Any]]) -> dict[str, Any]:
    """The components of the document, by name.

    Args:
        schemas: The schemas of the records by the names of their extractors.
    """
    request = ExtractRequest.model_json_schema(ref_template=REFERENCE + "{model}")
    found: dict[str, Any] = {"Problem": PROBLEM_SCHEMA, "ExtractRequest": request}
    for name, schema in schemas.items():
        prefix = component_name(name, schemas)
        record = _record_schema(schema, prefix)
        for model, definition in record.pop("$defs", {}).items():
            found[f"{prefix}.{UNUSABLE.sub('_', model)}"] = definition
        found[f"{prefix}.Record"] = record
        found[f"{prefix}.Answer"] = _answer_schema(f"{prefix}.Record")
    return found


def _answer_schema(record: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["record"],
        "properties": {
            "record": {"$ref": REFERENCE + record},
            "spans": SPANS_SCHEMA,
            "confidence": CONFIDENCE_SCHEMA,
            "truncated": {"type": "boolean", "description": "True for a record that was closed early."},
            "explanation_error": {"type": "string", "description": "Parts that could not be computed."},
        },
    }


def _record_schema(schema: Schema[Any], prefix: str) -> dict[str, Any]:
    """The JSON schema of a record with every field present."""
    try:
        found = schema.adapter.json_schema(mode="validation", ref_template=f"{REFERENCE}{prefix}.{{model}}")
    except PydanticInvalidForJsonSchema:  # a type of the user's own, of which pydantic shows a function
        return {"description": "A type that has no JSON schema."}
    for part in (found, *found.get("$defs", {}).values()):
        _require_all(part)
    return found


def _require_all(part: dict[str, Any]) -> None:
    """Say that every field is there: answers spell out the defaults that a record may leave out."""
    if part.get("type") == "object" and part.get("properties"):
        part["required"] = list(part["properties"])
