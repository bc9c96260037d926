"""The HTTP API of a review: as a program uses it, and as one uses it who means no good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from page_doubles import RECORDS, SCHEMA, TEXTS, PageServer, items

from extractft.review import NewItem, ReviewStore


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    with PageServer(tmp_path / "reviews.db") as running:
        assert running.store is not None
        running.store.add_items(items())
        yield running


@pytest.fixture
def client(server: PageServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as found:
        yield found


@pytest.fixture
def store(server: PageServer) -> ReviewStore:
    assert server.store is not None
    return server.store


def next_item(client: httpx.Client, reviewer: str = "Ann") -> Any:
    answer = client.post("/v1/review/next", json={"reviewer": reviewer})
    assert answer.status_code == 200, answer.text
    return answer.json()["item"]


def test_a_program_reviews_everything(client: httpx.Client, store: ReviewStore) -> None:
    done = []
    while item := next_item(client):
        record = {**item["record"], "customer": item["record"]["customer"].upper()}
        path = f"/v1/review/items/{item['number']}/correct"
        answer = client.post(path, json={"reviewer": "Ann", "version": item["version"], "record": record})
        assert answer.json() == {"version": 1, "decision": "accept" if record == item["record"] else "correct",
                                 "changes": int(record != item["record"])}  # fmt: skip
        done.append(item["id"])
    assert done == ["order-0", "order-1", "order-2", "order-3"]
    stats = client.get("/v1/review/stats").json()
    assert (stats["items"], stats["done"], stats["waiting"], stats["claimed"]) == (4, 4, 0, 0)
    assert stats["fields"]["customer"]["wrong"] == 3
    assert {row.final.record["customer"] for row in store.items() if row.final} >= {"GRACE", "EVE", "王小明"}


def test_an_item_has_all_that_a_page_shows(client: httpx.Client) -> None:
    item = next_item(client)
    assert item["record"] == item["proposed"] == SCHEMA.full_value(RECORDS[0])
    assert item["text"] == TEXTS[0]
    place = item["spans"]["address.city"][0]
    assert TEXTS[0][place["start"] : place["end"]] == "Leeds"
    assert item["confidence"]["fields"]["priority"] == 0.41
    form = client.get("/v1/orders/form").json()
    assert [field["name"] for field in form["tree"]["fields"]][:2] == ["customer", "email"]
    assert form["review"] is True


def test_numbers_come_back_digit_by_digit(client: httpx.Client, store: ReviewStore) -> None:
    assert '"number":123456789012345678901234567890' in client.get("/v1/review/items/4").text
    record = json.dumps({**SCHEMA.full_value(RECORDS[3]), "customer": "Eva"})
    body = f'{{"reviewer": "Ann", "version": 0, "record": {record}}}'
    answer = client.post("/v1/review/items/4/correct", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    final = store.item(4).final
    assert final is not None
    assert final.record["number"] == 123456789012345678901234567890


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"email": "nobody"}, "email"),
        ({"due": "24 Dec"}, "due"),
        ({"lines": [{"item": "x", "count": "many"}]}, "lines.0.count"),
        ({"lines": [{"count": 1}]}, "lines.0.item"),
        ({"priority": "urgent"}, "priority"),
        ({"unknown": 1}, "*"),
    ],
)
def test_what_the_schema_refuses_is_not_saved(
    client: httpx.Client, store: ReviewStore, change: dict[str, Any], path: str
) -> None:
    record = {**SCHEMA.full_value(RECORDS[0]), **change}
    checked = client.post("/v1/review/items/1/validate", json={"record": record}).json()
    answer = client.post("/v1/review/items/1/correct", json={"reviewer": "Ann", "version": 0, "record": record})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "invalid-record"
    assert problem["errors"] == checked["issues"]
    assert [issue["path"] for issue in checked["issues"]] == [path] or path == "*"
    assert store.last_decision() == 0
    if path != "*":
        one = client.post("/v1/review/items/1/validate", json={"record": record, "path": path}).json()
        assert one["issues"] == checked["issues"]
        other = client.post("/v1/review/items/1/validate", json={"record": record, "path": "customer"}).json()
        assert other["issues"] == []


def test_places_follow_what_is_typed(client: httpx.Client) -> None:
    record = {**SCHEMA.full_value(RECORDS[0]), "customer": "Leeds"}
    found = client.post("/v1/review/items/1/validate", json={"record": record}).json()
    assert found["issues"] == []
    places = found["spans"]["customer"]
    assert TEXTS[0][places[0]["start"] : places[0]["end"]] == "Leeds"


def test_the_second_reviewer_does_not_see_what_the_first_said(client: httpx.Client, store: ReviewStore) -> None:
    store.add_items([NewItem("Order of Ada", {"customer": "Ada"}, "twice", "orders", 0.01, reviewers=2)])
    item = next_item(client, "Ann")
    record = {"customer": "Bob"}
    path = f"/v1/review/items/{item['number']}"
    client.post(f"{path}/correct", json={"reviewer": "Ann", "version": 0, "record": record})
    again = next_item(client, "Bob")
    assert again["number"] == item["number"]
    assert again["record"]["customer"] == "Ada"
    assert again["history"] == []
    client.post(f"{path}/accept", json={"reviewer": "Bob", "version": again["version"]})
    own = client.get(path, params={"reviewer": "Ann"}).json()["item"]
    assert own["record"]["customer"] == "Bob"
    whole = client.get(path).json()["item"]
    assert [past["reviewer"] for past in whole["history"]] == ["Ann", "Bob"]
    stats = client.get("/v1/review/stats").json()
    assert (stats["compared"], stats["disputed"], stats["agreement"]) == (1, 1, 0.0)


def test_somebody_else_was_faster(client: httpx.Client) -> None:
    item = next_item(client, "Ann")
    path = f"/v1/review/items/{item['number']}/accept"
    answer = client.post(path, json={"reviewer": "Bob", "version": 0})
    assert (answer.status_code, answer.json()["code"]) == (409, "record-taken")
    assert client.post(path, json={"reviewer": "Ann", "version": 0}).status_code == 200
    assert client.post(path, json={"reviewer": "Ann", "version": 0}).status_code == 409


def test_many_at_once_get_different_records(server: PageServer, store: ReviewStore) -> None:
    store.add_items(NewItem(f"text {i}", {"customer": "x"}, f"many-{i}", "orders", 0.5) for i in range(40))

    def work(person: int) -> list[int]:
        done = []
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as own:
            while item := next_item(own, f"person {person}"):
                body = {"reviewer": f"person {person}", "version": item["version"]}
                assert own.post(f"/v1/review/items/{item['number']}/accept", json=body).status_code == 200
                done.append(item["number"])
        return done

    with ThreadPoolExecutor(6) as threads:
        each = [*threads.map(work, range(6))]
    assert sorted(number for done in each for number in done) == [*range(1, 45)]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/next", {"reviewer": ""}, 422),
        ("/next", {"reviewer": "a\u202eb"}, 422),
        ("/next", {"reviewer": 1}, 422),
        ("/next", {"reviewer": "Ann", "more": 1}, 422),
        ("/next", {}, 422),
        ("/items/99/accept", {"reviewer": "Ann", "version": 0}, 422),
        ("/items/1/accept", {"reviewer": "Ann"}, 422),
        ("/items/1/accept", {"reviewer": "Ann", "version": -1}, 422),
        ("/items/1/correct", {"reviewer": "Ann", "version": 0}, 422),
        ("/items/1/correct", {"reviewer": "Ann", "version": 0, "record": None}, 422),
        ("/items/1/correct", {"reviewer": "Ann", "version": 0, "record": "\ud800"}, 422),
        ("/items/x/accept", {"reviewer": "Ann", "version": 0}, 422),
        ("/items/99999999999999999999999/accept", {"reviewer": "Ann", "version": 0}, 422),
    ],
)
def test_bad_requests(client: httpx.Client, store: ReviewStore, path: str, body: Any, status: int) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    answer = client.post(f"/v1/review{path}", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert store.last_decision() == 0


def test_of_two_values_of_one_field_none_is_saved(client: httpx.Client, store: ReviewStore) -> None:
    body = '{"reviewer": "Ann", "version": 0, "record": {"customer": "Ada", "total": 1, "customer": "Bob"}}'
    answer = client.post("/v1/review/items/1/correct", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert store.last_decision() == 0


def test_other_media_types_are_refused(client: httpx.Client) -> None:
    """A form on another site can send text/plain without asking first."""
    answer = client.post("/v1/review/next", content=b'{"reviewer": "Ann"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


def test_records_of_extractors_that_are_not_served_stay(client: httpx.Client, store: ReviewStore) -> None:
    store.add_items([NewItem("text", {}, "x", "receipts", 0.0)])
    assert next_item(client)["extractor"] == "orders"
    assert client.get("/v1/review/items/5").status_code == 404
    assert client.get("/v1/review/stats").json()["extractors"]["receipts"]["waiting"] == 1


def test_nothing_proposed_or_no_record_at_all(client: httpx.Client, store: ReviewStore) -> None:
    store.add_items(
        [
            NewItem("Order of Ada", None, "none", "orders"),
            NewItem("Order of Bob", {"nonsense": [1]}, "odd", "orders", 0.01),
        ]
    )
    for name in ("none", "odd"):
        item = next_item(client)
        assert item["id"] == name
        path = f"/v1/review/items/{item['number']}"
        body = {"reviewer": "Ann", "version": 0}
        assert client.post(f"{path}/accept", json=body).status_code == 422
        answer = client.post(f"{path}/correct", json={**body, "record": {"customer": "Ada"}})
        assert answer.status_code == 200, answer.text
        assert answer.json()["decision"] == "correct"


def test_right_as_proposed_though_fields_without_a_value_were_left_out(
    client: httpx.Client, store: ReviewStore
) -> None:
    """Rows of other programs leave out what is null."""
    store.add_items([NewItem("Order of Ada", {"customer": "Ada"}, "short", "orders", 0.0)])
    item = next_item(client)
    assert item["id"] == "short"
    path = f"/v1/review/items/{item['number']}"
    answer = client.post(f"{path}/accept", json={"reviewer": "Ann", "version": 0})
    assert answer.json() == {"version": 1, "decision": "accept", "changes": 0}
    assert client.get("/v1/review/stats").json()["accepted"] == 1


def test_a_review_that_cannot_be_used_now(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """503, so that clients come again, and a line in the log."""
    with (
        PageServer(tmp_path / "r.db") as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):
        assert server.store is not None
        server.store.add_items([NewItem("a secret text", {"customer": "Ada"}, "x", "orders", 0.0)])
        kept = tmp_path / "kept.db"
        server.store.path.rename(kept)
        requests = (
            ("POST", "/next", {"reviewer": "Ann"}),
            ("POST", "/items/1/accept", {"reviewer": "Ann", "version": 0}),
            ("GET", "/stats", None),
        )
        for method, path, body in requests:
            answer = client.request(method, f"/v1/review{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "review-unavailable")
            assert answer.headers["Retry-After"] == "5"
        assert "review unavailable" in caplog.text
        assert "secret" not in caplog.text
        kept.rename(server.store.path)
        assert client.post("/v1/review/next", json={"reviewer": "Ann"}).json()["item"]["id"] == "x"


def test_keys_guard_the_data_and_not_the_pages(tmp_path: Path) -> None:
    with (
        PageServer(tmp_path / "r.db", api_keys=("a-key-of-the-test-0123456789",)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        for path in ("/", "/review", "/pages/style.css", "/favicon.ico"):
            assert client.get(path, follow_redirects=True).status_code == 200
        for path in ("/v1/review/stats", "/v1/orders/form", "/v1/review/items/1"):
            assert client.get(path).status_code == 401
            good = client.get(path, headers={"Authorization": "Bearer a-key-of-the-test-0123456789"})
            assert good.status_code != 401
        assert client.post("/v1/review/next", json={"reviewer": "Ann"}).status_code == 401


def test_headers_of_pages(client: httpx.Client) -> None:
    for path in ("/", "/review", "/pages/record_form.js", "/pages/style.css"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
        assert "style=" not in answer.text
        assert "http://" not in answer.text
        assert "https://" not in answer.text
    assert client.get("/pages/extract.html").status_code == 404
    assert client.get("/pages/../review_api.py").status_code == 404


def test_without_a_review_there_is_none() -> None:
    with PageServer(None) as server, httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        assert client.get("/").status_code == 200
        assert client.get("/review").status_code == 404
        assert client.get("/v1/review/stats").status_code == 404
        assert client.get("/v1/orders/form").json()["review"] is False


def test_the_api_is_in_the_document(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert "/v1/review/items/{number}/correct" in paths
    body = paths["/v1/review/next"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"reviewer", "extractor"}
    assert "/" not in paths


def test_doubtful_answers_go_into_the_review_once(tmp_path: Path) -> None:
    with (
        PageServer(tmp_path / "r.db", below=0.9999) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        assert server.store is not None
        for _ in range(2):
            answer = client.post("/v1/orders/extract", json={"text": TEXTS[0]})
            assert answer.status_code == 200
        batch = json.dumps({"text": TEXTS[3]})
        client.post("/v1/orders/extract-batch", content=batch, headers={"Content-Type": "application/x-ndjson"})
        added = [found.item for found in server.store.items()]
        assert [item.text for item in added] == [TEXTS[0], TEXTS[3]]
        assert added[0].proposed == SCHEMA.full_value(RECORDS[0])
        assert (added[0].extractor, added[0].reason, added[0].source) == ("orders", "low confidence", "served")
        assert added[0].confidence is not None
        assert added[0].fields["customer"] <= 1
        assert next_item(client)["text"] == TEXTS[0]


def test_an_answer_is_given_though_the_review_is_gone(tmp_path: Path) -> None:
    with (
        PageServer(tmp_path / "r.db", below=1.0) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        assert server.store is not None
        server.store.close()
        assert client.post("/v1/orders/extract", json={"text": TEXTS[0]}).status_code == 200
