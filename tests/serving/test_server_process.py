"""The server as a process: it says when it is ready, finishes what it accepted, and tells how it ended."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from running_server import until

from extractft import Extractor

PROGRAM = Path(__file__).with_name("slow_service.py")


class ServerProcess:
    """A process that serves, and what it has written to its log."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.lines: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        until(lambda: "listening" in self.log or self.process.poll() is not None, 240)
        found = re.search(r"listening address=(\S+)", self.log)
        assert found, self.log
        return found[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20, trust_env=False)

    def wait_until_ready(self) -> None:
        until(lambda: self.get("/health/ready").status_code == 200, 240)

    def extract(self, text: str, name: str = "echo", **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/{name}/extract", json={"text": text}, timeout=60, trust_env=False, **options)

    def in_engine(self) -> float:
        found = re.search(r'extractft_batch_size_count\{extractor="echo"\} (\S+)', self.get("/metrics").text)
        return float(found[1]) if found else 0

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(120)
        self._reading.join(10)
        return code


Start = Callable[..., ServerProcess]


class Echo(BaseModel):
    """The text itself."""

    question: str


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo") / "echo"
    Extractor.from_base(Echo, base_model=str(tiny_base)).save_pretrained(folder)
    return folder


@pytest.fixture
def start(saved: Path) -> Iterator[Start]:
    started: list[ServerProcess] = []

    def begin(*arguments: str) -> ServerProcess:
        started.append(ServerProcess(str(PROGRAM), str(saved), *arguments))
        return started[-1]

    yield begin
    for server in started:
        server.process.kill()
        server.process.wait()


def _slow(start: Start, seconds: float = 0.5, loading: float = 0, **settings: Any) -> ServerProcess:
    values = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    return start(str(seconds), str(loading), *values)


def _send(server: ServerProcess, texts: list[str]) -> tuple[list[threading.Thread], dict[str, Any]]:
    """Texts sent by as many clients at once, and what they will have got."""
    got: dict[str, Any] = {}

    def ask(text: str) -> None:
        try:
            got[text] = server.extract(text)
        except httpx.HTTPError as error:
            got[text] = error

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    return threads, got


def test_sigterm_finishes_what_was_accepted_and_exits_with_0(start: Start) -> None:
    server = _slow(start, drain_seconds=8)
    server.wait_until_ready()
    texts = [f"text {number}" for number in range(12)]
    threads, got = _send(server, texts)
    until(lambda: server.in_engine() >= 4)
    until(lambda: "draining" not in server.log and server.get("/health/ready").status_code == 200)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: "draining" in server.log)
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        ready = client.get("/health/ready")
        late = client.post("/v1/echo/extract", json={"text": "too late"})
        assert client.get("/health/live").status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert ready.headers["connection"] == "close"
    assert (late.status_code, late.json()["code"]) == (503, "draining")
    assert server.process.wait(120) == 0
    for thread in threads:
        thread.join()
    found = {text: answer.json()["record"]["question"] for text, answer in got.items() if answer.status_code == 200}
    assert found == {text: text for text in texts if text in found}
    accepted = int(re.findall(r"draining open_requests=\d+ texts=(\d+)", server.log)[0])
    assert len(found) >= accepted >= 4
    assert all(answer.status_code in (200, 503) for answer in got.values())


def test_what_is_not_done_when_the_grace_period_ends_is_told_so(start: Start) -> None:
    server = _slow(start, seconds=3, grace_seconds=0.3)
    server.wait_until_ready()
    threads, got = _send(server, ["a", "b"])
    until(lambda: server.in_engine() == 2)
    assert server.end() == 1
    for thread in threads:
        thread.join()
    assert [(answer.status_code, answer.json()["code"]) for answer in got.values()] == [(503, "draining")] * 2
    assert "cut_off=2" in server.log


def test_a_second_signal_does_not_wait(start: Start) -> None:
    server = _slow(start, seconds=3, grace_seconds=60)
    server.wait_until_ready()
    threads, got = _send(server, ["a"])
    until(lambda: server.in_engine() == 1)
    server.process.send_signal(signal.SIGINT)
    until(lambda: "draining" in server.log)
    assert server.end(signal.SIGINT) == 1
    for thread in threads:
        thread.join()
    assert got["a"].json()["code"] == "draining"


def test_a_batch_is_finished_too(start: Start) -> None:
    server = _slow(start, seconds=0.1)
    server.wait_until_ready()
    answers: list[httpx.Response] = []
    body = b"".join(b'{"text": "line %d"}\n' % number for number in range(30))

    def post() -> None:
        headers = {"Content-Type": "application/x-ndjson"}
        url = f"{server.url}/v1/echo/extract-batch"
        answers.append(httpx.post(url, content=body, headers=headers, timeout=60, trust_env=False))

    sending = threading.Thread(target=post)
    sending.start()
    until(lambda: server.in_engine() >= 2)
    assert server.end() == 0
    sending.join()
    lines = [json.loads(line) for line in answers[0].content.splitlines()]
    assert len(lines) == 30
    assert all("record" in line for line in lines)


def test_it_says_that_it_is_not_ready_for_as_long_as_a_load_balancer_takes(start: Start) -> None:
    server = _slow(start, drain_seconds=8)
    server.wait_until_ready()
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    until(lambda: server.get("/health/ready").status_code == 503)
    assert server.process.wait(120) == 0
    assert time.monotonic() - begun >= 8


def test_it_listens_while_it_loads_and_says_so(start: Start) -> None:
    server = _slow(start, loading=2)
    assert server.get("/health/live").status_code == 200
    ready = server.get("/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "loading"})
    early = server.extract("too early")
    assert (early.status_code, early.json()["code"]) == (503, "loading")
    assert int(early.headers["retry-after"]) >= 1
    server.wait_until_ready()
    assert server.extract("in time").json() == {"record": {"question": "in time"}}
    assert server.end() == 0


def test_it_can_be_stopped_while_it_loads(start: Start) -> None:
    server = _slow(start, loading=60)
    assert server.get("/health/live").status_code == 200
    assert server.end() == 0


def test_what_cannot_be_loaded_ends_it(start: Start) -> None:
    server = _slow(start, loading=-1)
    assert server.process.wait(120) == 1


def test_a_kill_breaks_connections_and_nothing_else(start: Start) -> None:
    server = _slow(start, seconds=3)
    server.wait_until_ready()
    threads, got = _send(server, ["a"])
    until(lambda: server.in_engine() == 1)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    for thread in threads:
        thread.join()
    assert isinstance(got["a"], httpx.HTTPError)
    again = _slow(start, seconds=0, port=server.port)
    again.wait_until_ready()
    assert again.extract("once more").status_code == 200
    assert again.end() == 0


def test_connections_that_send_nothing_are_closed(start: Start) -> None:
    server = _slow(start, seconds=0, idle_seconds=0.4, keep_alive_seconds=1, max_connections=8)
    server.wait_until_ready()
    silent = socket.create_connection(("127.0.0.1", server.port))
    dripping = socket.create_connection(("127.0.0.1", server.port))
    silent.settimeout(20)
    dripping.settimeout(20)
    ended = threading.Event()

    def drip() -> None:
        try:
            while not ended.wait(0.05):
                dripping.sendall(b"G")
        except OSError:
            ended.set()

    threading.Thread(target=drip, daemon=True).start()
    assert silent.recv(1) == b""
    until(ended.is_set)
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    assert server.extract("still here").status_code == 200
    for connection in (silent, dripping, *many):
        connection.close()
    assert server.end() == 0


def test_a_port_that_is_taken_is_told(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = _slow(start, port=port)
        assert server.process.wait(120) == 1
        until(lambda: f"127.0.0.1:{port}" in server.log)
