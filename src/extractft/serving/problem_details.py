"""Problems as RFC 9457 writes them: a type that programs know it by, a sentence for people, and the place of a fault.

Knows the errors of the package. No problem quotes a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic_core import ErrorDetails, to_json
from starlette.responses import Response

from extractft.errors import EmptyTextError, ExtractionError, InputTooLongError, OutputTruncatedError, ServerError

__all__ = ["PROBLEM_TYPE", "Problem", "extraction_problem", "invalid_request", "problem_response"]

PROBLEM_TYPE = "https://github.com/extractft/extractft/blob/main/docs/http-service.md#"
"""Beginning of a problem's type; the heading of that page with the problem's code says what it means."""
MEDIA_TYPE = "application/problem+json"
LONGEST_PATH = 200

TITLES = {
    "batch-too-large": "The batch is larger than this server takes",
    "body-too-large": "The body is larger than this server takes",
    "client-over-its-share": "This client has too many texts under way",
    "deadline-exceeded": "The deadline passed before there was a record",
    "draining": "The server is about to stop",
    "empty-text": "There is nothing to read in the text",
    "engine-failed": "The engine failed",
    "engine-unavailable": "The server behind this one gave no answer",
    "host-not-allowed": "The server is not known under this name",
    "invalid-record": "The schema refuses the record",
    "invalid-request": "The request is not valid",
    "key-required": "A key is required",
    "loading": "The models are being loaded",
    "method-not-allowed": "There is nothing here for this method",
    "no-valid-record": "The text gave no valid record",
    "not-found": "There is nothing here",
    "origin-not-allowed": "Pages of this origin may not ask",
    "queue-full": "The server has too many texts under way",
    "record-taken": "Somebody else has the record",
    "record-truncated": "The record was not complete when its tokens were spent",
    "request-too-slow": "The request did not arrive in time",
    "review-unavailable": "The review cannot be used now",
    "server-error": "The server failed",
    "text-too-long": "The text does not fit into the model's window",
    "unsupported-media-type": "The body has another media type than expected",
}
"""Titles by code. `docs/http-service.md` has a heading for each code."""


class Problem(Exception):
    """An answer that is no record.

    Args:
        status: The HTTP status.
        code: One of `TITLES`.
        detail: What was expected, what was found, what to do; quotes no text.
        errors: Places in the body and what is wrong there, `{"path": "text", "message": ...}`.
        headers: Further headers, such as `Retry-After`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = int(status)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def to_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The members of the problem."""
        members = {
            "type": PROBLEM_TYPE + self.code,
            "code": self.code,
            "title": TITLES[self.code],
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            members["errors"] = [dict(error) for error in self.errors]
        return members if request_id is None else {**members, "request_id": request_id}


def problem_response(problem: Problem, request_id: str | None = None) -> Response:
    """The problem as an answer."""
    return Response(
        to_json(problem.to_dict(request_id)), problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def invalid_request(errors: Iterable[ErrorDetails]) -> Problem:
    """The problem of a body that pydantic refused."""
    places = [{"path": ".".join(map(str, error["loc"]))[:LONGEST_PATH], "message": error["msg"]} for error in errors]
    named = ", ".join(place["path"] or "the body" for place in places[:3])
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-request",
        f"Expected a body as /openapi.json describes it, found something else at {named}; see errors.",
        errors=places,
    )


def extraction_problem(error: ExtractionError) -> Problem:
    """The problem of a text without a record: its own fault, unless an engine failed."""
    detail = " ".join([str(error), *getattr(error, "__notes__", ())])
    if isinstance(error, ServerError):
        if error.retryable:
            return Problem(503, "engine-unavailable", detail, headers={"Retry-After": "5"})
        return Problem(502, "engine-failed", detail)
    if error.raw_output is not None and "Decoding failed" in str(error):
        return Problem(500, "engine-failed", detail)
    code = "no-valid-record"
    if isinstance(error, EmptyTextError):
        code = "empty-text"
    elif isinstance(error, InputTooLongError):
        code = "text-too-long"
    elif isinstance(error, OutputTruncatedError):
        code = "record-truncated"
    place = {"path": "text", "message": TITLES[code]}
    return Problem(422, code, detail, errors=[place])
