"""Servers that lie, flood, dawdle or quote: one text fails with a typed error, and no secret is shown."""

from __future__ import annotations

import gzip
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fake_vllm import QUICK, TEXTS, FakeVLLM

from extractft.completion import Completion
from extractft.errors import ConfigError, EngineError
from extractft.extractor.engine_registry import engine_kind, engine_name
from extractft.remote import RemoteEngine, ServerAnswerError, ServerClient, ServerProbe, Timeouts, connect
from extractft.remote.connect import ServerAddress, shown_address
from extractft.remote.event_loop import submit
from extractft.remote.matcher_replay import renormalized_steps
from extractft.remote.retrying_client import _retry_after_seconds
from extractft.remote.token_steps import ended_otherwise, to_token_step

Connected = Callable[..., RemoteEngine]
COMPLETIONS = "/v1/completions"


@pytest.fixture
def requests(local: Any, server: Any) -> list[Any]:
    found = [local._pipeline.request(text) for text in TEXTS]
    server.known.update({request.prompt_ids: request for request in found})
    return found


def first_answer(server: FakeVLLM, answer: httpx.Response) -> None:
    """Give one answer to the next completion, and honest ones after it."""
    left = [answer]
    server.before = lambda request: left.pop() if left and request.url.path == COMPLETIONS else None


def failed_alone(engine: RemoteEngine, requests: list[Any]) -> str:
    """The error of the first text; the others go on."""
    outcomes = list(engine.generate(requests, batch_size=1))
    assert outcomes[0].finish_reason == "error"
    assert all(outcome.finish_reason != "error" for outcome in outcomes[1:])
    return outcomes[0].error or ""


# ------------------------------------------------------------------------------------------------------------- secrets


def test_a_login_in_the_address_is_sent_and_never_shown(
    server: FakeVLLM, probe: ServerProbe, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRACTFT_ENGINE_API_KEY", "of-the-environment")
    seen = set()
    server.before = lambda request: seen.add(request.headers["authorization"])  # type: ignore[func-returns-value]
    written = "vllm+http://me:se%40cret@127.0.0.1:1/v1?model=tuned"
    with caplog.at_level(logging.DEBUG):
        engine = connect(written, probe, transport=server, retries=QUICK)
    assert seen == {"Basic bWU6c2VAY3JldA=="}
    assert "cret" not in caplog.text
    assert "cret" not in repr(ServerAddress.parse(written)) + engine._client.base_url
    assert shown_address(written) == engine_name(written) == "vllm+http://127.0.0.1:1?model=tuned"
    with pytest.raises(ServerAnswerError) as caught:
        connect("http://me:secret@127.0.0.1:1", probe, retries=QUICK)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("written", ["vllm:me:secret@host", "http:/me:secret@host"])
def test_what_is_no_engine_is_not_quoted_with_a_password(written: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine_kind(written)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("written", ["http://[::1", "http://me:secret@ho\x01st", "http://me:secret@host:port"])
def test_addresses_that_no_request_can_be_sent_to(written: str) -> None:
    with pytest.raises(EngineError, match="the address of a server") as caught:
        ServerAddress.parse(written)
    assert "secret" not in str(caught.value)


def test_a_key_with_a_line_end_is_sent_without_it(server: FakeVLLM, connected: Connected) -> None:
    seen = set()
    server.before = lambda request: seen.add(request.headers["authorization"])  # type: ignore[func-returns-value]
    connected(api_key=" my-key\r\n")
    assert seen == {"Bearer my-key"}


@pytest.mark.parametrize("key", ["my\nkey", "my key", "schlüssel", "my\x00key"])
def test_a_key_that_cannot_be_sent(connected: Connected, key: str) -> None:
    with pytest.raises(EngineError, match="key of printable ASCII") as caught:
        connected(api_key=key)
    assert key not in str(caught.value)
    assert caught.value.__cause__ is None


# ------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 200_000,
        b'{"choices": [' + b"[" * 200_000,
        b'{"choices": [{"token_ids": [1e999], "logprobs": {"token_logprobs": [0], "top_logprobs": [{"1": 0}]}}]}',
        b'{"choices": [{"token_ids": [-7], "finish_reason": "stop", "logprobs": '
        b'{"token_logprobs": [0], "top_logprobs": [{"1": -9999}]}}]}',
    ],
)
def test_answers_of_any_form_fail_one_text(
    server: FakeVLLM, connected: Connected, requests: list[Any], answer: bytes
) -> None:
    engine = connected()
    first_answer(server, httpx.Response(200, content=answer))
    assert failed_alone(engine, requests).startswith("Expected ")


def test_a_server_that_describes_itself_in_another_form(server: FakeVLLM, connected: Connected) -> None:
    for path, answer in (("/tokenize", {"tokens": 7}), ("/tokenize", []), ("/version", [1])):
        server.before = lambda request, path=path, answer=answer: (  # type: ignore[misc]
            httpx.Response(200, json=answer) if request.url.path == path else None
        )
        with pytest.raises(EngineError, match="to describe itself as vllm does"):
            connected()


def test_an_answer_that_is_too_long_or_packed(server: FakeVLLM, connected: Connected, requests: list[Any]) -> None:
    engine = connected()
    assert engine._client._http.headers["accept-encoding"] == "identity"
    first_answer(server, httpx.Response(200, content=b" " * (18 << 20) + b"{}"))
    assert "of at most 17760256 bytes, found a longer one" in failed_alone(engine, requests)
    packed = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b'{"choices": []}'))
    first_answer(server, packed)
    assert "found one that is compressed" in failed_alone(engine, requests)
    first_answer(server, httpx.Response(500, content=b"x" * (18 << 20)))
    assert "found status 500" in failed_alone(engine, requests)


def test_an_answer_byte_by_byte_has_an_end() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def dribble() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not ended.wait(0.1):
                connection.sendall(b" ")

    thread = threading.Thread(target=dribble)
    thread.start()
    client = ServerClient(f"http://127.0.0.1:{listening.getsockname()[1]}", timeouts=Timeouts(connect=0.5, read=1))
    began = time.monotonic()
    with pytest.raises(ServerAnswerError, match=r"found none within 1\.5 seconds"):
        submit(client.get("/")).result(20)
    assert time.monotonic() - began < 10  # the answer would take 100
    ended.set()
    thread.join(5)
    listening.close()


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 2030 00:00:00 +99999999999999", "Mon, 01 Jan 99999 00:00:00 GMT", "soon", "", "\x00", "nan"]
)
def test_retry_after_of_no_clock(date: str) -> None:
    assert _retry_after_seconds(date) in (None, 0.0)


# ------------------------------------------------------------------------------------------------------- probabilities


@pytest.mark.parametrize("lie", [math.nan, math.inf, -math.inf, -9999.0, 5.0, -1e-5])
def test_log_probabilities_that_are_none(lie: float) -> None:
    with pytest.raises(ValueError, match=r"token was decided|log-probabilities"):
        to_token_step(1, lie, {2: -0.1, 3: -4.0}, num_alternatives=5)
    with pytest.raises(ValueError, match=r"token was decided|log-probabilities"):
        to_token_step(1, lie, {1: lie, 2: -0.1}, num_alternatives=5)


def test_log_probabilities_that_are_some() -> None:
    assert to_token_step(1, 0.0, {1: 0.0, 2: -9999.0, 3: -math.inf}, num_alternatives=5).forced
    step = to_token_step(1, -0.105, {1: -0.105, 2: -2.3, 3: -math.inf}, num_alternatives=5)
    assert (step.forced, step.alternatives) == (False, ((1, -0.105), (2, -2.3)))


def test_probabilities_before_the_grammar_are_checked_too(local: Any, requests: list[Any]) -> None:
    ids = next(iter(local._pipeline.engine.generate(requests[:1]))).token_ids
    for lie in (math.nan, math.inf, 5.0):
        with pytest.raises(ValueError, match="log-probabilities"):
            list(renormalized_steps(requests[0].grammar, ids, [{i: lie} for i in ids], num_alternatives=5))


def test_a_lie_fails_one_text(server: FakeVLLM, connected: Connected, requests: list[Any]) -> None:
    engine, honest = connected(), server._answer(COMPLETIONS, server_body(requests[0]))
    logprobs = honest["choices"][0]["logprobs"]
    logprobs["token_logprobs"] = [math.nan for _ in logprobs["token_logprobs"]]
    first_answer(server, httpx.Response(200, content=json.dumps(honest).encode()))
    assert "another form (ValueError)" in failed_alone(engine, requests)


def server_body(request: Any) -> dict[str, Any]:
    return {
        "prompt": list(request.prompt_ids),
        "structured_outputs": {"grammar": "%llguidance {}\n" + request.grammar.lark},
    }


# ---------------------------------------------------------------------------------------------------------- the engine


def test_a_closed_engine(connected: Connected, requests: list[Any]) -> None:
    engine = connected()
    engine.close()
    outcomes: list[Completion] = list(engine.generate(requests))
    assert {outcome.finish_reason for outcome in outcomes} == {"error"}
    assert "Expected an open engine" in (outcomes[0].error or "")


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_are_none(connected: Connected, requests: list[Any], size: int) -> None:
    with pytest.raises(ConfigError, match=f"batch_size of at least 1, found {size}"):
        next(connected().generate(requests, batch_size=size))
    with pytest.raises(ConfigError, match=f"max_in_flight of at least 1, found {size}"):
        connected(max_in_flight=size)


def test_words_of_a_server_that_may_be_a_text(server: FakeVLLM, connected: Connected, requests: list[Any]) -> None:
    assert ended_otherwise((), "abort").error == "The server ended the record for another reason: abort."
    for said in ("a customer's text", "x" * 41, {"text": 1}, None):
        assert ended_otherwise((), said).error == "The server ended the record for another reason: another one."
    engine = connected()
    kind = {"content-type": "text of a customer"}
    first_answer(server, httpx.Response(200, headers=kind, content=b"no"))
    assert "customer" not in failed_alone(engine, requests)
    first_answer(server, httpx.Response(500, extensions={"reason_phrase": b"text of a customer"}))
    assert "found status 500 (Internal Server Error)" in failed_alone(engine, requests)
