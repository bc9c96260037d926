"""`engine="vllm-lora"`: one server of a base model, adapters loaded while it runs, ended with the last of them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.errors import EngineError
from extractft.remote import shared_server

PROGRAM = Path(__file__).parent / "serving_program.py"
TEXTS = ["tea for b", "rice now", "one 茶"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")


class Basket(BaseModel):
    """A basket, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"


class Size(BaseModel):
    """Another schema on the same base model."""

    large: bool
    colour: Literal["red", "green"]


def tuned(schema: Any, outputs: list[dict[str, Any]], base: Path, folder: Path, rank: int = 16) -> Path:
    rows = list(zip(TEXTS, outputs, strict=True))
    config = TrainingConfig(
        num_train_epochs=2, eval_fraction=0, device="cpu", learning_rate=0.01, lora=LoRAConfig(r=rank)
    )
    Extractor.fit(schema, rows, base_model=base, config=config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def baskets(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = [{"item": "tea", "kind": "b"}, {"item": "rice"}, {"item": "茶"}]
    return tuned(Basket, outputs, tiny_base, tmp_path_factory.mktemp("adapters") / "baskets")


@pytest.fixture(scope="module")
def sizes(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = [{"large": True, "colour": "red"}, {"large": False, "colour": "green"}, {"large": True, "colour": "red"}]
    return tuned(Size, outputs, tiny_base, tmp_path_factory.mktemp("adapters") / "sizes", rank=8)


@pytest.fixture(autouse=True)
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program to start, and a file with a line for each time that it was."""
    script, log = tmp_path / "vllm", tmp_path / "starts"
    log.touch()
    script.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\nexec "{sys.executable}" "{PROGRAM}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("EXTRACTFT_VLLM", str(script))
    monkeypatch.setenv("EXTRACTFT_CACHE", str(tmp_path / "cache"))
    return log


def opened(path: Path, schema: Any) -> Any:
    return Extractor.from_pretrained(path, schema=schema, engine="vllm-lora")


def test_two_schemas_on_one_server(baskets: Path, sizes: Path, starts: Path, tmp_path: Path) -> None:
    there = {schema: opened(path, schema) for schema, path in ((Basket, baskets), (Size, sizes))}
    (line,) = starts.read_text("utf-8").splitlines()
    assert "--enable-lora --max-lora-rank 16" in line
    for schema, path in ((Basket, baskets), (Size, sizes)):
        here: Any = Extractor.from_pretrained(path, schema=schema)
        assert list(there[schema].extract_many(TEXTS)) == list(here.extract_many(TEXTS))
        assert there[schema].engine.capabilities.model.startswith("adapter-")
    assert len(list((tmp_path / "cache" / "served").iterdir())) == 1  # the base model, once for both
    server = there[Basket].engine._server._shared.server
    there[Basket].engine.close()
    there[Basket].engine.close()
    assert server.is_running()
    assert there[Size].extract(TEXTS[0]) == here.extract(TEXTS[0])
    again = opened(baskets, Basket)  # whose adapter the server has
    assert isinstance(again.extract(TEXTS[0]), Basket)
    again.engine.close()
    there[Size].engine.close()
    assert not server.is_running()
    assert len(starts.read_text("utf-8").splitlines()) == 1


def test_an_untrained_extractor_is_the_base_model_itself(tiny_base: Path, tmp_path: Path) -> None:
    here = Extractor.from_base(Size, base_model=str(tiny_base))
    here.save_pretrained(tmp_path / "untrained")
    there = opened(tmp_path / "untrained", Size)
    assert there.engine.capabilities.model == "extractft"
    assert list(there.extract_many(TEXTS)) == list(here.extract_many(TEXTS))
    there.engine.close()


def test_an_adapter_that_the_server_refuses(baskets: Path, starts: Path, tmp_path: Path) -> None:
    shutil.copytree(baskets, tmp_path / "refused")
    with pytest.raises(EngineError, match="Expected vLLM to load the adapter, found status 400") as caught:
        opened(tmp_path / "refused", Basket)
    assert "already loaded, or refused" in str(caught.value.__notes__)
    assert 'engine="vllm"' in str(caught.value.__notes__)
    assert not [shared for shared in shared_server._servers.values() if shared.server.is_running()]


def test_a_rank_that_no_server_has_room_for() -> None:
    with pytest.raises(EngineError, match="an adapter of rank 512 or less, found 600"):
        shared_server.Adapter("a", Path(), 600).fitting_rank()
    assert [shared_server.Adapter("a", Path(), rank).fitting_rank() for rank in (1, 16, 17)] == [8, 16, 32]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_starts_a_server_of_its_own(sizes: Path, starts: Path) -> None:
    there = opened(sizes, Size)
    if (child := os.fork()) == 0:
        os._exit(0 if not shared_server._servers else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert isinstance(there.extract(TEXTS[0]), Size)
    there.engine.close()
