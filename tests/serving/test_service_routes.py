"""Records over HTTP: what a client sends, what it gets, and the document that describes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from jsonschema import Draft202012Validator
from running_server import ORDERS, Order, RunningServer

from extractft.errors import ConfigError
from extractft.serving import ServerConfig, answer_of, create_app
from extractft.testing import scripted_extractor

Serve = Callable[..., RunningServer]
ADA = "Ada ordered for 12.50, due 2026-01-02."


def test_a_text_gives_its_record(serve: Serve) -> None:
    with serve().client() as client:
        answer = client.post("/v1/orders/extract", json={"text": ADA})
        assert answer.status_code == 200
        assert answer.json() == {"record": {"customer": "Ada", "total": 12.5, "due": "2026-01-02"}}
        absent = client.post("/v1/orders/extract", json={"text": "Grace ordered."})
        assert absent.json() == {"record": {"customer": "Grace", "total": None, "due": None}}


def test_places_and_confidences_come_when_they_are_asked_for(serve: Serve) -> None:
    text = "小明 ordered 👩‍💻."
    with serve().client() as client:
        answer = client.post("/v1/orders/extract", json={"text": text, "spans": True, "confidence": True}).json()
    assert answer["spans"]["customer"] == [{"start": 0, "end": 2, "method": "exact"}]
    assert set(answer["confidence"]) == {"record", "fields", "calibrated"}
    assert set(answer["confidence"]["fields"]) == {"customer", "total", "due"}
    assert 0 < answer["confidence"]["record"] < 1


def test_each_extractor_has_its_own_route(serve: Serve) -> None:
    with serve().client() as client:
        assert client.post("/v1/tickets/extract", json={"text": "Where is it?"}).json() == {
            "record": {"question": "Where is it?"}
        }
        names = [model["name"] for model in client.get("/v1/models").json()["models"]]
        assert names == ["orders", "tickets"]


def test_the_document_has_the_users_own_schema(serve: Serve) -> None:
    with serve().client() as client:
        document = client.get("/openapi.json").json()
        answer = client.post("/v1/orders/extract", json={"text": ADA, "spans": True, "confidence": True}).json()
    reference = document["paths"]["/v1/orders/extract"]["post"]["responses"]["200"]["content"]["application/json"]
    validator = Draft202012Validator({**document, **reference["schema"]})
    validator.validate(answer)
    assert not validator.is_valid({"record": {"customer": "Ada"}})
    assert not validator.is_valid({"record": {**answer["record"], "total": "a lot"}})
    assert document["components"]["schemas"]["orders.Record"]["properties"]["due"]["anyOf"][0]["format"] == "date"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "text"),
        ({"text": 1}, "text"),
        ({"text": ADA, "spans": "yes"}, "spans"),
        ({"text": ADA, "colour": "red"}, "colour"),
        ([], ""),
        ({"text": ""}, "text"),
    ],
)
def test_a_wrong_body_is_told_where(serve: Serve, body: Any, path: str) -> None:
    with serve().client() as client:
        answer = client.post("/v1/orders/extract", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert problem["type"].endswith("#" + problem["code"])
    assert [error["path"] for error in problem["errors"]] == [path]
    assert ADA not in answer.text


@pytest.mark.parametrize(
    "body", ['{"text": "Grace ordered.", "text": "TEXT"}', '{"text": "TEXT", "spans": false, "spans": true}']
)
def test_of_two_values_of_one_key_none_is_taken(serve: Serve, body: str) -> None:
    """Which of them is meant, nobody can know: readers of JSON differ."""
    body = body.replace("TEXT", ADA)
    kinds = ("application/json", "application/x-ndjson")
    with serve().client() as client:
        one = client.post("/v1/orders/extract", content=body, headers={"Content-Type": kinds[0]})
        assert (one.status_code, one.json()["code"]) == (422, "invalid-request")
        lines = "\n".join([body[:-1] + ', "id": 7}', '{"text": "Grace ordered."}'])
        batch = client.post(
            "/v1/orders/extract-batch?order=input", content=lines, headers={"Content-Type": kinds[1]}
        ).text
    first, second = batch.splitlines()
    assert '"id":7' in first
    assert "found one twice" in first
    assert '"record"' in second
    assert "Ada" not in one.text + batch


def test_other_rooms_add_routes_that_ask_the_same_service(serve: Serve) -> None:
    router = APIRouter()

    @router.get("/v1/first")
    async def first(request: Request) -> Any:
        service = request.app.state.service
        extraction = await service.inspect("orders", ADA, explain=("spans",))
        return answer_of(extraction, service["orders"].schema, ("spans",))

    with serve(routers=[router]).client() as client:
        answer = client.get("/v1/first").json()
    assert answer["record"]["due"] == date(2026, 1, 2).isoformat()
    assert answer["spans"]["customer"][0]["start"] == 0


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b ", "{x}", "a\nb"])
def test_names_have_to_fit_into_an_address(name: str) -> None:
    with pytest.raises(ConfigError):
        create_app({name: scripted_extractor(Order, ORDERS)}, ServerConfig())
    with pytest.raises(ConfigError):
        create_app({}, ServerConfig())


def test_names_in_other_scripts_work(serve: Serve) -> None:
    server = serve({"投诉 2": scripted_extractor(Order, ORDERS)})
    with server.client() as client:
        assert client.post("/v1/投诉 2/extract", json={"text": ADA}).status_code == 200
        document = client.get("/openapi.json").json()
    assert all(httpx.URL(name).path for name in document["paths"])
    assert "_2_0.Answer" in "".join(document["components"]["schemas"])
