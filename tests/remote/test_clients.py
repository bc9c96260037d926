"""Extractors on a server: opened from manifest and tokenizer alone, without torch, with the same records."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fake_vllm import TEXTS, FakeVLLM
from loopback_vllm import fake_for, served
from pydantic import BaseModel, Field

from extractft import Extractor, TrainingConfig, Verbatim
from extractft.artifact import load_manifest
from extractft.artifact.manifest import content_digest
from extractft.completion import EngineCapabilities
from extractft.errors import ArtifactError, ArtifactNotFoundError, ConfigError, EngineError

HEAVY = ("torch", "transformers", "peft", "accelerate", "datasets", "sklearn", "pandas")
MOST_MEMORY = 256
"""MiB; 85 here with the tiny tokenizer. torch alone takes more."""
CLIENT = f"""
import json, pathlib, sys, time
began = time.perf_counter()
import extractft
from extractft import Extractor
imported = time.perf_counter() - began
extractor = Extractor.from_pretrained(sys.argv[1], engine=sys.argv[2])
records = [extractor.inspect(text) for text in json.loads(sys.argv[3])]
status = pathlib.Path("/proc/self/status")
peaks = [line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line] if status.exists() else [0]
print(json.dumps({{
    "heavy": [name for name in {HEAVY!r} if name in sys.modules],
    "memory": int(peaks[0]) // 1024,
    "import": imported,
    "records": [record.raw_output for record in records],
    "confidence": [record.confidence.record for record in records],
    "engine": extractor.engine.capabilities.kind,
}}))
"""


class Order(BaseModel):
    """An order, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"
    note: Annotated[str | None, Verbatim()] = None


@pytest.fixture(scope="module")
def local(tiny_base: Path) -> Extractor[Order]:
    """An untrained extractor on the engine here."""
    return Extractor.from_base(Order, base_model=str(tiny_base))


@pytest.fixture(scope="module")
def saved(local: Extractor[Order], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("saved") / "order"
    local.save_pretrained(directory)
    return directory


@pytest.fixture
def bare(saved: Path, tmp_path: Path) -> Path:
    """A directory with manifest and tokenizer alone."""
    directory = tmp_path / "bare"
    directory.mkdir()
    for name in ("manifest.json", "tokenizer.json"):
        shutil.copy(saved / name, directory / name)
    return directory


@pytest.fixture
def fake(local: Extractor[Order]) -> FakeVLLM:
    return fake_for(local)


@pytest.fixture
def address(fake: FakeVLLM) -> Iterator[str]:
    with served(fake) as address:
        yield address


def test_a_client_process_loads_no_torch(local: Extractor[Order], bare: Path, address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(bare), address, json.dumps(TEXTS)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["heavy"] == []
    assert found["memory"] < MOST_MEMORY
    assert found["engine"] == "vllm"
    here = [local.inspect(text) for text in TEXTS]
    assert found["records"] == [record.raw_output for record in here]
    expected = [record.confidence.record for record in here if record.confidence]
    assert found["confidence"] == pytest.approx(expected, abs=1e-3)
    print(f"client: import {found['import']:.2f} s, {found['memory']} MiB")


def test_same_records_and_read_only_attributes(local: Extractor[Order], bare: Path, address: str) -> None:
    client = Extractor.from_pretrained(bare, schema=Order, engine=address)
    outcomes = list(client.extract_many(TEXTS, batch_size=2))
    assert outcomes == [local.extract(text) for text in TEXTS]
    assert all(isinstance(outcome, Order) for outcome in outcomes)
    assert client.system_prompt == local.system_prompt
    assert client.base_model == local.base_model
    assert client.render("tea") == local.render("tea")
    capabilities: EngineCapabilities = client.engine.capabilities  # type: ignore[attr-defined]
    assert (capabilities.kind, capabilities.max_window) == ("vllm", 4096)
    with pytest.raises(AttributeError):
        client.metrics = {}  # type: ignore[misc]


def test_a_server_of_a_shorter_window_shortens_the_window(saved: Path, fake: FakeVLLM) -> None:
    fake.window = 1000
    with served(fake) as address:
        client = Extractor.from_pretrained(saved, engine=f"vllm+{address}")
    assert client._pipeline.max_window == 1000


def test_another_tokenizer_is_refused(bare: Path, fake: FakeVLLM) -> None:
    fake.tokenize = lambda text: [7] * len(text)
    with served(fake) as address, pytest.raises(EngineError, match="tokenizer"):
        Extractor.from_pretrained(bare, engine=address)


def test_a_client_is_saved_with_the_files_it_came_from(saved: Path, bare: Path, address: str, tmp_path: Path) -> None:
    client = Extractor.from_pretrained(saved, engine=address)
    client.save_pretrained(tmp_path / "copy")
    assert load_manifest(tmp_path / "copy").model_shape == load_manifest(saved).model_shape
    assert load_manifest(tmp_path / "copy").base_model == load_manifest(saved).base_model
    client.save_pretrained(saved)  # in its own place
    load_manifest(saved)
    with pytest.raises(ArtifactNotFoundError, match=r"tokenizer_config\.json|chat_template"):
        Extractor.from_pretrained(bare, engine=address).save_pretrained(tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_an_engine_of_the_callers_own(local: Extractor[Order], bare: Path) -> None:
    client = Extractor.from_pretrained(bare, schema=Order, engine=local.engine)
    assert [client.extract(text) for text in TEXTS] == [local.extract(text) for text in TEXTS]


@pytest.mark.parametrize(
    ("engine", "found"), [("vllmm", "'vllmm'"), ("", "''"), (7, "an object of type int"), (object(), "type object")]
)
def test_engines_that_are_none(saved: Path, engine: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as caught:
        Extractor.from_pretrained(saved, engine=engine)
    assert "http://localhost:8000" in str(caught.value.__notes__)


def test_an_address_that_is_none(saved: Path) -> None:
    with pytest.raises(EngineError, match="address of a server"):
        Extractor.from_pretrained(saved, engine="ftp://localhost")


def test_settings_of_a_model_here_do_not_go_with_a_server(saved: Path) -> None:
    with pytest.raises(ConfigError, match="no base_model and no dtype"):
        Extractor.from_pretrained(saved, engine="http://127.0.0.1:1", base_model="x", dtype="int8")


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_extractor_is_loaded_here_and_refused_as_a_client(
    local: Extractor[Order], saved: Path, tmp_path: Path, address: str, version: int
) -> None:
    old = tmp_path / "old"
    shutil.copytree(saved, old)
    content = json.loads((old / "manifest.json").read_text(encoding="utf-8"))
    content |= {"format_version": version, "model_shape": None}
    if version == 1:
        content |= {"files": {}, "chat_frame": None, "manifest_sha256": None}
    else:
        content["manifest_sha256"] = content_digest(content)
    (old / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(EngineError, match="nothing there that takes the connection"):
        Extractor.from_pretrained(old, engine="http://127.0.0.1:1")  # mended faster, so said first
    with pytest.raises(ArtifactError, match=f"format {version}") as caught:
        Extractor.from_pretrained(old, engine=address)
    assert "save it again" in str(caught.value.__notes__)
    here = Extractor.from_pretrained(old, schema=Order)
    assert here.extract(TEXTS[0]) == local.extract(TEXTS[0])
    here.save_pretrained(tmp_path / "new")
    client = Extractor.from_pretrained(tmp_path / "new", schema=Order, engine=address)
    assert client.extract(TEXTS[0]) == local.extract(TEXTS[0])


def test_calibration_comes_from_the_manifest_and_is_read_by_clients(tiny_base: Path, tmp_path: Path) -> None:
    rows = [(f"{item} {kind}", {"item": item, "kind": kind}) for item in ("tea", "rice", "salt") for kind in "ab"]
    config = TrainingConfig(num_train_epochs=1, eval_fraction=0.5, device="cpu")
    fitted = Extractor.fit(Order, rows, base_model=tiny_base, config=config, output_dir=tmp_path)
    with served(fake_for(fitted)) as address:
        client = Extractor.from_pretrained(tmp_path / "extractor", engine=address)
    assert client._explainer.calibration == fitted._explainer.calibration
    assert client.metrics == fitted.metrics
    assert client.training_result is None
