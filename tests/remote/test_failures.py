"""Everything that a server may do wrong, on a real socket: the message of each, and what happens to the other texts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fake_vllm import QUICK, TEXTS, FakeServer, FakeVLLM
from loopback import Loopback

from extractft.completion import Completion, TokenStep
from extractft.errors import EngineError, InvalidAnswerError
from extractft.remote import RemoteEngine, Retries, ServerAnswerError, ServerProbe, Timeouts, connect

Serve = Callable[[FakeServer], Loopback]
COMPLETIONS = "/v1/completions"


@pytest.fixture
def place(server: FakeVLLM, loopback: Serve) -> Loopback:
    return loopback(server)


@pytest.fixture
def engine(place: Loopback, probe: ServerProbe) -> RemoteEngine:
    return connect(place.url, probe, retries=QUICK, timeouts=Timeouts(connect=2, read=5))


@pytest.fixture
def requests(local: Any, server: Any) -> list[Any]:
    found = [local._pipeline.request(text) for text in TEXTS]
    server.known.update({request.prompt_ids: request for request in found})
    return found


def answering(path: str, answer: Callable[[], httpx.Response], times: int = 10**9) -> Callable[..., Any]:
    left = [times]

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != path or left[0] == 0:
            return None
        left[0] -= 1
        return answer()

    return before


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


def the_one(engine: RemoteEngine, requests: list[Any]) -> Completion:
    return next(engine.generate(requests[:1]))


# ------------------------------------------------------------------------------------------------------- on connecting


def test_down_at_the_start(place: Loopback, probe: ServerProbe) -> None:
    place.kill()
    with pytest.raises(
        ServerAnswerError, match=f"an answer from {place.url}, found nothing there that takes the connection"
    ) as caught:
        connect(place.url, probe)  # with the retries of a run, which would take a quarter of a minute
    assert notes(caught.value).startswith("Is the server running, and is that its address and port?\n")
    assert "?wait=60" in notes(caught.value)
    assert caught.value.status is None


def test_down_at_the_start_is_tried_once(probe: ServerProbe) -> None:
    tries = []

    class Down(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            tries.append((request.url.path, request.extensions["timeout"]["connect"]))
            raise httpx.ConnectError("refused")

    with pytest.raises(ServerAnswerError):
        connect("http://127.0.0.1:1", probe, transport=Down())
    assert tries == [("/v1/models", 3.0)]


def test_a_server_that_comes_up_is_waited_for_if_asked_to(place: Loopback, probe: ServerProbe, requests: Any) -> None:
    place.kill()
    timer = threading.Timer(0.3, place.start)
    timer.start()
    engine = connect(f"{place.url}?wait=60", probe, retries=Retries(attempts=1, first_delay=0.05))
    timer.join()
    assert the_one(engine, requests).finish_reason != "error"
    place.kill()
    with pytest.raises(ServerAnswerError, match="nothing there"):
        connect(f"{place.url}?wait=0.2", probe, retries=Retries(attempts=1, first_delay=0.05))
    place.start()


def test_a_server_that_loads_its_model_is_waited_for(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    once = Retries(attempts=1, first_delay=0.01)
    server.before = answering("/v1/models", lambda: httpx.Response(503), times=3)
    with pytest.raises(ServerAnswerError, match="found status 503"):
        connect(place.url, probe, retries=once)
    assert connect(f"{place.url}?wait=60", probe, retries=once).capabilities.kind == "vllm"


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf"])
def test_seconds_to_wait_are_a_number(wait: str, probe: ServerProbe) -> None:
    with pytest.raises(EngineError, match="Expected seconds to wait for a server") as caught:
        connect(f"http://127.0.0.1:1?wait={wait}", probe)
    assert "?wait=60" in notes(caught.value)


def test_no_server_of_models_at_that_address(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    server.before = answering("/v1/models", lambda: httpx.Response(200, json={"hello": "world"}))
    with pytest.raises(EngineError, match=r"a list of models at .*/v1/models, found another form"):
        connect(place.url, probe, retries=QUICK)
    server.before = answering("/v1/models", lambda: httpx.Response(200, html="<html>"))
    with pytest.raises(EngineError, match=r"Expected JSON from .*/v1/models, found text/html"):
        connect(place.url, probe, retries=QUICK)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_wrong(place: Loopback, server: FakeVLLM, probe: ServerProbe, status: int) -> None:
    server.before = answering("/v1/models", lambda: httpx.Response(status, json={"error": "Unauthorized"}))
    with pytest.raises(ServerAnswerError, match=f"found status {status}") as caught:
        connect(place.url, probe, retries=QUICK)
    assert notes(caught.value) == "Put the server's key into EXTRACTFT_ENGINE_API_KEY."


def test_the_key_of_the_environment(
    place: Loopback, server: FakeVLLM, probe: ServerProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRACTFT_ENGINE_API_KEY", "from-outside")
    seen = set()

    def before(request: httpx.Request) -> None:
        seen.add(request.headers.get("authorization"))

    server.before = before
    connect(place.url, probe, retries=QUICK)
    connect(place.url, probe, retries=QUICK, api_key="given")
    assert seen == {"Bearer from-outside", "Bearer given"}


def test_another_model(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    server.models = ["someone-else"]
    with pytest.raises(EngineError, match=r"Expected the model 'tuned' at .*, found someone-else") as caught:
        connect(f"{place.url}?model=tuned", probe, retries=QUICK)
    assert "?model=NAME" in notes(caught.value)


def test_another_tokenizer(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    server.tokenize = lambda text: [7] * len(text)
    with pytest.raises(
        EngineError, match="the extractor's own tokenizer behind 'tuned', found one that splits"
    ) as caught:
        connect(place.url, probe, retries=QUICK)
    assert "extractft export" in notes(caught.value)


def test_a_window_that_is_too_short(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    server.window = 150
    with pytest.raises(EngineError, match="a window of at least 200 tokens, found 150 for 'tuned'") as caught:
        connect(place.url, probe, retries=QUICK)
    assert notes(caught.value) == "Start vLLM with a larger --max-model-len."


def test_a_server_that_ignores_the_grammar(local: Any, place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    for written in ('{ "probe": "q7Zx 龙" }', "Sure! Here is your record", '{"probe":"q7Zx'):
        ids = local._pipeline.chat.completion_ids(written)[:-1]
        server.complete = lambda prompt, lark, ids=ids: Completion(tuple(TokenStep(i, None, 0.0) for i in ids), "stop")
        with pytest.raises(EngineError, match="found that it ignores the grammar") as caught:
            connect(place.url, probe, retries=QUICK)
        assert "--structured-outputs-config.backend guidance" in notes(caught.value)


def test_a_server_that_refuses_every_grammar(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    server.before = answering(COMPLETIONS, lambda: httpx.Response(400, json={"error": {"message": "directive"}}))
    with pytest.raises(EngineError, match="to take a grammar, found that it refuses it") as caught:
        connect(place.url, probe, retries=QUICK)
    assert "directive" in notes(caught.value)
    assert "--structured-outputs-config.backend guidance" in notes(caught.value)


def test_an_older_llguidance_that_lacks_a_construct(place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    own = probe.own_request.grammar.lark

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path != COMPLETIONS:
            return None
        if own not in json.loads(request.content)["structured_outputs"]["grammar"]:
            return None
        return httpx.Response(400, json={"error": {"message": "multipleOf must be positive"}})

    server.before = before
    with pytest.raises(EngineError, match="the grammar of the extractor's schema, found that it refuses it") as caught:
        connect(place.url, probe, retries=QUICK)
    assert "multipleOf must be positive" in notes(caught.value)
    assert "a negative multiple_of needs llguidance 1.8" in notes(caught.value)


def test_a_server_of_another_kind_than_was_said(place: Loopback, probe: ServerProbe) -> None:
    with pytest.raises(EngineError, match="found status 404"):
        connect(f"llamacpp+{place.url}", probe, retries=QUICK)


def test_a_server_without_log_probabilities(local: Any, place: Loopback, server: FakeVLLM, probe: ServerProbe) -> None:
    answer = server.complete

    def bare(prompt: list[int], lark: str) -> Completion:
        found = answer(prompt, lark)
        return Completion(tuple(TokenStep(i, None, 0.0) for i in found.token_ids), found.finish_reason)

    server.complete = bare
    found = connect(place.url, probe, retries=QUICK).capabilities
    assert found.logprobs == "none"
    assert found.notes == ("no log-probabilities came: records have no confidence",)


# ------------------------------------------------------------------------------------------------------------- later


def test_dying_in_mid_run_and_coming_back(
    place: Loopback, server: FakeVLLM, engine: RemoteEngine, requests: list[Any]
) -> None:
    dead = threading.Event()

    def before(request: httpx.Request) -> None:
        if request.url.path == COMPLETIONS and not dead.is_set() and len(server.asked) > 8:
            dead.set()
            place.kill()

    server.asked.clear()
    server.before = before
    outcomes = []
    for number, outcome in enumerate(engine.generate(iter(requests * 6), batch_size=1)):
        outcomes.append(outcome)
        if outcome.finish_reason == "error" and number > 11:
            place.start()
            server.before = lambda request: None
    reasons = [outcome.finish_reason for outcome in outcomes]
    assert len(reasons) == 30
    first, last = reasons.index("error"), 29 - reasons[::-1].index("error")
    assert 6 <= first <= 9
    assert last < 20
    assert "error" not in reasons[last + 1 :]
    for outcome in outcomes:
        if outcome.finish_reason == "error":
            assert isinstance(outcome.cause, ServerAnswerError)
            assert f"Expected an answer from {place.url}, found " in (outcome.error or "")
    expected = [completion.token_ids for completion in engine.generate(requests)]
    for number, outcome in enumerate(outcomes):
        assert outcome.finish_reason == "error" or outcome.token_ids == expected[number % len(expected)]


def test_a_restart_within_the_retries_goes_unnoticed(place: Loopback, probe: ServerProbe, requests: list[Any]) -> None:
    engine = connect(place.url, probe, retries=Retries(attempts=9, first_delay=0.05, max_delay=1))
    place.kill()
    threading.Timer(0.4, place.start).start()
    assert all(outcome.finish_reason != "error" for outcome in engine.generate(requests))


def test_slow(place: Loopback, server: FakeVLLM, probe: ServerProbe, requests: list[Any]) -> None:
    engine = connect(place.url, probe, retries=QUICK, timeouts=Timeouts(connect=2, read=1.5))
    gone = threading.Event()

    def wait() -> httpx.Response:
        gone.wait(60)
        return httpx.Response(500)

    server.asked.clear()
    server.before = answering(COMPLETIONS, wait)
    start = time.monotonic()
    completion = the_one(engine, requests)
    assert time.monotonic() - start < 8  # the answer would take 60
    gone.set()
    assert completion.error == f"Expected an answer from {place.url}, found none within 1.5 seconds."
    assert "Send fewer requests at once" in notes(completion.cause)  # type: ignore[arg-type]
    assert len(server.asked) == 1  # it may still be at work on the first


def test_a_truncated_answer_is_no_record(server: FakeVLLM, engine: RemoteEngine, requests: list[Any]) -> None:
    answer = server.complete

    def cut(prompt: list[int], lark: str) -> Completion:
        return Completion(answer(prompt, lark).steps[:4], "length")

    server.complete = cut
    completion = the_one(engine, requests)
    assert (completion.finish_reason, len(completion.steps)) == ("length", 4)


def test_an_answer_that_says_stop_and_is_cut(server: FakeVLLM, engine: RemoteEngine, requests: list[Any]) -> None:
    answer = server.complete
    server.complete = lambda prompt, lark: Completion(answer(prompt, lark).steps[:4], "stop")
    completion = the_one(engine, requests)
    assert isinstance(completion.cause, InvalidAnswerError)
    assert completion.error == (
        "Expected a record of the grammar, found the end after 4 tokens: the server does not keep to it."
    )


def test_a_connection_that_breaks_within_the_answer(
    place: Loopback, server: FakeVLLM, engine: RemoteEngine, requests: list[Any]
) -> None:
    def broken() -> httpx.Response:
        return httpx.Response(200, headers={"content-length": "4000", "connection": "close"}, content=b'{"choices": [')

    server.before = answering(COMPLETIONS, broken, times=2)
    assert the_one(engine, requests).finish_reason != "error"
    server.before = answering(COMPLETIONS, broken)
    assert "found a connection that broke off" in (the_one(engine, requests).error or "")


def test_json_that_is_none(server: FakeVLLM, engine: RemoteEngine, requests: list[Any]) -> None:
    server.before = answering(
        COMPLETIONS, lambda: httpx.Response(200, headers={"content-type": "application/json"}, content=b'{"choices":')
    )
    assert "Expected JSON from" in (the_one(engine, requests).error or "")
    server.before = answering(COMPLETIONS, lambda: httpx.Response(200, json={"choices": [{"text": "secret"}]}))
    error = the_one(engine, requests).error or ""
    assert "another form (ValueError)" in error
    assert "secret" not in error


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_answers_that_are_final(
    status: int, place: Loopback, server: FakeVLLM, engine: RemoteEngine, requests: list[Any]
) -> None:
    server.asked.clear()
    server.before = answering(COMPLETIONS, lambda: httpx.Response(status, json={"error": {"message": "of a text"}}))
    completion = the_one(engine, requests)
    assert f"Expected an answer from {place.url}, found status {status}" in (completion.error or "")
    assert "of a text" not in (completion.error or "")
    assert isinstance(completion.cause, ServerAnswerError)
    assert (completion.cause.status, completion.cause.retryable) == (status, False)
    assert "of a text" in completion.cause.detail
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status: int, place: Loopback, server: FakeVLLM, probe: ServerProbe, requests: list[Any]) -> None:
    engine = connect(place.url, probe, retries=Retries(attempts=2, first_delay=60, max_delay=90))
    server.before = answering(COMPLETIONS, lambda: httpx.Response(status, headers={"retry-after": "1"}), times=1)
    start = time.monotonic()
    assert the_one(engine, requests).finish_reason != "error"
    assert 1 <= time.monotonic() - start < 20  # without the header it would be 60


def test_a_server_that_stays_busy(server: FakeVLLM, engine: RemoteEngine, requests: list[Any]) -> None:
    server.asked.clear()
    server.before = answering(COMPLETIONS, lambda: httpx.Response(429))
    completion = the_one(engine, requests)
    assert "found status 429 (Too Many Requests)" in (completion.error or "")
    assert len(server.asked) == QUICK.attempts


def test_an_iterator_that_is_let_go_stops_its_requests(
    server: FakeVLLM, engine: RemoteEngine, requests: list[Any]
) -> None:
    release = threading.Event()

    def hold() -> None:
        release.wait(10)

    first = list(engine.generate(requests[:1]))
    server.asked.clear()
    server.before = answering(COMPLETIONS, hold)  # type: ignore[arg-type]
    stream = engine.generate(iter(requests * 10), batch_size=2)
    thread = threading.Thread(target=lambda: next(stream, None))
    thread.start()
    while len(server.asked) < 4:
        time.sleep(0.01)
    release.set()
    thread.join(20)
    stream.close()
    time.sleep(0.3)
    seen = len(server.asked)
    time.sleep(0.3)
    assert len(server.asked) == seen < 20
    server.before = lambda request: None
    assert [c.token_ids for c in engine.generate(requests[:1])] == [c.token_ids for c in first]


@pytest.mark.parametrize("body", [b"{}", b"", b'{"choices": [{"text": "{}"}]}'])
def test_a_redirection_is_said_and_not_followed(
    server: FakeVLLM, engine: RemoteEngine, requests: list[Any], body: bytes
) -> None:
    """Its body is no answer, whatever is in it."""
    elsewhere = httpx.Response(307, headers={"Location": "http://elsewhere.example.com/"}, content=body)
    server.before = answering(COMPLETIONS, lambda: elsewhere)
    failed = the_one(engine, requests)
    assert "found status 307 (Temporary Redirect)" in (failed.error or "")
    assert not failed.token_ids
