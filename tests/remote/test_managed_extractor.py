"""`engine="vllm"`: exported into the cache once, served, and asked as any other server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from fake_vllm import TEXTS
from loopback_vllm import fake_for, served
from pydantic import BaseModel

from extractft import Extractor
from extractft.extractor import managed
from extractft.remote import connect


class Choice(BaseModel):
    """Values that an untrained model can end."""

    kind: Literal["tea", "rice"]
    size: Literal["small", "large"] | None = None


@pytest.fixture
def here(tiny_base: Any) -> Extractor[Choice]:
    return Extractor.from_base(Choice, base_model=str(tiny_base))


@pytest.fixture
def saved(here: Extractor[Choice], tmp_path: Path) -> Path:
    here.save_pretrained(tmp_path / "extractor")
    return tmp_path / "extractor"


def test_vllm_serves_the_merged_weights_of_the_cache(
    here: Extractor[Choice], saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EXTRACTFT_VLLM", sys.executable)  # there, and not started
    started: list[tuple[str, Path, dict[str, Any]]] = []
    with served(fake_for(here)) as url:

        def start(kind: str, model: Path, probe: Any, *, num_alternatives: int, **settings: Any) -> Any:
            started.append((kind, model, settings))
            return connect(url, probe, num_alternatives=num_alternatives)

        monkeypatch.setattr(managed, "start_server", start)
        extractor: Extractor[Any] = Extractor.from_pretrained(saved, engine="vllm")
        assert extractor.engine.capabilities.kind == "vllm"
        records = list(extractor.extract_many(TEXTS))
        assert all(hasattr(record, "kind") for record in records)
        assert [vars(record) for record in records] == [vars(record) for record in here.extract_many(TEXTS)]
        monkeypatch.setattr(managed, "load_entry", None)  # the export is there, and nothing else loads torch
        Extractor.from_pretrained(saved, engine="vllm")
    (first, second) = started
    assert first == second
    kind, model, settings = first
    assert (kind, model.parent) == ("vllm", tmp_path / "cache" / "extractft" / "served")
    assert (model / "model.safetensors").is_file()
    assert settings["window"] <= managed.VLLM_WINDOW
