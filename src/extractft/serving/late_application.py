"""A stand-in that listens while the models are loaded: alive, not ready, and then the application itself.

Knows ASGI; knows no extractors.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from extractft.serving.problem_details import Problem, problem_response
from extractft.serving.request_context import request_id_from

__all__ = ["LateApplication"]


class LateApplication:
    """Answers for an application that is not there yet.

    Attributes:
        application: What answers once it is there; its lifespan is the business of whoever puts it here.
    """

    def __init__(self) -> None:
        self.application: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif self.application is not None:
            await self.application(scope, receive, send)
        elif scope["type"] == "http":
            await _early_answer(scope)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013})


async def _live(receive: Receive, send: Send) -> None:
    """Start and end at once."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _early_answer(scope: Scope) -> Response:
    if scope["path"] == "/health/live":
        return JSONResponse({"status": "live"})
    again = {"Retry-After": "2"}
    if scope["path"] == "/health/ready":
        return JSONResponse({"status": "loading"}, 503, headers=again)
    request_id = request_id_from(None)
    problem = Problem(503, "loading", "The models are being loaded: send the request again in a while.", headers=again)
    return problem_response(problem, request_id)
