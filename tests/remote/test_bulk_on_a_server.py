"""A bulk run whose server is killed and started again: the same ids and records, none lost and none doubled."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from client_probe import probe_of
from fake_vllm import QUICK
from loopback import Loopback
from loopback_vllm import fake_for
from pydantic import BaseModel, Field

from extractft import Extractor, bulk
from extractft.bulk.extractor_source import ExtractorSource
from extractft.errors import EngineError
from extractft.remote import Retries, connect

ROWS = 24


class Code(BaseModel):
    """A record that a random model ends soon."""

    item: str = Field(max_length=6)
    urgent: bool


@pytest.fixture(scope="module")
def local(tiny_base: Path) -> Extractor[Code]:
    """An untrained extractor on the engine here."""
    return Extractor.from_base(Code, base_model=str(tiny_base))


@pytest.fixture
def place(local: Extractor[Code]) -> Iterator[Loopback]:
    """A server on loopback with the model of this process."""
    place = Loopback(fake_for(local))
    place.start()
    yield place
    place.kill()


@pytest.fixture
def saved(local: Extractor[Code], tmp_path: Path) -> Path:
    local.save_pretrained(tmp_path / "extractor")
    return tmp_path / "extractor"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"id": f"r{n}", "text": f"order {n}"}) + "\n" for n in range(ROWS)))
    return path


def lines_of(folder: Path, kind: str = "shards") -> list[dict[str, Any]]:
    parts = sorted((folder / kind).glob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


SETTINGS: dict[str, Any] = {"id_column": "id", "format": "jsonl", "shard_rows": 8, "batch_size": 2}


def test_a_server_that_is_killed_ends_the_run_and_the_same_call_goes_on(
    local: Extractor[Code], place: Loopback, saved: Path, texts: Path, tmp_path: Path
) -> None:
    engine = connect(place.url, probe_of(local), retries=QUICK)
    bulk.run(saved, texts, tmp_path / "whole", engine=engine, **SETTINGS)
    killed = False

    def kill(progress: bulk.RunProgress) -> None:
        nonlocal killed
        if progress.done == 11 and not killed:
            killed = True
            place.kill()

    with pytest.raises(EngineError, match="does not answer"):
        bulk.run(saved, texts, tmp_path / "out", engine=engine, progress=kill, **SETTINGS)
    assert len(lines_of(tmp_path / "out")) == 8
    assert lines_of(tmp_path / "out", "failed") == []
    place.start()
    summary = bulk.run(saved, texts, tmp_path / "out", engine=engine, progress=kill, **SETTINGS)
    assert killed
    assert summary.rows == ROWS
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "whole")
    assert [line["id"] for line in lines_of(tmp_path / "out")] == [f"r{n}" for n in range(ROWS)]


def test_a_server_that_is_back_soon_does_not_stop_the_run(
    local: Extractor[Code], place: Loopback, saved: Path, texts: Path, tmp_path: Path
) -> None:
    engine = connect(place.url, probe_of(local), retries=Retries(attempts=40, first_delay=0.05, max_delay=0.2))
    bulk.run(saved, texts, tmp_path / "whole", engine=engine, **SETTINGS)
    killed = False

    def kill(progress: bulk.RunProgress) -> None:
        nonlocal killed
        if progress.done == 11 and not killed:
            killed = True
            place.kill()
            threading.Timer(0.3, place.start).start()

    bulk.run(saved, texts, tmp_path / "out", engine=engine, progress=kill, **SETTINGS)
    assert killed
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "whole")
    assert lines_of(tmp_path / "out", "failed") == []


def test_a_password_in_the_address_is_no_part_of_a_run(saved: Path) -> None:
    named = {
        ExtractorSource.of(saved, engine=f"http://{login}127.0.0.1:1/v1").engine
        for login in ("", "me:secret@", "me:changed@")
    }
    assert named == {"http://127.0.0.1:1"}
