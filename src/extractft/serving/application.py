"""The FastAPI application: routes for each extractor, the routers of other rooms, problems for everything else.

Knows HTTP and the service; knows no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import JSONResponse, Response

import extractft
from extractft.completion import capabilities_of
from extractft.errors import ExtractionError
from extractft.extractor import Extractor
from extractft.serving.extraction_service import ExtractionService
from extractft.serving.openapi_document import component_name, component_schemas, json_content, problem_answers
from extractft.serving.problem_details import Problem, extraction_problem, invalid_request, problem_response
from extractft.serving.record_answers import ExtractRequest, answer_of
from extractft.serving.server_config import ServerConfig

__all__ = ["create_app"]

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def create_app(
    extractors: Mapping[str, Extractor[Any]], settings: ServerConfig | None = None, *, routers: Iterable[APIRouter] = ()
) -> FastAPI:
    """The application that serves extractors; the room's own docstring says what its routers may rely on.

    Args:
        extractors: Extractors by the name that they have in addresses.
        settings: Settings of the service.
        routers: Routes of other rooms.

    Raises:
        ConfigError: There is no extractor, or a name cannot stand in an address.
    """
    service = ExtractionService(extractors, settings or ServerConfig())
    app = FastAPI(title="extractft", version=extractft.__version__, docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_exception_handler(Problem, _answer_problem)
    for name in service:
        _add_extractor(app, service, name)
    app.add_api_route("/v1/models", _models, methods=["GET"], summary="List the extractors", tags=["models"])
    for router in routers:
        app.include_router(router)
    _describe(app, {name: service[name].schema for name in service})
    return app


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem_response(problem)


def _add_extractor(app: FastAPI, service: ExtractionService, name: str) -> None:
    component = component_name(name, service)
    app.add_api_route(
        f"/v1/{name}/extract",
        _extract_endpoint(service, name),
        methods=["POST"],
        summary=f"Extract a {service[name].schema.name} from one text",
        operation_id=f"extract_{component}",
        tags=[name],
        response_class=Response,
        responses={
            200: {"description": "The record.", "content": json_content(f"{component}.Answer")},
            **problem_answers(401, 413, 415, 422, 429, 503),
        },
        openapi_extra={"requestBody": {"required": True, "content": json_content("ExtractRequest")}},
    )


def _extract_endpoint(service: ExtractionService, name: str) -> Endpoint:
    async def extract(request: Request) -> Response:
        try:
            asked = ExtractRequest.model_validate_json(await request.body())
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False, include_context=False)
            raise invalid_request(details) from None
        try:
            extraction = await service.inspect(name, asked.text, explain=asked.explain)
        except ExtractionError as error:
            raise extraction_problem(error) from None
        answer = await asyncio.to_thread(answer_of, extraction, service[name].schema, asked.explain)
        return Response(to_json(answer), media_type="application/json")

    return extract


async def _models(request: Request) -> Response:
    """The extractors, their schemas and what their engines can do."""
    service: ExtractionService = request.app.state.service
    return JSONResponse({"models": [_model_of(name, service[name]) for name in service]})


def _model_of(name: str, extractor: Extractor[Any]) -> dict[str, Any]:
    capabilities = capabilities_of(extractor.engine)
    return {
        "name": name,
        "schema_name": extractor.schema.name,
        "description": extractor.schema.description,
        "schema_fingerprint": extractor.schema.fingerprint,
        "engine": capabilities.kind,
        "has_confidence": capabilities.logprobs != "none",
        "metrics": extractor.metrics,
    }


def _describe(app: FastAPI, schemas: Mapping[str, Any]) -> None:
    """Put the schemas of the records into the OpenAPI document, which is made when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            components = document.setdefault("components", {}).setdefault("schemas", {})
            components.update(component_schemas(schemas))
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
