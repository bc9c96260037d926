"""`engine="vllm"`: exported into the cache once, served, and the same records as here."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from extractft import Extractor, TrainingConfig
from extractft.artifact.manifest import content_digest
from extractft.errors import ArtifactError, EngineError

PROGRAM = Path(__file__).parent / "serving_program.py"
TEXTS = ["tea for b", "rice now", "one 茶"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")


class Basket(BaseModel):
    """A basket, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("managed")
    rows = [(f"{item} {kind}", {"item": item, "kind": kind}) for item in ("tea", "rice", "salt") for kind in "ab"]
    config = TrainingConfig(num_train_epochs=2, eval_fraction=0, device="cpu", learning_rate=0.01)
    Extractor.fit(Basket, rows, base_model=tiny_base, config=config).save_pretrained(folder / "ext")
    return folder / "ext"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "vllm"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAM}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("EXTRACTFT_VLLM", str(script))
    monkeypatch.setenv("EXTRACTFT_CACHE", str(tmp_path / "cache"))
    return script


def test_the_weights_are_exported_once_and_give_the_same_records(saved: Path, program: Path, tmp_path: Path) -> None:
    here = Extractor.from_pretrained(saved, schema=Basket)
    there = Extractor.from_pretrained(saved, schema=Basket, engine="vllm")
    assert [there.extract(text) for text in TEXTS] == [here.extract(text) for text in TEXTS]
    engine = there.engine
    assert engine.capabilities.kind == "vllm"  # type: ignore[attr-defined]
    assert there._pipeline.max_window == 4096  # the model's own
    engine.close()  # type: ignore[attr-defined]
    (export,) = (tmp_path / "cache" / "served").iterdir()
    written = (export / "export.json").stat().st_mtime_ns
    again = Extractor.from_pretrained(saved, schema=Basket, engine="vllm")
    assert again.extract(TEXTS[0]) == here.extract(TEXTS[0])
    assert (export / "export.json").stat().st_mtime_ns == written
    again.engine.close()  # type: ignore[attr-defined]


def test_a_program_that_is_not_there_is_missed_before_the_export(
    saved: Path, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRACTFT_VLLM", "no-such-program")
    with pytest.raises(EngineError, match="program to start"):
        Extractor.from_pretrained(saved, engine="vllm")
    assert not (tmp_path / "cache").exists()


def test_an_extractor_of_an_older_version_is_refused_before_the_export(
    saved: Path, program: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(saved, older)
    manifest = json.loads((older / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"format_version": 2, "model_shape": None}
    manifest["manifest_sha256"] = content_digest(manifest)
    (older / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtifactError, match="format 2"):
        Extractor.from_pretrained(older, schema=Basket, engine="vllm")
    assert not (tmp_path / "cache").exists()
