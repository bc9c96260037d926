"""The routes of one extractor: a text, and a batch of texts. Knows requests and the service; knows no engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from extractft.serving.batch_stream import BatchOptions, BatchStream
from extractft.serving.extraction_service import ExtractionService
from extractft.serving.openapi_document import batch_operation, component_name, extract_operation
from extractft.serving.problem_details import Problem, invalid_request
from extractft.serving.record_answers import ExtractRequest, answer_of
from extractft.serving.request_body import read_body, require_media_type, require_single_keys, while_connected
from extractft.serving.request_context import current_request

__all__ = ["add_extractor_routes"]

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
JSON_TYPES = ("application/json",)
LINES_TYPE = "application/x-ndjson"
LINES_TYPES = (LINES_TYPE, "application/jsonl", "application/x-jsonlines", "application/json-lines")


def add_extractor_routes(app: FastAPI, service: ExtractionService, name: str) -> None:
    """Add the routes of an extractor.

    Args:
        app: The application.
        service: Has the extractor.
        name: Its name.
    """
    component, record = component_name(name, service), service[name].schema.name
    app.add_api_route(
        f"/v1/{name}/extract",
        _extract_endpoint(service, name),
        methods=["POST"],
        tags=[name],
        **extract_operation(component, record),
    )
    app.add_api_route(
        f"/v1/{name}/extract-batch",
        _batch_endpoint(service, name),
        methods=["POST"],
        tags=[name],
        **batch_operation(component, record),
    )


def _extract_endpoint(service: ExtractionService, name: str) -> Endpoint:
    async def extract(request: Request) -> Response:
        require_media_type(request, JSON_TYPES)
        body = await read_body(request, service.settings.idle_seconds)
        try:
            asked = ExtractRequest.model_validate_json(body)
        except ValidationError as error:
            raise _invalid(error) from None
        require_single_keys(body)
        content = await while_connected(request.receive, _content(service, name, asked))
        context = current_request.get()
        if context is not None:
            context.outcome = "record"
        return Response(content, media_type="application/json")

    return extract


def _batch_endpoint(service: ExtractionService, name: str) -> Endpoint:
    async def answer(asked: ExtractRequest) -> dict[str, Any]:
        extraction = await service.inspect_admitted(name, asked.text, explain=asked.explain, timeout=asked.timeout)
        return await asyncio.to_thread(answer_of, extraction, service[name].schema, asked.explain)

    async def extract_batch(request: Request) -> Response:
        require_media_type(request, LINES_TYPES)
        try:
            options = BatchOptions.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise _invalid(error) from None
        window = 2 * service.texts_at_once(name)
        stream = BatchStream(answer, service.admission, service.settings, options, window=window)
        return _BatchAnswer(service, stream)

    return extract_batch


async def _content(service: ExtractionService, name: str, asked: ExtractRequest) -> bytes:
    """The answer for one text, as JSON."""
    explain = asked.explain
    extraction = await service.inspect(name, asked.text, explain=explain, timeout=asked.timeout)
    return await asyncio.to_thread(lambda: to_json(answer_of(extraction, service[name].schema, explain)))


class _BatchAnswer(Response):
    """Lines of answers, written while lines of texts still come in."""

    media_type = LINES_TYPE

    def __init__(self, service: ExtractionService, stream: BatchStream) -> None:
        super().__init__()
        self._service = service
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        most = self._service.settings.max_batches
        if self._service.open_batches >= most:
            again = {"Retry-After": "5"}
            raise Problem(
                503, "queue-full", f"Expected fewer than {most} batches under way, found none free.", headers=again
            )
        self._service.open_batches += 1
        try:
            await self._stream.run(receive, send, [(b"content-type", LINES_TYPE.encode())])
        finally:
            self._service.open_batches -= 1


def _invalid(error: ValidationError) -> Problem:
    return invalid_request(error.errors(include_url=False, include_input=False, include_context=False))
