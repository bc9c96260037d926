"""Batches: lines in, lines out as they are done; what is wrong with one line spoils that line alone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from running_server import ORDERS, GatedEngine, RunningServer, gated_extractor, until

Serve = Callable[..., RunningServer]
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def echo(serve: Serve) -> Iterator[Callable[..., tuple[RunningServer, GatedEngine]]]:
    engines: list[GatedEngine] = []

    def start(batch_size: int = 16, **settings: Any) -> tuple[RunningServer, GatedEngine]:
        extractor = gated_extractor(batch_size)
        assert isinstance(extractor.engine, GatedEngine)
        engines.append(extractor.engine)
        return serve({"echo": extractor}, **settings), extractor.engine

    yield start
    for engine in engines:
        engine.let_go()


def _post(server: RunningServer, lines: Iterable[Any], address: str = "/v1/echo/extract-batch") -> httpx.Response:
    with server.client() as client:
        return client.post(address, content=_ndjson(lines), headers=LINES)


def _ndjson(lines: Iterable[Any]) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()) + b"\n" for line in lines
    )


def _answers(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.content.splitlines()]


def test_every_line_is_answered_under_its_id(serve: Serve) -> None:
    lines = [{"id": f"row {i}", "text": text} for i, text in enumerate(ORDERS)]
    found = _answers(_post(serve(), lines, "/v1/orders/extract-batch"))
    assert sorted(answer["id"] for answer in found) == ["row 0", "row 1", "row 2"]
    by_id = {answer["id"]: answer["record"] for answer in found}
    assert by_id["row 0"] == {"customer": "Ada", "total": 12.5, "due": "2026-01-02"}
    assert by_id["row 2"]["customer"] == "小明"


def test_answers_come_as_they_are_done(echo: Any) -> None:
    server, engine = echo()
    with server.client() as client:
        body = _ndjson([{"text": "slow"}, {"text": "fast"}])
        with client.stream("POST", "/v1/echo/extract-batch", content=body, headers=LINES) as answer:
            lines = answer.iter_lines()
            engine.let_go("fast")
            assert json.loads(next(lines)) == {"line": 2, "record": {"question": "fast"}}
            engine.let_go("slow")
            assert json.loads(next(lines)) == {"line": 1, "record": {"question": "slow"}}
            assert list(lines) == []


def test_or_in_the_order_of_the_lines(echo: Any) -> None:
    server, engine = echo()
    engine.let_go("fast", "faster")
    texts = ["fast", "slow", "faster"]
    threading.Timer(0.3, engine.let_go, ("slow",)).start()
    found = _answers(_post(server, [{"text": text} for text in texts], "/v1/echo/extract-batch?order=input"))
    assert [answer["record"]["question"] for answer in found] == texts
    wrong = _post(server, [], "/v1/echo/extract-batch?order=random")
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "order")
    assert _post(server, [], "/v1/echo/extract-batch?colour=red").status_code == 422


def test_a_line_is_answered_while_the_next_is_not_yet_written(echo: Any) -> None:
    server, engine = echo()
    engine.let_go()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(10)
        head = "POST /v1/echo/extract-batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        answers = b""
        for text in ("first", "second"):
            line = _ndjson([{"text": text}])
            connection.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            while text.encode() not in answers:
                answers += connection.recv(65536)
        connection.sendall(b"0\r\n\r\n")
        while not answers.endswith(b"0\r\n\r\n"):
            answers += connection.recv(65536)


def test_a_wrong_line_spoils_itself_alone(echo: Any) -> None:
    server, engine = echo(max_body_bytes=200)
    engine.let_go()
    lines: list[Any] = [
        {"id": 1, "text": "right"},
        b"",
        b"   ",
        b"{",
        {"id": 2, "txt": "misspelt"},
        {"id": "3", "text": ""},
        b"[" * 150,
        {"id": 5, "text": "x" * 300},
        b'"' + b"y" * 100_000,
        {"id": True, "text": "wrong id"},
        {"id": 4, "text": "right too", "spans": True},
    ]
    found = {answer["line"]: answer for answer in _answers(_post(server, lines))}
    codes = {line: answer.get("error", {}).get("code") for line, answer in found.items()}
    assert codes == {
        1: None,
        4: "invalid-request",
        5: "invalid-request",
        6: "empty-text",
        7: "invalid-request",
        8: "body-too-large",
        9: "body-too-large",
        10: "invalid-request",
        11: None,
    }
    assert (found[5]["id"], found[6]["id"], found[11]["id"]) == (2, "3", 4)
    assert found[11]["spans"]["question"][0]["end"] == len("right too")
    assert [error["path"] for error in found[5]["error"]["errors"]] == ["text", "txt"]


def test_the_last_line_needs_no_end(echo: Any) -> None:
    server, engine = echo()
    engine.let_go()
    with server.client() as client:
        for body, count in ((b"", 0), (b"\n\r\n", 0), (b'{"text": "a"}', 1), (b'{"text": "a"}\r\n{"text": "b"}', 2)):
            answer = client.post("/v1/echo/extract-batch", content=body, headers=LINES)
            assert len(_answers(answer)) == count


def test_lines_come_in_pieces_of_any_size(echo: Any) -> None:
    server, engine = echo()
    engine.let_go()
    texts = [f"text {i} 👩‍💻 {'x' * (i % 7)}" for i in range(50)]
    body = _ndjson([{"text": text} for text in texts])
    for size in (1, 3, 4096):
        pieces = (body[i : i + size] for i in range(0, len(body), size))
        with server.client() as client:
            answer = client.post("/v1/echo/extract-batch?order=input", content=pieces, headers=LINES)
        assert [found["record"]["question"] for found in _answers(answer)] == texts


def test_a_large_batch_to_a_client_that_sends_all_before_it_reads(echo: Any) -> None:
    server, engine = echo()
    engine.let_go()
    lines = [{"id": f"{i:05} {'x' * 2000}", "text": "a" if i % 500 == 0 else ""} for i in range(3000)]
    found = _answers(_post(server, lines))
    assert sorted(answer["id"] for answer in found) == [line["id"] for line in lines]
    assert sum("record" in answer for answer in found) == 6
    until(lambda: server.app.state.service.admission.taken == 0)


def test_a_batch_leaves_places_to_others(echo: Any) -> None:
    server, engine = echo(max_queue=4, max_client_share=0.5, api_keys=("first-key", "second-key"))
    service = server.app.state.service

    def post() -> None:
        headers = LINES | {"Authorization": "Bearer first-key"}
        with server.client(headers=headers) as client:
            answers.append(client.post("/v1/echo/extract-batch", content=_ndjson(lines)))

    lines, answers = [{"text": f"line {i}"} for i in range(20)], []
    sending = threading.Thread(target=post)
    sending.start()
    until(lambda: len(engine.begun) == 2)
    assert service.admission.taken == 2
    engine.let_go("another")
    with server.client(headers={"Authorization": "Bearer second-key"}) as client:
        assert client.post("/v1/echo/extract", json={"text": "another"}).status_code == 200
    with server.client(headers={"Authorization": "Bearer first-key"}) as client:
        assert client.post("/v1/echo/extract", json={"text": "more"}).status_code == 429
    engine.let_go()
    sending.join()
    assert len(_answers(answers[0])) == 20
    until(lambda: service.admission.taken == 0)


def test_a_client_that_hangs_up_in_a_batch_frees_all_its_places(echo: Any) -> None:
    server, engine = echo(batch_size=2)
    service = server.app.state.service
    body = _ndjson([{"text": f"line {i}"} for i in range(50)])
    head = "POST /v1/echo/extract-batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: len(engine.begun) == 3)
    until(lambda: service.admission.taken == 0)
    until(lambda: len(engine.cancelled) == 3)
    assert service.open_batches == 0
    assert len(engine.begun) == 3


def test_a_client_that_does_not_read_is_given_up(echo: Any) -> None:
    server, engine = echo(idle_seconds=0.4, max_body_bytes=10_000)
    engine.let_go()
    service = server.app.state.service
    body = _ndjson([{"id": "x" * 5000, "text": ""} for _ in range(3000)])
    head = "POST /v1/echo/extract-batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: service.open_batches == 1)
        until(lambda: service.open_batches == 0)
    until(lambda: service.admission.taken == 0)


def test_a_slow_batch_gets_answers_for_what_came(echo: Any) -> None:
    server, engine = echo(idle_seconds=0.4)
    engine.let_go()
    head = "POST /v1/echo/extract-batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.settimeout(10)
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode() + _ndjson([{"text": "came"}]))
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            answer += connection.recv(65536)
    assert b'"record":{"question":"came"}' in answer
    assert b"request-too-slow" in answer


def test_batches_are_bounded_in_size_and_number(echo: Any) -> None:
    server, engine = echo(max_batch_bytes=500, max_batches=1)
    engine.let_go("in time")
    with server.client() as client:
        declared = client.post("/v1/echo/extract-batch", content=b"x" * 501, headers=LINES)
        assert (declared.status_code, declared.json()["code"]) == (413, "batch-too-large")

        def pieces() -> Iterator[bytes]:
            yield _ndjson([{"text": "in time"}])
            until(
                lambda: "in time" in engine.begun
            )  # or all of it may come in one piece, which is too large as a whole
            yield from (b" " * 100 for _ in range(10))

        found = _answers(client.post("/v1/echo/extract-batch", content=pieces(), headers=LINES))
        by_line = {answer["line"]: answer for answer in found}
        assert by_line[1]["record"] == {"question": "in time"}
        assert by_line[2]["error"]["code"] == "batch-too-large"
        waiting = threading.Thread(target=_post, args=(server, [{"text": "waits"}]))
        waiting.start()
        until(lambda: "waits" in engine.begun)
        second = client.post("/v1/echo/extract-batch", content=_ndjson([{"text": "a"}]), headers=LINES)
        assert (second.status_code, second.json()["code"]) == (503, "queue-full")
        engine.let_go()
        waiting.join()


def test_the_document_describes_the_lines(serve: Serve) -> None:
    server = serve()
    with server.client() as client:
        document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/orders/extract-batch"]["post"]
    content = operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"]
    validator = Draft202012Validator({**document, **content})
    lines = [{"id": 1, "text": next(iter(ORDERS)), "spans": True}, {"id": "b", "text": ""}]
    for answer in _answers(_post(server, lines, "/v1/orders/extract-batch")):
        validator.validate(answer)
    assert not validator.is_valid({"line": 1})
    asked = operation["requestBody"]["content"]["application/x-ndjson"]["schema"]
    Draft202012Validator({**document, **asked}).validate(lines[0])
