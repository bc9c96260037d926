"""Connecting to a server: its kind, the model that it serves and what it can do, found out once."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

import httpx

from extractft.errors import EngineError
from extractft.remote.event_loop import submit
from extractft.remote.llama_cpp import LlamaCpp
from extractft.remote.managed_server import ManagedServer
from extractft.remote.openai_compatible import OpenAICompatible
from extractft.remote.remote_engine import RemoteEngine
from extractft.remote.retrying_client import Retries, ServerAnswerError, ServerClient, Timeouts
from extractft.remote.served_models import model_owners
from extractft.remote.server_dialect import MALFORMED, RequestSettings, ServerDialect
from extractft.remote.server_probe import ServerProbe, check_server
from extractft.remote.sglang import SGLang
from extractft.remote.shared_server import Adapter, ServerLease, lease_server
from extractft.remote.vllm import VLLM

__all__ = ["API_KEY", "ServerAddress", "connect", "require_server", "serve_adapter", "shown_address", "start_server"]

DIALECTS: tuple[ServerDialect, ...] = (VLLM(), SGLang(), LlamaCpp(), OpenAICompatible())
"""Kinds of servers, in the order in which a server is taken for one; the last is that of all others."""
KINDS = {dialect.kind.replace(".", ""): dialect.kind for dialect in DIALECTS}
"""Kinds as addresses spell them."""
API_KEY = "EXTRACTFT_ENGINE_API_KEY"
"""Environment variable with the server's key."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """An engine that is a server, as users write it: `[kind+]http[s]://[user:password@]host:port[?model=name&wait=60]`.

    Its string is the address to show and to keep: login and patience are no part of it.

    Attributes:
        url: Address without a path and without a login.
        kind: Kind of server; `None` to ask it.
        model: Name of the model there; `None` for the only one.
        login: `user:password`, percent-encoded; `None` if there is none.
        wait: Seconds in which a server may come up that is still starting.
    """

    url: str
    kind: str | None = None
    model: str | None = None
    login: str | None = field(default=None, repr=False)
    wait: float = 0.0

    @classmethod
    def parse(cls, engine: str) -> Self:
        """Read an address.

        Raises:
            EngineError: It is none.
        """
        parts = _split(engine)
        written, _, scheme = parts.scheme.rpartition("+")
        kind = KINDS.get(written.replace(".", ""))
        if scheme not in ("http", "https") or not _host(parts) or (written and kind is None):
            shapes = ", ".join(f"{name}+http://host:port" for name in KINDS)
            raise EngineError("Expected the address of a server, found another form.").hint(
                f"Write http://host:port, or name its kind: {shapes}."
            )
        settings = parse_qs(parts.query)
        model = settings.get("model", [None])[0]
        path = parts.path.rstrip("/").removesuffix("/v1")
        login, _, place = parts.netloc.rpartition("@")
        return cls(f"{scheme}://{place}{path}", kind, model, login or None, _seconds(settings.get("wait", ["0"])[0]))

    def __str__(self) -> str:
        kind = f"{self.kind.replace('.', '')}+" if self.kind else ""
        return f"{kind}{self.url}" + (f"?model={quote(self.model, safe='/:')}" if self.model else "")


def shown_address(engine: str) -> str:
    """The address of a server as it can be shown and kept: without a login and without settings of others.

    Raises:
        EngineError: It is no address.
    """
    return str(ServerAddress.parse(engine))


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
        api_key: Its key; if `None`, the login in the address, or else the environment variable
            EXTRACTFT_ENGINE_API_KEY.
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
    settings = {"max_in_flight": max_in_flight, "timeouts": timeouts, "retries": retries, "transport": transport}
    client = _client(address, api_key, **settings)
    return submit(_connected(client, address, server_probe, num_alternatives)).result()


def require_server(engine: str, *, api_key: str | None = None) -> None:
    """Try the address of a server, before work that would be in vain without one.

    Args:
        engine: Its address, see `ServerAddress`.
        api_key: Its key, as for `connect`.

    Raises:
        EngineError: Nothing is there that answers.
    """
    address = ServerAddress.parse(engine)
    submit(_tried(_client(address, api_key))).result()


def start_server(
    kind: str,
    model: Path,
    server_probe: ServerProbe,
    *,
    window: int,
    slots: int = 16,
    num_alternatives: int = 5,
    dtype: str | None = None,
) -> RemoteEngine:
    """Start a server on this machine and connect to it; it ends with the engine and with this process.

    Args:
        kind: `"vllm"` or `"llama.cpp"`.
        model: What it serves: a Hugging Face directory for vLLM, a GGUF file for llama.cpp.
        server_probe: Questions that it has to get right.
        window: Longest prompt and answer together in tokens.
        slots: Requests that it decodes side by side.
        num_alternatives: Most probable allowed tokens to ask for at each decision.
        dtype: Type that vLLM computes in; `None` for its own choice, which is mostly bfloat16 for float32 weights.

    Raises:
        EngineError: There is no such program, it does not start, or it cannot stand in for the engine here.
    """
    flags = ("--dtype", dtype) if dtype and kind == "vllm" else ()
    server = ManagedServer(kind, model, window=window, slots=slots, flags=flags)
    return _own_engine(server, server_probe, slots, num_alternatives)


def serve_adapter(
    base: Path,
    adapter: Adapter | None,
    server_probe: ServerProbe,
    *,
    window: int,
    slots: int = 16,
    num_alternatives: int = 5,
    dtype: str | None = None,
) -> RemoteEngine:
    """Connect to an adapter on a vLLM server of this process, beside others of the same base model.

    Args:
        base: The base model, a Hugging Face directory.
        adapter: The adapter; `None` for the base model itself.
        server_probe: Questions that it has to get right.
        window: Longest prompt and answer together in tokens.
        slots: Requests that the server decodes side by side.
        num_alternatives: Most probable allowed tokens to ask for at each decision.
        dtype: Type that it computes in, as for `start_server`.

    Raises:
        EngineError: The server does not start, refuses the adapter, or cannot stand in for the engine here.
    """
    lease = lease_server(base, adapter, window=window, slots=slots, dtype=dtype)
    return _own_engine(lease, server_probe, slots, num_alternatives)


def _own_engine(
    server: ManagedServer | ServerLease, server_probe: ServerProbe, slots: int, num_alternatives: int
) -> RemoteEngine:
    """An engine on a server that was started for it, and ends with it."""
    try:
        engine = connect(
            server.url,
            server_probe,
            api_key=server.api_key,
            num_alternatives=num_alternatives,
            max_in_flight=2 * slots,
        )
    except BaseException:
        server.close()
        raise
    engine.own(server)
    return engine


def _client(address: ServerAddress, api_key: str | None, **settings: Any) -> ServerClient:
    """A client of the server at an address, with the key of the environment if there is no other."""
    if api_key is None and address.login is None:
        api_key = os.environ.get(API_KEY)
    return ServerClient(address.url, api_key=api_key, login=address.login, patience=address.wait, **settings)


async def _tried(client: ServerClient) -> None:
    """Ask for what every kind of server has; any answer of a server will do."""
    try:
        await client.get("/v1/models")
    except ServerAnswerError as error:
        if error.status is None:
            raise
    finally:
        await client.close()


async def _connected(
    client: ServerClient, address: ServerAddress, probe: ServerProbe, num_alternatives: int
) -> RemoteEngine:
    """An engine on a server that answers the probe as it should; its connections are closed if it does not."""
    try:
        return await _checked_engine(client, address, probe, num_alternatives)
    except BaseException:
        await client.close()
        raise


async def _checked_engine(
    client: ServerClient, address: ServerAddress, probe: ServerProbe, num_alternatives: int
) -> RemoteEngine:
    dialect = await _find_dialect(client, address)
    try:
        capabilities = await dialect.inspect(client, address.model)
        settings = RequestSettings(
            capabilities.model, probe.end_token_id, num_alternatives, probe.codec, capabilities.grammar
        )
        capabilities = await check_server(client, dialect, capabilities, settings, probe)
    except EngineError:
        raise
    except MALFORMED as error:
        raise EngineError(f"Expected {address.url} to describe itself as {dialect.kind} does, found otherwise.").hint(
            f"Is it of that kind? ({type(error).__name__})"
        ) from error
    return RemoteEngine(client, dialect, capabilities, settings)


async def _find_dialect(client: ServerClient, address: ServerAddress) -> ServerDialect:
    """The kind that was named, or the one that the owners of the models tell."""
    if address.kind is not None:
        return next(dialect for dialect in DIALECTS if dialect.kind == address.kind)
    owners = await model_owners(client)
    return next(dialect for dialect in DIALECTS if dialect.recognises(owners))


def _split(engine: str) -> SplitResult:
    """The parts of an address; none at all if it is not one that a request can be sent to."""
    try:
        parts = urlsplit(engine.strip())
        httpx.URL(f"http://{parts.netloc}{parts.path}")
    except (ValueError, httpx.InvalidURL):
        return urlsplit("")
    return parts


def _host(parts: SplitResult) -> str | None:
    """The host of an address; `None` if there is none, or its port is no number."""
    try:
        return parts.hostname if parts.port is None or parts.port else None
    except ValueError:
        return None


def _seconds(written: str) -> float:
    """Seconds of patience, as an address has them.

    Raises:
        EngineError: They are no number of seconds.
    """
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise EngineError("Expected seconds to wait for a server, found another form.").hint(
            "Write http://host:port?wait=60."
        )
    return seconds
