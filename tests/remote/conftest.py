from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from fake_vllm import QUICK, TEXTS, FakeVLLM
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, Schema
from extractft.completion import GenerationRequest
from extractft.remote import RemoteEngine, connect
from extractft.remote.server_probe import ServerProbe


class Order(BaseModel):
    """An order."""

    item: str
    kind: Literal["a", "b"] = "a"
    note: str | None = None


class Probe(BaseModel):
    probe: Literal["q7Zx 龙", "Kw3-ß"]


@pytest.fixture(scope="session")
def local(tiny_base: Any) -> Extractor[Order]:
    """An untrained extractor on the engine here."""
    settings = GenerationConfig(max_new_tokens=60, keep_truncated=True)
    return Extractor.from_base(Order, base_model=str(tiny_base), generation=settings)


@pytest.fixture
def server(local: Extractor[Order]) -> FakeVLLM:
    """A server with the same model: the engine here behind vLLM's HTTP."""
    runner = local._pipeline

    def complete(prompt: list[int], lark: str) -> Any:
        request = server.known[tuple(prompt)]
        assert lark == "%llguidance {}\n" + request.grammar.lark
        return next(iter(runner.engine.generate([request])))

    server = FakeVLLM(complete, lambda text: list(runner.chat.text_ids(text)), runner.chat.end_token_id)
    server.known = {}  # type: ignore[attr-defined]
    return server


@pytest.fixture
def probe(local: Extractor[Order], server: FakeVLLM) -> ServerProbe:
    runner, schema = local._pipeline, Schema.of(Probe)
    request = GenerationRequest(tuple(runner.chat.prompt_ids("probe")), runner.grammar.compile(schema), 64)
    server.known[request.prompt_ids] = request  # type: ignore[attr-defined]
    answers = tuple(schema.canonical_json(Probe(probe=value)).encode() for value in ("q7Zx 龙", "Kw3-ß"))
    ids = {text: tuple(runner.chat.text_ids(text)) for text in TEXTS}
    return ServerProbe(ids, request, answers, runner.chat.end_token_id, 200)


@pytest.fixture
def connected(server: FakeVLLM, probe: ServerProbe) -> Callable[..., RemoteEngine]:
    def make(address: str = "http://127.0.0.1:1", **settings: Any) -> RemoteEngine:
        return connect(address, probe, transport=server, **{"retries": QUICK, **settings})

    return make
