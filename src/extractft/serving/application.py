"""The FastAPI application: routes for each extractor, the routers of other rooms, problems for everything else.

Knows HTTP and the service; knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

import extractft
from extractft.completion import capabilities_of
from extractft.extractor import Extractor
from extractft.serving.extraction_service import ExtractionService
from extractft.serving.extractor_routes import add_extractor_routes
from extractft.serving.openapi_document import component_schemas
from extractft.serving.problem_details import Problem, invalid_request, problem_response
from extractft.serving.request_context import current_request
from extractft.serving.request_guard import RequestGuard
from extractft.serving.server_config import ServerConfig
from extractft.serving.service_metrics import METRICS_TYPE

__all__ = ["create_app"]

STATUS_CODES = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


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

    Example:
        ```python
        app = create_app({"complaints": extractor})  # `uvicorn module:app`
        ```
    """
    service = ExtractionService(extractors, settings or ServerConfig())
    app = FastAPI(
        title="extractft", version=extractft.__version__, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.service = service
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_middleware(RequestGuard, service=service)
    if origins := service.settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    for name in service:
        add_extractor_routes(app, service, name)
    app.add_api_route("/v1/models", _models, methods=["GET"], tags=["service"])
    for path, answer in (("/health/live", _live), ("/health/ready", _ready)):
        app.add_api_route(path, answer, methods=["GET"], tags=["service"])
        app.add_api_route(path, answer, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/metrics", _metrics, methods=["GET"], tags=["service"], response_class=Response)
    for router in routers:
        app.include_router(router)
    _describe(app, {name: service[name].schema for name in service})
    return app


async def _models(request: Request) -> Response:
    """The extractors, their schemas and what their engines can do."""
    service: ExtractionService = request.app.state.service
    return JSONResponse({"models": [_model_of(name, service[name]) for name in service]})


async def _live(request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "live"})


async def _ready(request: Request) -> Response:
    """Texts are taken; 503 while models are loaded, and once the service is about to stop."""
    service: ExtractionService = request.app.state.service
    if service.draining:
        return JSONResponse({"status": "draining"}, 503, headers={"Retry-After": "5"})
    return JSONResponse({"status": "ready"})


async def _metrics(request: Request) -> Response:
    """Numbers for Prometheus; never a text."""
    service: ExtractionService = request.app.state.service
    return Response(service.metrics.text(), media_type=METRICS_TYPE)


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


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """A problem for what the framework refuses."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):  # the framework has wrapped one of ours
        raise error.__cause__
    code = STATUS_CODES.get(error.status_code, "invalid-request" if error.status_code < 500 else "server-error")
    found = {"not-found": "Expected a path of /openapi.json, found another one."}
    detail = found.get(code, "Expected a request as /openapi.json describes it, found another one.")
    return _answered(Problem(error.status_code, code, detail, headers=error.headers))


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    """A problem for what the routes of other rooms refuse."""
    assert isinstance(error, RequestValidationError)
    return _answered(invalid_request(error.errors()))


def _answered(problem: Problem) -> Response:
    context = current_request.get()
    if context is None:
        return problem_response(problem)
    context.outcome = problem.code
    return problem_response(problem, context.request_id)


def _describe(app: FastAPI, schemas: Mapping[str, Any]) -> None:
    """Put the schemas of the records into the OpenAPI document, which is made when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(component_schemas(schemas))
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
