"""Keys, names of the host, pages in browsers: who may ask, and who is told what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import APIRouter
from pydantic import SecretStr
from running_server import RunningServer

from extractft.errors import ConfigError
from extractft.serving import ServerConfig, is_loopback, keys_from

Serve = Callable[..., RunningServer]
KEYS = ("first-key", "second-key")
TEXT = {"text": "Grace ordered."}


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Bearer first-keyx",
        "Bearer first-ke",
        "Basic first-key",
        "first-key",
        "Bearer first-key second-key",
        "Bearer \xff\xfe",
    ],
)
def test_without_a_right_key_nothing_is_told(serve: Serve, header: str | None) -> None:
    with serve(api_keys=KEYS).client() as client:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        for method, path in (
            ("POST", "/v1/orders/extract"),
            ("POST", "/v1/orders/extract-batch"),
            ("POST", "/v1/nobody/extract"),
            ("GET", "/v1/models"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
        ):
            answer = client.request(method, path, headers=headers, json=TEXT if method == "POST" else None)
            assert answer.status_code == 401
            assert answer.json()["code"] == "key-required"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "orders" not in answer.text.replace("/v1/orders", "")
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_each_key_opens(serve: Serve) -> None:
    with serve(api_keys=KEYS).client() as client:
        for header in (*(f"Bearer {key}" for key in KEYS), "bearer first-key", "Bearer  first-key"):
            answer = client.post("/v1/orders/extract", json=TEXT, headers={"Authorization": header})
            assert answer.status_code == 200


def test_pages_are_public_and_their_data_is_not(serve: Serve) -> None:
    router = APIRouter()

    @router.get("/")
    async def page() -> str:
        return "a page"

    @router.get("/v1/review/next")
    async def data() -> str:
        return "data"

    with serve(api_keys=KEYS, routers=[router]).client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/v1/review/next").status_code == 401


def test_keys_stand_in_no_text() -> None:
    settings = ServerConfig(api_keys=(SecretStr("very-secret"),))
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in settings.model_dump_json()
    with pytest.raises(ConfigError) as raised:
        keys_from({"EXTRACTFT_API_KEY": "very secret"})
    assert "very secret" not in str(raised.value)


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\ufeff# ours\nfirst-key\n\n  second-key # of the other team\n", encoding="utf-8")
    shown = [key.get_secret_value() for key in keys_from({"EXTRACTFT_API_KEY": "other"}, file)]
    assert shown == list(KEYS)
    assert [key.get_secret_value() for key in keys_from({"EXTRACTFT_API_KEY": "a, b"})] == ["a", "b"]
    assert keys_from({}) == ()
    for wrong in ("", "# none", "schlüssel", "two words"):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError):
            keys_from({}, file)
    with pytest.raises(ConfigError):  # a variable that is set and empty is a mistake, and no open door
        keys_from({"EXTRACTFT_API_KEY": ""})


def test_another_name_of_the_host_is_not_known(serve: Serve) -> None:
    server = serve()
    with server.client() as client:
        for host in (
            "localhost:8000.example.com",
            "localhost:port",
            "someone@localhost",
            "localhost/example.com",
            "rebound.example.com",
            "rebound.example.com:8000",
            "",
            "127.0.0.1.example.com",
            "[::1",
            "127.0.0.2",
        ):
            answer = client.post("/v1/orders/extract", json=TEXT, headers={"Host": host})
            assert answer.status_code in (400, 421), host
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8000"):
            assert client.post("/v1/orders/extract", json=TEXT, headers={"Host": host}).status_code == 200, host


@pytest.mark.parametrize("settings", [{"api_keys": KEYS}, {"allowed_hosts": ("service.example.com",)}])
def test_a_host_may_have_its_name(serve: Serve, settings: dict[str, tuple[str, ...]]) -> None:
    headers = {"Host": "service.example.com", "Authorization": "Bearer first-key"}
    with serve(**settings).client() as client:
        assert client.post("/v1/orders/extract", json=TEXT, headers=headers).status_code == 200


def test_pages_of_other_origins_may_not_ask(serve: Serve) -> None:
    server = serve()
    with server.client() as client:
        for origin in ("https://example.com", "null", "http://127.0.0.1", "http://localhost:1"):
            answer = client.post("/v1/orders/extract", json=TEXT, headers={"Origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin-not-allowed"), origin
            assert "access-control-allow-origin" not in answer.headers
        own = client.post("/v1/orders/extract", json=TEXT, headers={"Origin": server.url})
        assert own.status_code == 200
        preflight = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
        assert "access-control-allow-origin" not in client.options("/v1/orders/extract", headers=preflight).headers


def test_unless_they_are_told(serve: Serve) -> None:
    with serve(cors_origins=("https://intranet.example.com",), api_keys=KEYS).client() as client:
        origin = {"Origin": "https://intranet.example.com"}
        preflight = {
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        answer = client.options("/v1/orders/extract", headers=preflight)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin["Origin"]
        asked = client.post("/v1/orders/extract", json=TEXT, headers={**origin, "Authorization": "Bearer first-key"})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == origin["Origin"]
        refused = client.post("/v1/orders/extract", json=TEXT, headers=origin)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == origin["Origin"]


def test_loopback_is_known_by_its_address() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.com", "")))
    assert ServerConfig().host_names == ("127.0.0.1", "localhost", "::1")
    assert ServerConfig(host="0.0.0.0").host_names is None
