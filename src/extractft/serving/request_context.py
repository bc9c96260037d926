"""The request that is being answered: its id, its client and what came of it, for logs and metrics. Knows no HTTP.

A context variable carries it into every task and thread that works for the request.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field

__all__ = ["RequestContext", "current_client", "current_request", "request_id_from"]

GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Request ids of clients that go into logs as they are; others are replaced."""


@dataclass(slots=True)
class RequestContext:
    """A request that is being answered.

    Attributes:
        request_id: The client's own, or one of ours.
        client: Who asks: a key by its number, or an address.
        outcome: What came of it: `record`, the code of a problem, `hung-up`; empty for what is not counted.
        notes: Further numbers for its line in the log; never a text.
    """

    request_id: str
    client: str = ""
    outcome: str = ""
    notes: dict[str, str | int | float] = field(default_factory=dict)


current_request: ContextVar[RequestContext | None] = ContextVar("extractft_request", default=None)


def current_client() -> str:
    """The client that asks; empty outside of a request."""
    request = current_request.get()
    return "" if request is None else request.client


def request_id_from(given: str | None) -> str:
    """The id of a request: the one that its client gave, if it can stand in a log, or a new one."""
    return given if given is not None and GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
