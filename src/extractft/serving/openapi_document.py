"""The OpenAPI document, with the schemas of the users' own records in it. Knows schemas; knows no requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema
from starlette.responses import Response

from extractft.schema import Schema
from extractft.serving.batch_stream import BatchLine
from extractft.serving.record_answers import ExtractRequest

__all__ = ["batch_operation", "component_name", "component_schemas", "extract_operation"]

REFERENCE = "#/components/schemas/"
UNUSABLE = re.compile(r"[^A-Za-z0-9._-]+")

PROBLEMS = {
    401: "A key is required.",
    413: "The body is too large.",
    415: "The body has another media type.",
    422: "The body is not valid, or the text gave no valid record.",
    429: "The client has its share of texts under way.",
    503: "There is no place, no time, or the service is about to stop.",
}
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


def extract_operation(component: str, record: str) -> dict[str, Any]:
    """The description of the route for one text.

    Args:
        component: The extractor among the components.
        record: The name of its schema.
    """
    return _operation(
        f"extract_{component}",
        f"Extract a {record} from one text",
        {"application/json": _reference("ExtractRequest")},
        {"application/json": _reference(f"{component}.Answer")},
    )


def batch_operation(component: str, record: str) -> dict[str, Any]:
    """The description of the route for batches; the same arguments."""
    operation = _operation(
        f"extract_batch_{component}",
        f"Extract a {record} from each line",
        {"application/x-ndjson": _reference("BatchLine")},
        {"application/x-ndjson": _reference(f"{component}.BatchAnswer")},
    )
    orders = {"enum": ["done", "input"], "default": "done", "type": "string"}
    words = "Order of the answers: as they are done, or as their lines came in."
    operation["openapi_extra"]["parameters"] = [
        {"name": "order", "in": "query", "required": False, "schema": orders, "description": words}
    ]
    return operation


def _operation(operation_id: str, summary: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    problems = {"application/problem+json": _reference("Problem")}
    refused = {code: {"description": words, "content": problems} for code, words in PROBLEMS.items()}
    return {
        "summary": summary,
        "operation_id": operation_id,
        "response_class": Response,
        "responses": {200: {"description": "What the text says.", "content": answer}, **refused},
        "openapi_extra": {"requestBody": {"required": True, "content": body}, "security": [{"key": []}, {}]},
    }


def _reference(component: str) -> dict[str, Any]:
    return {"schema": {"$ref": REFERENCE + component}}


def component_schemas(schemas: Mapping[str, Schema[Any]]) -> dict[str, Any]:
    """The components of the document, by name.

    Args:
        schemas: The schemas of the records by the names of their extractors.
    """
    request = ExtractRequest.model_json_schema(ref_template=REFERENCE + "{model}")
    line = BatchLine.model_json_schema(ref_template=REFERENCE + "{model}")
    found: dict[str, Any] = {"Problem": PROBLEM_SCHEMA, "ExtractRequest": request, "BatchLine": line}
    for name, schema in schemas.items():
        prefix = component_name(name, schemas)
        record = _record_schema(schema, prefix)
        for model, definition in record.pop("$defs", {}).items():
            found[f"{prefix}.{UNUSABLE.sub('_', model)}"] = definition
        found[f"{prefix}.Record"] = record
        found[f"{prefix}.Answer"] = answer = _answer_schema(f"{prefix}.Record")
        found[f"{prefix}.BatchAnswer"] = _batch_answer_schema(answer)
    return found


def _answer_schema(record: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["record"],
        "properties": {
            "record": {"$ref": REFERENCE + record},
            "spans": SPANS_SCHEMA,
            "confidence": CONFIDENCE_SCHEMA,
            "forced": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Paths of values that the schema left no choice about.",
            },
            "truncated": {"type": "boolean", "description": "True for a record that was closed early."},
            "explanation_error": {"type": "string", "description": "Parts that could not be computed."},
        },
    }


def _batch_answer_schema(answer: dict[str, Any]) -> dict[str, Any]:
    known = {"line": {"type": "integer"}, "id": {"type": ["string", "integer"]}}
    error = {"error": {"$ref": REFERENCE + "Problem"}}
    return {
        "type": "object",
        "properties": known | answer["properties"] | error,
        "required": ["line"],
        "oneOf": [{"required": ["record"]}, {"required": ["error"]}],
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
