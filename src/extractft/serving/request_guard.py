"""The outermost layer of the application: an id, rules of access, a line in the log, and a problem for every exception.

Knows ASGI; knows no extractors.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extractft.serving.access_rules import AccessRules
from extractft.serving.extraction_service import ExtractionService, draining_problem
from extractft.serving.problem_details import Problem, problem_response
from extractft.serving.request_body import ClientHungUp
from extractft.serving.request_context import RequestContext, current_request, request_id_from
from extractft.serving.request_log import log_event

__all__ = ["RequestGuard"]

REQUEST_ID = b"x-request-id"
OFTEN_ASKED = frozenset({"/health/live", "/health/ready", "/metrics"})
"""Routes that machines ask every few seconds; their lines are for debugging."""
HUNG_UP = 499
"""Status in logs and metrics of a request whose client hung up; nobody gets it."""


class RequestGuard:
    """Middleware around a whole application.

    Args:
        app: The application.
        service: Its extractors and settings.
    """

    def __init__(self, app: ASGIApp, service: ExtractionService) -> None:
        self._app = app
        self._service = service
        self._rules = AccessRules(service.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._pass_on(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(REQUEST_ID)
        context = RequestContext(request_id_from(None if given is None else given.decode("latin-1")))
        answer = _Answer(send, context.request_id, self._service)
        begun, token = time.perf_counter(), current_request.set(context)
        self._service.open_requests += 1
        try:
            await self._answer(scope, receive, answer, context, headers)
        finally:
            self._service.open_requests -= 1
            self._note(scope, answer, context, time.perf_counter() - begun)
            current_request.reset(token)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)

    async def _answer(
        self, scope: Scope, receive: Receive, answer: _Answer, context: RequestContext, headers: Mapping[bytes, bytes]
    ) -> None:
        try:
            context.client = self._admit(scope, headers)
            await self._app(scope, _limited(receive, self._service, scope, headers), answer)
        except ClientHungUp:
            answer.outcome = "hung-up"
        except Problem as problem:
            await answer.problem(problem, scope, receive)
        except Exception as error:
            log_event("failed", level=logging.ERROR, failure=error)
            detail = "The server failed; its log says where, under the request's id."
            await answer.problem(Problem(500, "server-error", detail), scope, receive)

    def _admit(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """The client's name, if it may ask.

        Raises:
            Problem: It may not.
        """
        peer = scope.get("client")
        self._rules.require_known_host(headers)
        client = self._rules.client(scope["path"], headers, str(peer[0]) if peer else "")
        self._rules.require_known_origin(scope["method"], headers)
        if self._service.draining and scope["method"] == "POST":
            raise draining_problem()
        return client

    def _note(self, scope: Scope, answer: _Answer, context: RequestContext, seconds: float) -> None:
        """Count the request, and write its line. Of its path the route alone: a path may hold anything."""
        route = getattr(scope.get("route"), "path", "unmatched")
        status = HUNG_UP if answer.outcome == "hung-up" else answer.status or HUNG_UP
        self._service.metrics.request(route, status)
        outcome = context.outcome or answer.outcome
        known: dict[str, Any] = {"method": scope["method"], "route": route, "status": status}
        known |= {"outcome": outcome} if outcome else {}
        level = logging.DEBUG if route in OFTEN_ASKED and status < 400 else logging.INFO
        known |= {"seconds": seconds, "client": context.client or "-", **context.notes}
        log_event("answered", level=level, **known)


class _Answer:
    """A `send` that adds the id of the request, and remembers the status."""

    def __init__(self, send: Send, request_id: str, service: ExtractionService) -> None:
        self._send = send
        self._request_id = request_id
        self._service = service
        self.status = 0
        self.outcome = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            added = [(REQUEST_ID, self._request_id.encode())]
            if self._service.draining:  # so that clients look for another server
                added.append((b"connection", b"close"))
            have = {name for name, _ in message.get("headers", ())}
            message["headers"] = [*message.get("headers", ()), *(pair for pair in added if pair[0] not in have)]
        await self._send(message)

    async def problem(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        """Answer with a problem, unless an answer has begun."""
        self.outcome = problem.code
        if not self.status:
            await problem_response(problem, self._request_id)(scope, receive, self)


def _limited(
    receive: Receive, service: ExtractionService, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]
) -> Receive:
    """A `receive` that ends bodies which are too large.

    Raises:
        Problem: The body says itself that it is too large.
    """
    is_batch = scope["path"].endswith("/extract-batch")
    settings = service.settings
    limit = settings.max_batch_bytes if is_batch else settings.max_body_bytes
    problem = Problem(
        413,
        "batch-too-large" if is_batch else "body-too-large",
        f"Expected a body of at most {limit} bytes, found more.",
        headers={"Connection": "close"},
    )
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise problem
    received = 0

    async def receive_limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise problem
        return message

    return receive_limited
