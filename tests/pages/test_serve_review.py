"""`extractft serve --review`: a real server fills its review, and a kill loses no correction that was answered."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from extractft import Extractor
from extractft.cli import app
from extractft.review import NewItem, ReviewStore


class Parcel(BaseModel):
    """A parcel, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "parcels"
    Extractor.from_base(Parcel, base_model=str(tiny_base)).save_pretrained(path)
    return path


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], httpx.Client]:
    """A server, and a client when it is ready; its log goes to a file."""
    log = folder / "log"
    command = [sys.executable, "-m", "extractft", "serve", *arguments, "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while not (found := re.search(r"listening address=(\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    client = httpx.Client(base_url=found[1], timeout=60, trust_env=False)
    while client.get("/health/ready").status_code != 200:
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    return process, client


def test_a_kill_loses_no_correction(saved: Path, tmp_path: Path) -> None:
    database = tmp_path / "reviews.db"
    with ReviewStore(database) as store:
        store.add_items(NewItem(f"text {i}", {"item": "x"}, f"row-{i}", "parcels", 0.5) for i in range(200))
    process, client = start(tmp_path, str(saved), "--review", str(database), "--review-below", "1")
    assert client.post("/v1/parcels/extract", json={"text": "a served text"}).status_code == 200
    assert client.get("/review").status_code == 200
    saved_numbers = []
    for _ in range(25):
        item = client.post("/v1/review/next", json={"reviewer": "Ann"}).json()["item"]
        body: Any = {"reviewer": "Ann", "version": item["version"], "record": {"item": "y"}}
        assert client.post(f"/v1/review/items/{item['number']}/correct", json=body).status_code == 200
        saved_numbers.append(item["number"])
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with ReviewStore(database, create=False) as store:
        decided = {found.number: found.final for found in store.items(decided=True)}
        assert [*decided] == sorted(saved_numbers)
        assert all(final is not None and final.record == {"item": "y"} for final in decided.values())
        assert [found.item.text for found in store.items()][-1] == "a served text"
    client.close()


def test_after_a_signal_the_whole_review_is_in_its_file(saved: Path, tmp_path: Path) -> None:
    database = tmp_path / "reviews.db"
    process, client = start(tmp_path, str(saved), "--review", str(database), "--review-below", "1")
    assert client.post("/v1/parcels/extract", json={"text": "a served text"}).status_code == 200
    client.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert [path.name for path in tmp_path.glob("reviews.db*")] == ["reviews.db"]
    with ReviewStore(database, create=False) as store:
        assert [found.item.text for found in store.items()] == ["a served text"]


def test_wrong_usage_of_the_review(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    for options, said in (
        (["--review-below", "0.5"], "give that as well"),
        (["--review", "r.db", "--review-below", "2"], "from 0 to 1"),
        (["--review", str(tmp_path / "rows.jsonl")], "something else"),
        (["--review", str(tmp_path / "no" / "r.db")], "directory"),
    ):
        found = CliRunner().invoke(app, ["serve", str(saved), *options])
        assert found.exit_code == 2, found.output
        assert said in found.output
