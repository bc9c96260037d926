"""What is too much, too large or too slow is refused; what nobody waits for is given up."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from running_server import GatedEngine, RunningServer, gated_extractor, until

Serve = Callable[..., RunningServer]


class Gated:
    """A service whose texts are answered when they are let go."""

    def __init__(self, serve: Serve, batch_size: int = 16, **settings: Any) -> None:
        extractor = gated_extractor(batch_size)
        assert isinstance(extractor.engine, GatedEngine)
        self.engine = extractor.engine
        self.server = serve({"echo": extractor}, **settings)
        self.service = self.server.app.state.service
        self.pool = ThreadPoolExecutor(64)

    def send(self, text: str, *, key: str | None = None, **options: Any) -> Future[httpx.Response]:
        def post() -> httpx.Response:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            with self.server.client(headers=headers) as client:
                return client.post("/v1/echo/extract", json={"text": text, **options})

        return self.pool.submit(post)

    def count(self, outcome: str) -> float:
        labels = {"extractor": "echo", "outcome": outcome}
        return self.service.metrics.registry.get_sample_value("extractft_texts_total", labels) or 0


@pytest.fixture
def gated(serve: Serve) -> Iterator[Callable[..., Gated]]:
    started: list[Gated] = []

    def start(**settings: Any) -> Gated:
        started.append(Gated(serve, **settings))
        return started[-1]

    yield start
    for service in started:
        service.engine.let_go()
        service.pool.shutdown()


def test_a_full_queue_is_said_at_once_and_when_to_come_again(gated: Callable[..., Gated]) -> None:
    service = gated(max_queue=3, max_client_share=1)
    kept = [service.send(f"text {i}") for i in range(3)]
    until(lambda: service.service.admission.taken == 3)
    refused = service.send("one more").result(10)
    assert refused.status_code == 503
    assert refused.json()["code"] == "queue-full"
    assert int(refused.headers["retry-after"]) >= 1
    service.engine.let_go()
    assert [answer.result(10).json()["record"]["question"] for answer in kept] == ["text 0", "text 1", "text 2"]
    assert service.send("one more").result(10).status_code == 200
    assert service.count("queue-full") == 1
    assert service.count("record") == 4


def test_one_client_cannot_take_all_places(gated: Callable[..., Gated]) -> None:
    service = gated(max_queue=4, max_client_share=0.5, api_keys=("first-key", "second-key"))
    kept = [service.send(f"text {i}", key="first-key") for i in range(2)]
    until(lambda: service.service.admission.taken == 2)
    refused = service.send("one more", key="first-key").result(10)
    assert refused.status_code == 429
    assert refused.json()["code"] == "client-over-its-share"
    assert int(refused.headers["retry-after"]) >= 1
    other = service.send("of another", key="second-key")
    until(lambda: "of another" in service.engine.begun)
    service.engine.let_go()
    assert other.result(10).status_code == 200
    assert [answer.result(10).status_code for answer in kept] == [200, 200]


def test_the_next_turn_is_another_clients(gated: Callable[..., Gated]) -> None:
    service = gated(batch_size=1, max_queue=64, max_client_share=0.9, api_keys=("first-key", "second-key"))
    many = []
    for number in range(8):  # two of them are in the engine, six wait
        many.append(service.send(f"many {number}", key="first-key"))
        until(lambda count=number + 1: service.service.admission.taken == count)
    one = service.send("one", key="second-key")
    until(lambda: service.service.admission.taken == 9)
    service.engine.let_go()
    assert one.result(10).status_code == 200
    assert all(answer.result(10).status_code == 200 for answer in many)
    assert service.engine.begun.index("one") <= 3


def test_a_deadline_ends_the_decoding(gated: Callable[..., Gated]) -> None:
    service = gated(request_seconds=0.3)
    answer = service.send("slow").result(10)
    assert answer.status_code == 503
    assert answer.json()["code"] == "deadline-exceeded"
    assert "retry-after" in answer.headers
    until(lambda: service.engine.cancelled == ["slow"])
    until(lambda: service.service.admission.taken == 0)
    assert service.count("deadline-exceeded") == 1


def test_a_client_may_want_it_sooner_and_not_later(gated: Callable[..., Gated]) -> None:
    service = gated(request_seconds=1)
    assert "0.2 seconds" in service.send("slow", timeout=0.2).result(10).json()["detail"]
    assert "1 seconds" in service.send("slower", timeout=1000).result(10).json()["detail"]
    assert service.send("wrong", timeout=-1).result(10).status_code == 422


def test_waiting_counts_for_the_deadline_and_leaves_the_line(gated: Callable[..., Gated]) -> None:
    service = gated(batch_size=1)
    running = [service.send(f"running {number}") for number in range(2)]
    until(lambda: len(service.engine.begun) == 2)
    assert service.send("waiting", timeout=0.2).result(10).status_code == 503
    service.engine.let_go()
    assert all(answer.result(10).status_code == 200 for answer in running)
    assert "waiting" not in service.engine.begun


@pytest.mark.parametrize("waits", [False, True])
def test_a_client_that_hangs_up_frees_its_place(gated: Callable[..., Gated], waits: bool) -> None:
    service = gated(batch_size=1, max_queue=3, max_client_share=1)
    running = [service.send(f"running {number}") for number in range(2 if waits else 0)]
    until(lambda: len(service.engine.begun) == len(running))
    with socket.create_connection(("127.0.0.1", service.server.port)) as connection:
        connection.sendall(_request("gone"))
        until(lambda: service.service.admission.taken == len(running) + 1)
        if not waits:
            until(lambda: service.engine.begun == ["gone"])
    until(lambda: service.service.admission.taken == len(running))
    service.engine.let_go()
    assert all(answer.result(10).status_code == 200 for answer in running)
    assert service.count("hung-up") == 1
    if waits:
        assert "gone" not in service.engine.begun
    else:
        until(lambda: service.engine.cancelled == ["gone"])


def test_half_a_request_frees_its_place_too(gated: Callable[..., Gated]) -> None:
    service = gated(idle_seconds=0.3)
    with socket.create_connection(("127.0.0.1", service.server.port)) as connection:
        connection.settimeout(10)
        connection.sendall(_request("half")[:-4])
        answer = connection.recv(65536)
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert service.service.open_requests == 0
    assert service.engine.begun == []


def test_a_body_that_is_too_large_is_refused_before_and_while_it_comes(gated: Callable[..., Gated]) -> None:
    service = gated(max_body_bytes=1000)
    with service.server.client() as client:
        declared = client.post("/v1/echo/extract", json={"text": "x" * 2000})

        def chunks() -> Iterator[bytes]:
            yield b'{"text": "'
            for _ in range(200):
                yield b"x" * 100

        headers = {"Content-Type": "application/json"}
        streamed = client.post("/v1/echo/extract", content=chunks(), headers=headers)
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert answer.json()["code"] == "body-too-large"
        assert "1000 bytes" in answer.json()["detail"]
    assert service.engine.begun == []


def test_a_length_that_lies_does_no_harm(gated: Callable[..., Gated]) -> None:
    service = gated(max_body_bytes=1000, idle_seconds=0.3)
    service.engine.let_go()
    for length in (b"-1", b"99999999999999999999", b"abc", b"1e3"):
        with socket.create_connection(("127.0.0.1", service.server.port)) as connection:
            connection.settimeout(10)
            head = b"POST /v1/echo/extract HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            connection.sendall(head + b"Content-Length: " + length + b"\r\n\r\n{}")
            assert connection.recv(65536).split(b" ")[1] in (b"400", b"413")
    assert service.send("still here").result(10).status_code == 200


HOSTILE = [
    b"",
    b"null",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\xff\xfe{\x00}\x00",
    b'{"text": "\xff"}',
    b'{"text": "\\ud800"}',
    b'{"text": "a", "text": 1}',
    b'{"text": ["a"]}',
    b'{"text": null}',
    b'{"text": 1e999999}',
    b"1" * 100_000,
    b'{"timeout": NaN, "text": "a"}',
    b'{"timeout": Infinity, "text": "a"}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_are_wrong_requests(gated: Callable[..., Gated], body: bytes) -> None:
    service = gated()
    service.engine.let_go()
    with service.server.client() as client:
        answer = client.post("/v1/echo/extract", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert answer.json()["code"] == "invalid-request"
        assert client.post("/v1/echo/extract", json={"text": "still here"}).status_code == 200


def test_compressed_bodies_and_other_types_are_refused(gated: Callable[..., Gated]) -> None:
    service = gated()
    body = json.dumps({"text": "a"}).encode()
    with service.server.client() as client:
        for headers in (
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
            {},
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ):
            answer = client.post("/v1/echo/extract", content=body, headers=headers)
            assert answer.status_code == 415
            assert answer.json()["code"] == "unsupported-media-type"


def test_many_clients_at_once_get_their_own_records(gated: Callable[..., Gated]) -> None:
    service = gated()
    service.engine.let_go()
    wrong: list[str] = []

    def ask(name: int) -> None:
        with service.server.client() as client:
            for number in range(10):
                text = f"client {name} text {number}"
                answer = client.post("/v1/echo/extract", json={"text": text})
                if answer.json()["record"]["question"] != text:
                    wrong.append(text)

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert service.count("record") == 160


def _request(text: str) -> bytes:
    body = json.dumps({"text": text}).encode()
    head = "POST /v1/echo/extract HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
