"""The HTTP API of a review, under `/v1/review`: next, accept, correct, skip, release, validate, statistics.

Knows the service, schemas and the store; knows no page.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from extractft.errors import ReviewConflictError, ReviewError, ReviewUnavailableError
from extractft.pages.form_api import json_answer, service_of
from extractft.pages.record_check import CheckedRecord, check_record, places_of
from extractft.review import Decision, ReviewItem, ReviewStore, changes_between, review_statistics
from extractft.review.review_export import moment
from extractft.schema import Schema
from extractft.serving import Problem
from extractft.serving.problem_details import invalid_request
from extractft.serving.request_body import require_single_keys
from extractft.serving.request_log import log_event

__all__ = ["review_router"]

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)
Number = Annotated[int, Path(ge=1, lt=2**53)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ReviewerRequest(_Asked):
    """A reviewer who asks for the next record, or gives one back."""

    reviewer: str
    """Name of the reviewer, as the history shows it."""
    extractor: str | None = None
    """The extractor whose records are wanted; any of those that are served if it is left out."""


class DecisionRequest(_Asked):
    """A decision without a new record."""

    reviewer: str
    """Name of the reviewer, as the history shows it."""
    version: int = Field(ge=0)
    """The `version` of the record that was looked at."""


class CorrectionRequest(DecisionRequest):
    """A record as it is right."""

    record: Any
    """The whole record."""


class CheckRequest(_Asked):
    """A record that somebody is typing."""

    record: Any
    """The whole record, as far as it is typed."""
    path: str | None = None
    """The field that is being typed, such as `lines.0.total`: only what is wrong at it or in it is answered."""


class ReviewApi:
    """The routes' work.

    Args:
        store: The review.
    """

    def __init__(self, store: ReviewStore) -> None:
        self._store = store
        self._counted: tuple[int, dict[str, Any]] | None = None

    async def next(self, request: Request) -> Response:
        """Claim the least certain record that nobody else looks at, the own unfinished one first."""
        asked = await _body(request, ReviewerRequest)
        names = [*service_of(request)]
        if asked.extractor is not None:
            names = [name for name in names if name == asked.extractor]
        found = await _stored(self._store.claim_next, asked.reviewer, names)
        shown = None if found is None else await self._shown(request, found, asked.reviewer)
        return json_answer({"item": shown})

    async def item(self, request: Request, number: Number, reviewer: str | None = None) -> Response:
        """A record with all that was decided about it; for a reviewer, with the own decisions alone."""
        return json_answer({"item": await self._shown(request, await _stored(self._store.item, number), reviewer)})

    async def accept(self, request: Request, number: Number) -> Response:
        """Say that a record is right as it was proposed."""
        asked = await _body(request, DecisionRequest)
        item = await _stored(self._store.item, number)
        return await self._decide(request, item, asked, item.item.proposed)

    async def correct(self, request: Request, number: Number) -> Response:
        """Say how a record is right. One that the schema refuses is not saved; the problem says what is wrong."""
        asked = await _body(request, CorrectionRequest)
        item = await _stored(self._store.item, number)
        return await self._decide(request, item, asked, asked.record)

    async def skip(self, request: Request, number: Number) -> Response:
        """Leave a record to somebody else."""
        asked = await _body(request, DecisionRequest)
        found = await _stored(self._store.decide, number, asked.reviewer, "skip", version=asked.version)
        return json_answer({"version": found.version})

    async def release(self, request: Request, number: Number) -> Response:
        """Give a record back at once that one has claimed."""
        asked = await _body(request, ReviewerRequest)
        await _stored(self._store.release, number, asked.reviewer)
        return json_answer({})

    async def validate(self, request: Request, number: Number) -> Response:
        """Check a record, or one field of it, while it is typed; say where its values stand in the text."""
        asked = await _body(request, CheckRequest)
        item = await _stored(self._store.item, number)
        schema = _schema(request, item)
        found = await asyncio.to_thread(check_record, schema, asked.record, item.item.text)
        return json_answer({"issues": found.issues_at(asked.path), "spans": found.spans})

    async def stats(self, request: Request) -> Response:
        """Progress, agreement, and what corrections say about each field."""
        service = service_of(request)
        schemas = {name: service[name].schema for name in service}
        last = await _stored(self._store.last_decision)
        if self._counted is None or self._counted[0] != last:
            self._counted = last, (await _stored(review_statistics, self._store, schemas)).to_dict()
        counts = {
            row["extractor"]: dict(zip(row.keys(), row, strict=True)) for row in await _stored(self._store.counts)
        }
        return json_answer({**self._counted[1], "extractors": counts, **_totals(counts)})

    async def latest(self, request: Request, reviewer: str) -> Response:
        """The numbers of the records that a reviewer decided on last, the latest first."""
        return json_answer({"items": await _stored(self._store.latest, reviewer)})

    async def _decide(self, request: Request, item: ReviewItem, asked: DecisionRequest, record: Any) -> Response:
        schema, proposed = _schema(request, item), item.item.proposed
        checked = await asyncio.to_thread(check_record, schema, record, None)
        if checked.issues:
            raise _invalid_record(checked)
        whole = await asyncio.to_thread(check_record, schema, proposed, None)  # a file may leave null fields out
        kind = "accept" if not whole.issues and checked.record == whole.record else "correct"
        changes = (
            await asyncio.to_thread(changes_between, schema, proposed, checked.record) if kind == "correct" else ()
        )
        found = await _stored(
            self._store.decide,
            item.number,
            asked.reviewer,
            kind,
            checked.record,
            version=asked.version,
            changes=changes,
        )
        return json_answer({"version": found.version, "decision": kind, "changes": len(changes)})

    async def _shown(self, request: Request, found: ReviewItem, reviewer: str | None) -> dict[str, Any]:
        """A record as a page shows it: with the last word on it, if there is one, in place of what was proposed.

        A reviewer sees the own decisions alone: two who see each other's would agree too often.
        """
        if reviewer is not None:
            own = " ".join(reviewer.split())
            found = replace(found, decisions=[made for made in found.decisions if made.reviewer == own])
        item, final = found.item, found.final
        schema = _schema(request, found)
        record = item.proposed if final is None else final.record
        spans = item.spans
        if final is not None or (not spans and record is not None):
            spans = await asyncio.to_thread(places_of, schema, record, item.text)
        return {
            "number": found.number,
            "version": found.version,
            "id": item.id,
            "extractor": item.extractor,
            "text": item.text,
            "proposed": item.proposed,
            "record": record,
            "confidence": {"record": item.confidence, "fields": item.fields, "calibrated": item.calibrated},
            "spans": spans,
            "forced": item.forced,
            "truncated": item.truncated,
            "reason": item.reason,
            "source": item.source,
            "history": [_past(decision) for decision in found.decisions],
        }


def review_router(store: ReviewStore) -> APIRouter:
    """The routes of a review."""
    api = ReviewApi(store)
    router = APIRouter(prefix="/v1/review", tags=["review"])
    for path, endpoint, method, body in (
        ("/next", api.next, "POST", ReviewerRequest),
        ("/stats", api.stats, "GET", None),
        ("/latest", api.latest, "GET", None),
        ("/items/{number}", api.item, "GET", None),
        ("/items/{number}/accept", api.accept, "POST", DecisionRequest),
        ("/items/{number}/correct", api.correct, "POST", CorrectionRequest),
        ("/items/{number}/skip", api.skip, "POST", DecisionRequest),
        ("/items/{number}/release", api.release, "POST", ReviewerRequest),
        ("/items/{number}/validate", api.validate, "POST", CheckRequest),
    ):
        described = None if body is None else {"requestBody": _document(body)}
        summary = (endpoint.__doc__ or "").partition(".")[0]
        router.add_api_route(path, endpoint, methods=[method], summary=summary, openapi_extra=described)
    return router


def _document(body: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": body.model_json_schema()}}}


async def _body(request: Request, kind: type[Body]) -> Body:
    """The body of a request.

    Raises:
        Problem: It is something else.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "unsupported-media-type", "Expected a body of the type application/json.")
    body = await request.body()
    try:
        asked = kind.model_validate_json(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        raise invalid_request(details) from None
    require_single_keys(body)
    return asked


async def _stored(work: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Work with the store beside the event loop, its errors as problems."""
    try:
        return await asyncio.to_thread(work, *arguments, **options)
    except ReviewConflictError as error:
        raise Problem(409, "record-taken", " ".join([str(error), *getattr(error, "__notes__", ())])) from None
    except ReviewUnavailableError as error:
        log_event("review unavailable", level=logging.ERROR, failure=error.__cause__ or error)
        detail = "The review cannot be used now, and nothing was saved; the log says where, under the request's id."
        raise Problem(503, "review-unavailable", detail, headers={"Retry-After": "5"}) from error
    except ReviewError as error:
        raise Problem(422, "invalid-request", str(error)) from None


def _schema(request: Request, item: ReviewItem) -> Schema[Any]:
    service, name = service_of(request), item.item.extractor
    if name not in {*service}:
        raise Problem(404, "not-found", "Expected a record of an extractor that is served here; see /v1/models.")
    schema: Schema[Any] = service[name].schema
    return schema


def _invalid_record(checked: CheckedRecord) -> Problem:
    return Problem(
        422,
        "invalid-record",
        "Expected a record that the schema accepts, found another; see errors. Nothing was saved.",
        errors=checked.issues,
    )


def _past(decision: Decision) -> dict[str, Any]:
    return {
        "reviewer": decision.reviewer,
        "at": moment(decision.at),
        "kind": decision.kind,
        "changes": [{name: getattr(change, name) for name in change.__slots__} for change in decision.changes],
    }


def _totals(counts: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {name: sum(row[name] for row in counts.values()) for name in ("items", "done", "waiting", "claimed")}
