from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client_probe import Order, probe_of
from fake_vllm import QUICK, FakeServer, FakeVLLM
from loopback import Loopback

from extractft import Extractor, GenerationConfig
from extractft.remote import RemoteEngine, ServerProbe, connect


@pytest.fixture(scope="session")
def local(tiny_base: Any) -> Extractor[Order]:
    """An untrained extractor on the engine here."""
    settings = GenerationConfig(max_new_tokens=60, keep_truncated=True)
    return Extractor.from_base(Order, base_model=str(tiny_base), generation=settings)


@pytest.fixture
def complete(local: Extractor[Order]) -> Any:
    """Completions by the engine here; `complete.known` are the requests that a server may be asked."""

    def make(prompt: list[int], lark: str) -> Any:
        known = make.known  # type: ignore[attr-defined]
        request = known.get(tuple(prompt)) or known[lark.removeprefix("%llguidance {}\n")]
        assert lark == "%llguidance {}\n" + request.grammar.lark
        return next(iter(local._pipeline.engine.generate([request])))

    make.known = {}  # type: ignore[attr-defined]
    return make


@pytest.fixture
def server(local: Extractor[Order], complete: Any) -> FakeVLLM:
    """A server with the same model: the engine here behind vLLM's HTTP."""
    chat = local._pipeline.chat
    server = FakeVLLM(complete, lambda text: list(chat.text_ids(text)), chat.end_token_id)
    server.known = complete.known  # type: ignore[attr-defined]
    return server


@pytest.fixture
def probe(local: Extractor[Order], complete: Any) -> ServerProbe:
    probe = probe_of(local)
    for request in (probe.request, probe.own_request):
        complete.known[request.grammar.lark] = request
    return dataclasses.replace(probe, least_window=200)


@pytest.fixture
def connected(server: FakeVLLM, probe: ServerProbe) -> Callable[..., RemoteEngine]:
    def make(address: str = "http://127.0.0.1:1", **settings: Any) -> RemoteEngine:
        return connect(address, probe, transport=server, **{"retries": QUICK, **settings})

    return make


@pytest.fixture
def loopback() -> Iterator[Callable[[FakeServer], Loopback]]:
    """Puts a fake behind a port of 127.0.0.1 for the length of a test."""
    started: list[Loopback] = []

    def start(fake: FakeServer) -> Loopback:
        found = Loopback(fake)
        found.start()
        started.append(found)
        return found

    yield start
    for found in started:
        found.kill()
