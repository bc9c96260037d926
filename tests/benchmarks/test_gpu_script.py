"""The script for a machine with a GPU, without one: a tiny model, and the engine here in the place of vLLM."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from extractft import Extractor
from extractft.errors import EngineError

Load = Callable[[str], ModuleType]


@pytest.fixture
def arguments(small_set: Path, small_base: Path, tmp_path: Path) -> list[str]:
    places = ["--data", str(small_set), "--results", str(tmp_path), "--cache", str(tmp_path / "cache"), "--name", "t"]
    sizes = ["--train", "6", "--texts", "3", "--warm-up", "1", "--in-flight", "1", "2"]
    return ["--set", "bookings", "--base-model", str(small_base), "--device", "cpu", *places, *sizes]


@pytest.fixture
def bench(load_benchmark: Load, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    script = load_benchmark("gpu")
    load = Extractor.from_pretrained

    def here(*args: Any, engine: Any = None, **settings: Any) -> Any:
        loaded: Any = load(*args, **settings)
        if engine is not None:
            monkeypatch.setattr(type(loaded.engine), "close", lambda self: None, raising=False)
        return loaded

    monkeypatch.setattr(Extractor, "from_pretrained", here)
    monkeypatch.setattr(script.gpu_bench, "require_program", lambda kind: None)
    return script


def test_rates_and_equality_of_both_ways(bench: ModuleType, arguments: list[str], tmp_path: Path) -> None:
    bench.main([*arguments, "--dtypes", "float32"])
    found = json.loads((tmp_path / "gpu-t.json").read_text("utf-8"))
    rows = [(row["way"], row["dtype"], row["in_flight"]) for row in found["rows"]]
    assert rows == [(way, "float32", number) for way in ("ours", "vllm") for number in (2, 1)]
    assert all(row["records_per_second"] > 0 and row["failed"] == 0 for row in found["rows"])
    equal = found["equality"]["float32"]
    assert (equal["records_equal"], equal["token_ids_equal"], equal["errors"]) == ("3 of 3", "3 of 3", {})
    assert found["left_out"] == []
    assert str(tmp_path) not in json.dumps(found)


def test_what_does_not_fit_into_the_time_is_left_out(
    bench: ModuleType, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.main([*arguments, "--dtypes", "float32", "bfloat16", "--minutes", "0"])
    assert "left out, no time: ours, bfloat16" in capsys.readouterr().out
    assert json.loads((tmp_path / "gpu-t.json").read_text("utf-8"))["rows"] == []


def test_what_is_missing_is_said_before_any_work(
    load_benchmark: Load, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_benchmark("gpu")
    monkeypatch.setenv("EXTRACTFT_VLLM", str(tmp_path / "nowhere"))
    with pytest.raises(EngineError, match="Expected a program to start a server with"):
        script.main(arguments)
    monkeypatch.setattr(script.gpu_bench, "require_program", lambda kind: None)
    monkeypatch.setattr(script.gpu_bench.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="expected a GPU that torch sees, found none"):
        script.main([*arguments, "--device", "cuda"])
    assert not (tmp_path / "cache").exists()
