"""Descriptions of forms: the fields of an extractor's records, for a page that shows one.

Knows the service and schemas; knows no review.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from extractft.schema import Schema
from extractft.serving import ExtractionService, Problem

__all__ = ["form_of", "form_router", "json_answer", "schema_named", "service_of"]


def form_router(*, reviewed: bool) -> APIRouter:
    """Routes that describe the forms of the extractors.

    Args:
        reviewed: True if there is a page for reviews, which the others then link to.
    """
    router = APIRouter(tags=["pages"])

    @router.get("/v1/{name}/form", summary="Describe the fields of a record, for a page that shows it as a form")
    async def form(request: Request, name: str) -> Response:
        schema = schema_named(request, name)
        return json_answer({**form_of(name, schema), "review": reviewed})

    return router


def form_of(name: str, schema: Schema[Any]) -> dict[str, Any]:
    """The tree of an extractor's records, as a page reads it."""
    whole = schema.to_dict()
    return {
        "name": name,
        "schema_name": whole["name"],
        "description": whole["description"],
        "tree": whole["tree"],
        "definitions": whole["definitions"],
    }


def service_of(request: Request) -> ExtractionService:
    """The service that the routes are mounted in."""
    service: ExtractionService = request.app.state.service
    return service


def schema_named(request: Request, name: str) -> Schema[Any]:
    """The schema of an extractor.

    Raises:
        Problem: There is no such extractor.
    """
    service = service_of(request)
    if name not in {*service}:
        raise Problem(404, "not-found", "Expected the name of an extractor that is served here; see /v1/models.")
    schema: Schema[Any] = service[name].schema
    return schema


def json_answer(values: Any, status: int = 200) -> Response:
    """JSON values as an answer that nobody keeps."""
    content = to_json(values, inf_nan_mode="strings")
    return Response(content, status, media_type="application/json", headers={"Cache-Control": "no-store"})
