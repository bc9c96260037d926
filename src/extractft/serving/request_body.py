"""Bodies as they arrive, and clients that hang up. Knows ASGI's messages; knows no extractors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from extractft.serving.problem_details import Problem

__all__ = ["ClientHungUp", "body_chunks", "read_body", "require_media_type", "require_single_keys", "while_connected"]

T = TypeVar("T")


class ClientHungUp(Exception):
    """The client is gone: nobody reads an answer."""


def require_media_type(request: Request, expected: Collection[str]) -> None:
    """Refuse bodies of another type than the route takes, and compressed ones.

    Raises:
        Problem: It is of another type.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    if given not in expected:
        detail = f"Expected the header Content-Type: {next(iter(expected))}, found another type."
        raise Problem(415, "unsupported-media-type", detail)
    if encoding != "identity":
        raise Problem(
            415, "unsupported-media-type", "Expected a body without Content-Encoding, found a compressed one."
        )


def require_single_keys(body: bytes) -> None:
    """Refuse JSON in which an object has a key twice: of two texts, or two values of a record, one would be lost.

    Args:
        body: JSON that can be read.

    Raises:
        Problem: A key stands twice.
    """
    json.loads(body, object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=str)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Problem(422, "invalid-request", "Expected each key once in an object of the body, found one twice.")
    return found


async def read_body(request: Request, idle_seconds: float) -> bytes:
    """The whole body.

    Args:
        request: The request.
        idle_seconds: Longest time without a byte.

    Raises:
        Problem: It does not arrive in time, or is too large.
        ClientHungUp: The client is gone before its end.
    """
    chunks = [chunk async for chunk in body_chunks(request.receive, idle_seconds)]
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def body_chunks(receive: Receive, idle_seconds: float) -> AsyncIterator[bytes]:
    """The body as it arrives; the same arguments and errors as `read_body`."""
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                message = await receive()
        except TimeoutError:
            detail = f"Expected the body without a pause of {idle_seconds:g} seconds, found one."
            raise Problem(408, "request-too-slow", detail, headers={"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise ClientHungUp
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do some work; give it up as soon as the client hangs up.

    Args:
        receive: Whose body has been read to its end.
        work: The work.

    Raises:
        ClientHungUp: The client has hung up.
    """
    working = asyncio.current_task()
    assert working is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        working.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if not gone:
            raise
        working.uncancel()
        raise ClientHungUp from None
    finally:
        watching.cancel()
