"""Engines behind HTTP: the same completions as here, and what a server may do wrong."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fake_vllm import MODEL, QUICK, TEXTS, FakeVLLM

from extractft import Extractor
from extractft.completion import Completion, GenerationRequest, TokenStep
from extractft.errors import EngineError
from extractft.remote import RemoteEngine, Retries
from extractft.remote.connect import ServerAddress

Connect = Callable[..., RemoteEngine]


def requests_for(local: Extractor[Any], server: FakeVLLM, texts: list[str]) -> list[GenerationRequest]:
    requests = [local._pipeline.request(text) for text in texts]
    server.known.update({request.prompt_ids: request for request in requests})  # type: ignore[attr-defined]
    return requests


def refused(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, json={"error": {"message": "no"}})


def failing(times: int, answer: Callable[[], httpx.Response], path: str = "/v1/completions") -> Any:
    count = 0

    def before(request: httpx.Request) -> httpx.Response | None:
        nonlocal count
        if request.url.path != path:
            return None
        count += 1
        return answer() if count <= times else None

    return before


def test_completions_are_those_of_the_engine_here(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine, requests = connected(), requests_for(local, server, TEXTS)
    for here, there in zip(local._pipeline.engine.generate(requests), engine.generate(requests), strict=True):
        assert there.token_ids == here.token_ids
        if here.finish_reason == "stop":
            assert there.finish_reason == "stop"
        for ours, theirs in zip(here.steps, there.steps, strict=True):
            # batched and one by one differ in the last bits
            assert theirs.constrained_logprob == pytest.approx(ours.constrained_logprob, abs=1e-4)
            assert [i for i, _ in theirs.alternatives] == [i for i, _ in ours.alternatives]
            assert dict(theirs.alternatives) == pytest.approx(dict(ours.alternatives), abs=1e-4)
            assert theirs.logprob is None


def test_capabilities_say_what_was_found(connected: Connect) -> None:
    found = connected().capabilities
    assert (found.kind, found.model, found.version, found.max_window) == ("vllm", MODEL, "0.32.0", 4096)
    assert (found.grammar, found.logprobs, found.token_ids) == ("llguidance", "constrained", True)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(local: Any, server: FakeVLLM, connected: Connect, status: int) -> None:
    engine, requests = connected(), requests_for(local, server, TEXTS[:1])
    server.before = failing(2, lambda: refused(status))
    assert next(engine.generate(requests)).finish_reason != "error"


def test_after_the_last_try_it_is_an_error_of_that_text(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine, requests = connected(), requests_for(local, server, TEXTS[:3])
    doomed = list(requests[1].prompt_ids)
    server.before = lambda request: refused(503) if server.asked[-1][1]["prompt"] == doomed else None
    outcomes = list(engine.generate(requests))
    assert [outcome.finish_reason == "error" for outcome in outcomes] == [False, True, False]
    assert "503" in (outcomes[1].error or "")
    assert sum(body["prompt"] == doomed for path, body in server.asked if path == "/v1/completions") == QUICK.attempts


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500])
def test_other_answers_are_final(local: Any, server: FakeVLLM, connected: Connect, status: int) -> None:
    engine, requests = connected(), requests_for(local, server, TEXTS[:1])
    server.asked.clear()
    server.before = failing(9, lambda: refused(status))
    assert next(engine.generate(requests)).finish_reason == "error"
    assert len(server.asked) == 1


def test_retry_after_is_obeyed(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine = connected(retries=Retries(attempts=2, first_delay=60, max_delay=90))
    requests = requests_for(local, server, TEXTS[:1])
    server.before = failing(1, lambda: refused(429, **{"retry-after": "0.05"}))
    start = time.monotonic()
    assert next(engine.generate(requests)).finish_reason != "error"
    assert 0.05 <= time.monotonic() - start < 10  # without the header it would be 60


def test_a_server_that_cannot_be_reached(connected: Connect, server: FakeVLLM) -> None:
    def before(request: httpx.Request) -> httpx.Response | None:
        raise httpx.ConnectError("refused")

    server.before = before
    with pytest.raises(EngineError, match="found nothing there that takes the connection"):
        connected()


def test_a_key_that_is_refused_names_the_variable(connected: Connect, server: FakeVLLM) -> None:
    server.before = lambda request: refused(401)
    with pytest.raises(EngineError, match="401") as caught:
        connected()
    assert "EXTRACTFT_ENGINE_API_KEY" in "".join(caught.value.__notes__)


def test_the_key_is_sent(connected: Connect, server: FakeVLLM) -> None:
    seen = set()

    def before(request: httpx.Request) -> httpx.Response | None:
        seen.add(request.headers.get("authorization"))
        return None

    server.before = before
    connected(api_key="secret")
    assert seen == {"Bearer secret"}


def test_a_window_that_is_too_short(connected: Connect, server: FakeVLLM) -> None:
    server.window = 64
    with pytest.raises(EngineError, match="window of at least 200 tokens, found 64"):
        connected()


def test_another_tokenizer(connected: Connect, server: FakeVLLM) -> None:
    server.tokenize = lambda text: [len(word) for word in text.split()]
    with pytest.raises(EngineError, match="tokenizer"):
        connected()


def test_another_model(connected: Connect, server: FakeVLLM) -> None:
    server.models = ["other", "another"]
    with pytest.raises(EngineError, match="found another, other"):
        connected()
    with pytest.raises(EngineError, match="Expected the model 'tuned'"):
        connected("http://127.0.0.1:1?model=tuned")


def test_a_server_that_ignores_the_grammar(local: Any, connected: Connect, server: FakeVLLM) -> None:
    ids = local._pipeline.chat.completion_ids('{ "probe": "q7Zx 龙" }')[:-1]
    server.complete = lambda prompt, lark: Completion(tuple(TokenStep(i, None, 0.0) for i in ids), "stop")
    with pytest.raises(EngineError, match="ignores the grammar") as caught:
        connected()
    assert "--structured-outputs-config.backend" in "".join(caught.value.__notes__)


def test_a_server_that_refuses_the_grammar(connected: Connect, server: FakeVLLM) -> None:
    server.before = failing(1, lambda: httpx.Response(400, json={"error": {"message": "no such backend"}}))
    with pytest.raises(EngineError, match="to take a grammar, found that it refuses it") as caught:
        connected()
    assert any("no such backend" in note for note in caught.value.__notes__)


def test_answers_of_another_form(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine, requests = connected(), requests_for(local, server, TEXTS[:1])
    for answer in ({}, {"choices": []}, [], {"choices": [{"finish_reason": "stop"}]}, "text"):
        server.before = failing(1, lambda answer=answer: httpx.Response(200, json=answer))
        completion = next(engine.generate(requests))
        assert completion.finish_reason == "error"
        assert "another form" in (completion.error or "")
    server.before = failing(1, lambda: httpx.Response(200, text="<html>"))
    assert "Expected JSON" in (next(engine.generate(requests)).error or "")


def test_in_order_lazily_and_bounded(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine, requests = connected(max_in_flight=2), requests_for(local, server, TEXTS)
    taken = 0

    def source() -> Any:
        nonlocal taken
        for request in requests * 20:
            taken += 1
            yield request

    stream = engine.generate(source(), batch_size=2)
    next(stream)
    assert taken <= 5
    stream.close()


def test_an_abandoned_iterator_stops_its_requests(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine, requests = connected(max_in_flight=1), requests_for(local, server, TEXTS)
    entered, cancelled = threading.Event(), threading.Event()
    answer = FakeVLLM.handle_async_request

    async def slow(request: httpx.Request) -> httpx.Response:
        entered.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return await answer(server, request)

    server.handle_async_request = slow  # type: ignore[method-assign]

    def broken() -> Any:
        yield requests[0]
        entered.wait(10)
        raise RuntimeError("the caller gives up")

    with pytest.raises(RuntimeError, match="gives up"):
        list(engine.generate(broken()))
    assert cancelled.wait(10)


def test_asynchronous_callers_and_their_cancellation(local: Any, server: FakeVLLM, connected: Connect) -> None:
    engine, requests = connected(), requests_for(local, server, TEXTS)

    async def all_of_them() -> list[Any]:
        return list(await asyncio.gather(*(engine.agenerate(request) for request in requests)))

    expected = [completion.token_ids for completion in engine.generate(requests)]
    assert [completion.token_ids for completion in asyncio.run(all_of_them())] == expected
    cancelled = threading.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    server.handle_async_request = slow  # type: ignore[method-assign]

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.agenerate(requests[0]), timeout=0.2)

    asyncio.run(impatient())
    assert cancelled.wait(10)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("http://host:8000", ServerAddress("http://host:8000")),
        ("https://host/v1/", ServerAddress("https://host")),
        ("vllm+http://host:1?model=a/b", ServerAddress("http://host:1", "vllm", "a/b")),
    ],
)
def test_addresses(written: str, read: ServerAddress) -> None:
    assert ServerAddress.parse(written) == read


@pytest.mark.parametrize("written", ["", "host:8000", "ftp://host", "tgi+http://host", "http://", "vllm"])
def test_what_is_no_address(written: str) -> None:
    with pytest.raises(EngineError, match="address of a server"):
        ServerAddress.parse(written)


def test_a_client_needs_no_torch() -> None:
    code = "import sys, extractft.remote; print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
