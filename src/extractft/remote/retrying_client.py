"""HTTP to one server: bounded, retried where that can help, with timeouts and a key.

Retried are connections that fail and the answers 429, 502, 503 and 504, since the same request may succeed later.
Every other answer is final, and so is one that does not come in time: the server may still be at work on it. Until a
server has answered for the first time, a connection that fails is most likely a wrong address, and final unless the
caller has patience. Neither the time nor the size of an answer is left to the server. Knows URLs, statuses and JSON;
knows no kind of server.
"""

from __future__ import annotations

import asyncio
import base64
import email.utils
import random
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from extractft.errors import ConfigError, EngineError
from extractft.remote.bounded_answer import (
    LONGEST_ANSWER,
    AnswerTooLargeError,
    parsed_json,
    read_bounded,
    shown_word,
)

__all__ = ["Retries", "ServerAnswerError", "ServerClient", "Timeouts"]

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
FINAL = (httpx.UnsupportedProtocol, httpx.ProxyError, httpx.DecodingError, httpx.LocalProtocolError)
"""Failures of a connection that come back with every try."""
FAILURES: dict[type[httpx.HTTPError], str] = {
    httpx.TimeoutException: "no connection in time",
    httpx.ConnectError: "nothing there that takes the connection",
    httpx.ProxyError: "a proxy that refuses",
    httpx.UnsupportedProtocol: "an address of another protocol",
    httpx.LocalProtocolError: "a request that HTTP does not allow",
    httpx.DecodingError: "an answer that cannot be unpacked",
    httpx.TooManyRedirects: "redirections without end",
    httpx.TransportError: "a connection that broke off",
    httpx.HTTPError: "a request that failed",
}
"""Words for failures without an answer, the narrower kinds first."""
FIRST_CONNECT, FIRST_ANSWER = 3.0, 30.0
"""Seconds, at most, to connect to a server that has not answered yet, and for its first answer."""
LONGEST_PAUSE_BEFORE_FIRST = 2.0
STARTING = "One that is still starting is waited for if the address says how many seconds: http://host:port?wait=60"
LONGEST_DETAIL = 300
"""Characters of a server's own message that are shown; it is the operator's, but may quote a request."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits on one request, in seconds.

    Attributes:
        connect: To reach the server.
        read: Between two pieces of its answer, and for the whole of it beside `connect`. A server answers when the
            record is complete, so this bounds its queue and the decoding.
    """

    connect: float = 10.0
    read: float = 600.0


@dataclass(frozen=True, slots=True)
class Retries:
    """Further tries of a request that failed for a moment.

    Attributes:
        attempts: Tries in all, the first one included.
        first_delay: Seconds before the second try; doubled each time, and drawn from half of it to all of it so that
            many clients do not come back at once.
        max_delay: Longest wait in seconds. A `Retry-After` of the server is obeyed up to here.
    """

    attempts: int = 6
    first_delay: float = 0.5
    max_delay: float = 30.0

    def delay(self, attempt: int, draw: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the failed try number `attempt`, which counts from 1."""
        longest = min(self.max_delay, self.first_delay * 2 ** (attempt - 1))
        return float(longest * (0.5 + 0.5 * draw()))


class ServerAnswerError(EngineError):
    """A server could not be reached or answered with an error.

    Attributes:
        status: The HTTP status; `None` if no answer came.
        retryable: True if the same request may succeed later.
        detail: The server's own words, shortened. Never part of the message: they may quote a text.
    """

    def __init__(self, message: str, *, status: int | None = None, retryable: bool = False, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.detail = detail


class ServerClient:
    """A client of one server. Its coroutines belong to one event loop.

    Args:
        base_url: `http://host:port`, without a path of the API.
        api_key: Sent as `Authorization: Bearer ...`.
        login: `user:password`, percent-encoded as in addresses; sent as `Authorization: Basic ...` if there is no key.
        max_in_flight: Requests under way at once; more wait here.
        timeouts: Limits on one request.
        retries: Further tries.
        patience: Seconds in which a server may come up: until then, failures that may pass are tried again.
        transport: Replaces the network, in tests.

    Raises:
        ConfigError: No request may be under way.
        EngineError: The key cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        login: str | None = None,
        max_in_flight: int = 64,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        patience: float = 0.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if max_in_flight < 1:
            raise ConfigError(f"Expected max_in_flight of at least 1, found {max_in_flight}.")
        self.base_url = base_url.rstrip("/")
        self.max_in_flight = max_in_flight
        self.retries = retries or Retries()
        self._limits = timeouts or Timeouts()
        self._answered = False
        self._patient_until = time.monotonic() + patience
        self._free = asyncio.Semaphore(max_in_flight)
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Accept-Encoding": "identity", **_authorization(api_key, login)},
            limits=httpx.Limits(max_connections=max_in_flight, max_keepalive_connections=max_in_flight),
            transport=transport,
            trust_env=False,  # a proxy of the environment would see private texts
        )

    async def get(self, path: str) -> Any:
        """Parsed JSON of a GET.

        Raises:
            ServerAnswerError: It failed, for good or after the last try.
        """
        return await self._request("GET", path, None, LONGEST_ANSWER)

    async def post(self, path: str, body: Mapping[str, Any], *, longest: int = LONGEST_ANSWER) -> Any:
        """Parsed JSON of a POST, of at most `longest` bytes; the same errors as `get`."""
        return await self._request("POST", path, body, longest)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _request(self, method: str, path: str, body: Mapping[str, Any] | None, longest: int) -> Any:
        attempt = 1
        while True:
            try:
                async with self._free:
                    return await self._try_once(method, path, body, longest)
            except _FailedTry as failed:
                if not self._is_tried_again(failed.error, attempt):
                    raise failed.error from failed.__cause__
                asked_for = failed.retry_after
            wait = self.retries.delay(attempt) if asked_for is None else min(asked_for, self.retries.max_delay)
            await asyncio.sleep(wait if self._answered else min(wait, LONGEST_PAUSE_BEFORE_FIRST))
            attempt += 1

    def _is_tried_again(self, error: ServerAnswerError, attempt: int) -> bool:
        if not error.retryable:
            return False
        further = self._answered and attempt < self.retries.attempts
        return further or time.monotonic() < self._patient_until

    def _current_limits(self) -> Timeouts:
        """The limits on one request, which are short until a server has answered."""
        limits = self._limits
        if self._answered:
            return limits
        return Timeouts(min(limits.connect, FIRST_CONNECT), min(limits.read, FIRST_ANSWER))

    async def _try_once(self, method: str, path: str, body: Mapping[str, Any] | None, longest: int) -> Any:
        limits = self._current_limits()
        timeout = httpx.Timeout(limits.read, connect=limits.connect)
        try:
            async with (
                asyncio.timeout(limits.connect + limits.read),
                self._http.stream(method, path, json=body, timeout=timeout) as response,
            ):
                self._answered = True
                if response.status_code >= 300:  # redirections are not followed: the text stays where it was sent
                    asked_for = _retry_after_seconds(response.headers.get("retry-after"))
                    raise _FailedTry(await self._status_error(response), asked_for)
                content = await read_bounded(response, longest)
        except httpx.HTTPError as error:
            raise _FailedTry(self._unreachable_error(error, limits)) from error
        except TimeoutError as error:
            raise _FailedTry(self._slow_error(limits.connect + limits.read)) from error
        except AnswerTooLargeError as error:
            raise _FailedTry(ServerAnswerError(f"Expected an answer from {self.base_url} {error}.")) from None
        except RuntimeError as error:
            if not self._http.is_closed:
                raise
            raise _FailedTry(self._closed_error()) from error
        try:
            return parsed_json(content)
        except ValueError as error:  # quotes the answer
            found = shown_word(response.headers.get("content-type", "").partition(";")[0], "no content type")
            raise _FailedTry(
                ServerAnswerError(
                    f"Expected JSON from {self.base_url}{path}, found {found}.",
                    status=response.status_code,
                    retryable=False,
                )
            ) from error

    def _closed_error(self) -> ServerAnswerError:
        closed = ServerAnswerError(f"Expected an open engine on {self.base_url}, found one that was closed.")
        closed.hint("Connect again, or close it after the last text.")
        return closed

    def _slow_error(self, seconds: float) -> ServerAnswerError:
        slow = ServerAnswerError(f"Expected an answer from {self.base_url}, found none within {seconds:g} seconds.")
        slow.hint("Send fewer requests at once, or raise the read timeout.")
        return slow

    def _unreachable_error(self, error: httpx.HTTPError, limits: Timeouts) -> ServerAnswerError:
        if isinstance(error, httpx.ReadTimeout):
            return self._slow_error(limits.read)
        what = next(words for kind, words in FAILURES.items() if isinstance(error, kind))
        found = ServerAnswerError(
            f"Expected an answer from {self.base_url}, found {what}.",
            retryable=isinstance(error, httpx.TransportError) and not isinstance(error, FINAL),
        )
        found.hint("Is the server running, and is that its address and port?")
        return found if self._answered else found.hint(STARTING)

    async def _status_error(self, response: httpx.Response) -> ServerAnswerError:
        status = response.status_code
        try:
            said = (await read_bounded(response, 4 * LONGEST_DETAIL, cut=True)).decode("utf-8", "replace")
        except AnswerTooLargeError:
            said = ""
        found = ServerAnswerError(
            f"Expected an answer from {self.base_url}, found status {status}{_phrase(status)}.",
            status=status,
            retryable=status in RETRIED_STATUSES,
            detail=said[:LONGEST_DETAIL],
        )
        if status in (401, 403):
            found.hint("Put the server's key into EXTRACTFT_ENGINE_API_KEY.")
        return found


class _FailedTry(Exception):
    """One try that failed, and how long the server asks to be left alone."""

    def __init__(self, error: ServerAnswerError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


def _retry_after_seconds(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for, which is a number or a date; `None` if it says neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, ArithmeticError, TypeError, LookupError, OSError):  # dates that no clock can show
        return None


def _phrase(status: int) -> str:
    """The standard's own words for a status: a server's may be a text."""
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def _authorization(api_key: str | None, login: str | None) -> dict[str, str]:
    """The header that lets a client in."""
    key = (api_key or "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise EngineError("Expected a server's key of printable ASCII characters, found others in it.").hint(
            "Look at EXTRACTFT_ENGINE_API_KEY, or the api_key that was given: is it the key alone?"
        )
    if key:
        return {"Authorization": f"Bearer {key}"}
    if login is None:
        return {}
    user, _, password = login.partition(":")
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
