"""Connecting to a server: its kind, the model that it serves and what it can do, found out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx

from extractft.errors import EngineError
from extractft.remote.event_loop import submit
from extractft.remote.remote_engine import RemoteEngine
from extractft.remote.server_client import Retries, ServerClient, Timeouts
from extractft.remote.server_dialect import RequestSettings, ServerDialect
from extractft.remote.server_probe import ServerProbe, check_server
from extractft.remote.vllm import VLLM

__all__ = ["ServerAddress", "connect"]

DIALECTS: tuple[ServerDialect, ...] = (VLLM(),)
"""Kinds of servers, in the order in which a server is asked whether it is one."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An engine that is a server, as users write it: `[kind+]http[s]://host:port[?model=name]`.

    Attributes:
        url: Address without a path.
        kind: Kind of server; `None` to ask it.
        model: Name of the model there; `None` for the only one.
    """

    url: str
    kind: str | None = None
    model: str | None = None

    @classmethod
    def parse(cls, engine: str) -> Self:
        """Read an address.

        Raises:
            EngineError: It is none.
        """
        parts = urlsplit(engine)
        kind, _, scheme = parts.scheme.rpartition("+")
        kinds = [dialect.kind for dialect in DIALECTS]
        if scheme not in ("http", "https") or not parts.hostname or (kind and kind not in kinds):
            shapes = ", ".join(f"{name}+http://host:port" for name in kinds)
            raise EngineError("Expected the address of a server, found another form.").hint(
                f"Write http://host:port, or name its kind: {shapes}."
            )
        model = parse_qs(parts.query).get("model", [None])[0]
        path = parts.path.rstrip("/").removesuffix("/v1")
        return cls(f"{scheme}://{parts.netloc}{path}", kind or None, model)


def connect(
    engine: str,
    server_probe: ServerProbe,
    *,
    api_key: str | None = None,
    num_alternatives: int = 5,
    max_in_flight: int = 64,
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> RemoteEngine:
    """Connect to a server and find out whether it can stand in for the engine here.

    Args:
        engine: Its address, see `ServerAddress`.
        server_probe: Questions that the server has to get right.
        api_key: Its key.
        num_alternatives: Most probable allowed tokens to ask for at each decision.
        max_in_flight: Requests under way at once.
        timeouts: Limits on one request.
        retries: Further tries of a request that failed for a moment.
        transport: Replaces the network, in tests.

    Raises:
        EngineError: It cannot be reached, is of no known kind, serves another model, tokenizes otherwise, ignores
            grammars or has too short a window; the note says what to set.
    """
    address = ServerAddress.parse(engine)
    client = ServerClient(
        address.url,
        api_key=api_key,
        max_in_flight=max_in_flight,
        timeouts=timeouts,
        retries=retries,
        transport=transport,
    )
    return submit(_checked_engine(client, address, server_probe, num_alternatives)).result()


async def _checked_engine(
    client: ServerClient, address: ServerAddress, probe: ServerProbe, num_alternatives: int
) -> RemoteEngine:
    """An engine on a server that answers the probe as it should."""
    dialect = await _find_dialect(client, address)
    capabilities = await dialect.inspect(client, address.model)
    settings = RequestSettings(capabilities.model, probe.end_token_id, num_alternatives)
    capabilities = await check_server(client, dialect, capabilities, settings, probe)
    end_token_id = probe.end_token_id
    return RemoteEngine(client, dialect, capabilities, end_token_id=end_token_id, num_alternatives=num_alternatives)


async def _find_dialect(client: ServerClient, address: ServerAddress) -> ServerDialect:
    for dialect in DIALECTS:
        if address.kind == dialect.kind or (address.kind is None and await dialect.recognise(client)):
            return dialect
    kinds = ", ".join(dialect.kind for dialect in DIALECTS)
    raise EngineError(f"Expected one of {kinds} at {address.url}, found a server of another kind.").hint(
        f"If it is one of them behind a gateway, say so: {DIALECTS[0].kind}+{address.url}"
    )
