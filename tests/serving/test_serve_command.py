"""`extractft serve`: real extractors on the command line, and what is mistyped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field
from running_server import until
from test_server_process import ServerProcess
from typer.testing import CliRunner

from extractft import Extractor
from extractft.cli import app


class Parcel(BaseModel):
    """A parcel, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"


class Letter(BaseModel):
    """A letter."""

    sender: str = Field(max_length=6)


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    for name, schema in (("parcels", Parcel), ("letters", Letter)):
        Extractor.from_base(schema, base_model=str(tiny_base)).save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def server(saved: Path) -> Iterator[ServerProcess]:
    command = ("-m", "extractft", "serve", str(saved / "parcels"), f"post={saved / 'letters'}", "--port", "0")
    started = ServerProcess(*command, OMP_NUM_THREADS="1")
    started.wait_until_ready()
    yield started
    assert started.end() == 0
    assert "drained" in started.log


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["serve", *arguments])


def test_records_are_those_of_the_extractors(server: ServerProcess, saved: Path) -> None:
    texts = ["tea for b", "rice now", "one 茶", "salt b"]
    for name, folder, field in (("parcels", "parcels", "item"), ("post", "letters", "sender")):
        here = Extractor.from_pretrained(saved / folder)
        for text in texts:
            answer = server.extract(text, name)
            assert answer.status_code == 200
            assert answer.json()["record"][field] == getattr(here.extract(text), field)


def test_clients_at_once_get_what_they_get_one_by_one(server: ServerProcess, saved: Path) -> None:
    here = Extractor.from_pretrained(saved / "parcels")
    texts = [f"text {number} 茶" for number in range(24)]
    expected = [record.model_dump() for record in map(here.extract, texts)]
    body = "\n".join(f'{{"text": "{text}"}}' for text in texts).encode()
    answer = httpx.post(
        f"{server.url}/v1/parcels/extract-batch?order=input",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=60,
        trust_env=False,
    )
    assert [httpx.Response(200, content=line).json()["record"] for line in answer.content.splitlines()] == expected


def test_the_log_has_no_text(server: ServerProcess) -> None:
    server.extract("Zaphod Beeblebrox", "parcels", headers={"X-Request-ID": "a-request"})
    until(lambda: "request_id=a-request answered method=POST route=/v1/parcels/extract status=200" in server.log)
    assert "Zaphod" not in server.log


def test_a_hang_up_ends_the_decoding_of_a_real_model(server: ServerProcess) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/v1/parcels/extract",
            json={"text": "a long one " * 150},
            timeout=httpx.Timeout(20, read=0.05),
            trust_env=False,
        )
    assert server.extract("salt b", "parcels").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "nowhere"),
        (("parcels", "copy/parcels"), "other-name="),
        (("parcels", "--host", "0.0.0.0"), "--without-keys"),
        (("parcels", "--set", "max_queue=0"), "max_queue"),
        (("parcels", "--set", "max_quue=3"), "max_queue"),
        (("parcels", "--set", "port=3"), "--port"),
        (("parcels", "--set", "max_queue"), "NAME=VALUE"),
        (("parcels", "--keys", "missing"), "no such file"),
        (("parcels", "--keys", "empty"), "found none"),
        (("parcels", "--keys", "bytes"), "keys as text"),
        (("..=parcels",), "stand in an address"),
        (("a/b=parcels", "letters"), "stand in an address"),
        (("=parcels",), "stand in an address"),
        (("parcels", "letters", "--schema", "schema.py:Parcel"), "--schema"),
        (("parcels", "--engine", "vlm"), "vllm"),
        ((), "EXTRACTOR"),
    ],
)
def test_what_is_mistyped_is_told_before_anything_is_loaded(
    saved: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(saved)
    monkeypatch.delenv("EXTRACTFT_API_KEY", raising=False)
    (saved / "empty").touch()
    (saved / "bytes").write_bytes(b"\xf0\x01")
    (saved / "copy").mkdir(exist_ok=True)
    if not (saved / "copy" / "parcels").exists():
        os.symlink(saved / "letters", saved / "copy" / "parcels")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert told in result.output


def test_names_of_links_are_the_links_own(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from extractft.cli.serve_command import _named_directories

    monkeypatch.chdir(saved)
    assert list(_named_directories(["parcels", "x=letters", "./"])) == ["parcels", "x", saved.name]


def test_keys_are_asked_for(saved: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("file-key\n", encoding="utf-8")
    command = ("-m", "extractft", "serve", str(saved / "parcels"), "--port", "0", "--keys", str(keys))
    server = ServerProcess(*command, OMP_NUM_THREADS="1", EXTRACTFT_API_KEY="other-key")
    try:
        server.wait_until_ready()
        assert server.extract("tea", "parcels").status_code == 401
        for key, status in (("file-key", 200), ("other-key", 401)):
            answer = server.extract("tea", "parcels", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status
        assert "file-key" not in server.log
    finally:
        assert server.end(signal.SIGINT) == 0


def test_models_elsewhere_have_no_weights_to_share(saved: Path) -> None:
    found = run(str(saved / "parcels"), "--share-base-model", "--engine", "http://127.0.0.1:1")
    assert found.exit_code == 2
    assert "--share-base-model" in found.output
