"""Logs and metrics: an id in every line, every outcome counted, and never a text."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, field_validator
from running_server import ORDERS, Order, RunningServer, Ticket, until

from extractft.serving.request_log import ServiceFormatter, log_to
from extractft.testing import scripted_extractor

Serve = Callable[..., RunningServer]
SECRET = "Zaphod Beeblebrox"
TEXT = f"{SECRET} ordered."


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """All that any logger writes, as `serve` writes it."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ServiceFormatter(request.param))
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))  # the client, in this process
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


class Refused(BaseModel):
    """A record that its validator quotes and refuses."""

    customer: str

    @field_validator("customer")
    @classmethod
    def refuse(cls, value: str) -> str:
        if value.startswith("Zaphod"):
            raise RuntimeError(f"unwanted: {value}")
        return value


def _router() -> APIRouter:
    router = APIRouter()

    @router.post("/v1/broken/{name}")
    async def broken(name: str) -> Any:
        raise RuntimeError(f"failed at {SECRET}")

    return router


def test_no_text_is_in_any_line_or_metric(serve: Serve, log: io.StringIO) -> None:
    answers = {TEXT: Order(customer=SECRET)}
    quoting = scripted_extractor(Refused, {})
    quoting.engine._script = lambda text: json.dumps({"customer": SECRET}, separators=(",", ":"))  # type: ignore[attr-defined]
    extractors = {"orders": scripted_extractor(Order, answers), "refused": quoting}
    with serve(extractors, routers=[_router()], max_body_bytes=300).client() as client:
        asked = {"text": TEXT, "spans": True, "confidence": True}
        assert client.post("/v1/orders/extract", json=asked).json()["record"]["customer"] == SECRET
        statuses = [
            client.post("/v1/refused/extract", json={"text": TEXT}),
            client.post("/v1/orders/extract", json={"text": "unknown " + SECRET}),
            client.post("/v1/orders/extract", json={"text": TEXT, SECRET: 1}),
            client.post("/v1/orders/extract", json={"text": TEXT * 30}),
            client.post("/v1/orders/extract", content=TEXT, headers={"Content-Type": "application/json"}),
            client.post(f"/v1/broken/{SECRET}", json={"text": TEXT}),
            client.get(f"/{SECRET}?text={SECRET}"),
            client.get("/v1/models", headers={"X-Request-ID": SECRET, "User-Agent": SECRET}),
        ]
        lines = b'{"text": "%b"}\n{"%b": 1}\n%b\n' % ((TEXT.encode(),) * 3)
        headers = {"Content-Type": "application/x-ndjson"}
        assert client.post("/v1/orders/extract-batch", content=lines, headers=headers).status_code == 200
        metrics = client.get("/metrics").text
    assert [answer.status_code for answer in statuses] == [422, 500, 422, 413, 422, 500, 404, 200]
    until(lambda: log.getvalue().count("answered") == 11)
    written = log.getvalue()
    for word in SECRET.split():
        assert word not in written
        assert word not in metrics
    assert "RuntimeError at" in written
    assert "test_service_logs.py" in written, "an unexpected exception is told with its place"


def test_the_id_of_a_request_is_the_clients_own_and_in_every_line(serve: Serve, log: io.StringIO) -> None:
    with serve(routers=[_router()]).client() as client:
        for given in ("abc-123", "A" * 128, "urn:uuid:1.2_3"):
            answer = client.post("/v1/broken/x", headers={"X-Request-ID": given})
            assert answer.headers["x-request-id"] == given
            assert answer.json()["request_id"] == given
            until(lambda given=given: sum(given in line for line in log.getvalue().splitlines()) == 2)
        ids = set()
        for given in (None, "", "a b", "x" * 129, 'a"b', "a=b"):
            answer = client.get("/v1/models", headers={} if given is None else {"X-Request-ID": given})
            ids.add(answer.headers["x-request-id"])
            assert answer.headers["x-request-id"] != given
        assert len(ids) == 6
    until(lambda: log.getvalue().count("answered") == 9)
    ours = [line for line in log.getvalue().splitlines() if "answered" in line]
    assert all("request_id" in line for line in ours)


def test_lines_are_json_if_one_likes(serve: Serve, log: io.StringIO) -> None:
    with serve().client() as client:
        client.post("/v1/orders/extract", json={"text": "Grace ordered."}, headers={"X-Request-ID": "mine"})
    until(lambda: "mine" in log.getvalue())
    line = next(line for line in log.getvalue().splitlines() if "mine" in line)
    if line.startswith("{"):
        members = json.loads(line)
        assert members["request_id"] == "mine"
        assert (members["event"], members["status"], members["outcome"]) == ("answered", 200, "record")
        assert members["route"] == "/v1/orders/extract"
    else:
        assert " request_id=mine answered method=POST route=/v1/orders/extract status=200 outcome=record" in line


def test_metrics_count_what_came_of_texts(serve: Serve) -> None:
    with serve().client() as client:
        for text in (*ORDERS, ""):
            client.post("/v1/orders/extract", json={"text": text})
        client.post("/v1/tickets/extract", json={"text": "Where is it?"})
        text = client.get("/metrics").text
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["extractft_texts_total", "orders", "record"] == 3
    assert found["extractft_texts_total", "empty-text", "orders"] == 1
    assert found["extractft_texts_total", "record", "tickets"] == 1
    for name in ("queue_seconds", "batch_size"):
        assert found[f"extractft_{name}_count", "orders"] == 4
    for name in ("engine_seconds", "confidence"):
        assert found[f"extractft_{name}_count", "orders"] == 3
    assert found["extractft_tokens_total", "orders"] > 20
    assert found["extractft_queue_depth", "orders"] == 0
    assert found["extractft_http_requests_total", "/v1/orders/extract", "200"] == 3
    assert found["extractft_http_requests_total", "/v1/orders/extract", "422"] == 1


def test_two_services_in_a_process_count_apart(serve: Serve) -> None:
    first, second = serve(), serve()
    with first.client() as one, second.client() as other:
        one.post("/v1/orders/extract", json={"text": "Grace ordered."})
        assert 'outcome="record"} 1.0' in one.get("/metrics").text
        assert 'outcome="record"} 1.0' not in other.get("/metrics").text


def test_confidence_is_measured_unless_told_not_to(serve: Serve) -> None:
    extractors = {"tickets": scripted_extractor(Ticket, {"Where?": Ticket(question="Where?")})}
    with serve(extractors, measure_confidence=False).client() as client:
        assert "confidence" not in client.post("/v1/tickets/extract", json={"text": "Where?"}).json()
        assert 'extractft_confidence_count{extractor="tickets"} 0.0' in client.get("/metrics").text


def test_a_program_has_its_own_logging_back_behind_the_service() -> None:
    root, ours, stream = logging.getLogger(), logging.getLogger("extractft.serving"), io.StringIO()
    before = root.handlers[:], root.level, ours.level
    with contextlib.suppress(KeyboardInterrupt), log_to(stream):
        ours.info("inside")
        raise KeyboardInterrupt
    ours.warning("behind")
    assert (root.handlers[:], root.level, ours.level) == before
    assert "inside" in stream.getvalue()
    assert "behind" not in stream.getvalue()
