"""Two processes that share the rows of each step train like one with twice the batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed

from extractft.training import TrainingRow
from extractft.training.arguments import StepSampler
from extractft.training.parallel import Processes
from extractft.training.training_rows import partition_by_tokens

SCRIPT = str(Path(__file__).with_name("parallel_run.py"))
needs_gloo = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()), reason="PyTorch without gloo"
)


def start(directory: Path, *extra: str, processes: int) -> int:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    directory.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launcher, SCRIPT, str(directory), *extra], env=environment, capture_output=True, timeout=300, check=False
    )
    if not extra:
        assert done.returncode == 0, done.stderr.decode()[-3000:]
    return done.returncode


def report(directory: Path, rank: int = 0) -> Any:
    return json.loads((directory / f"report-{rank}.json").read_text())


def assert_same_run(found: Any, expected: Any) -> None:
    for name, weights in expected["weights"].items():
        assert found["weights"][name] == pytest.approx(weights, rel=1e-3, abs=1e-5), name
    for name in ("steps", "best_step", "tokens", "stopped_early", "engine", "skipped"):
        assert found["result"][name] == expected["result"][name]
    histories = zip(found["result"]["log_history"], expected["result"]["log_history"], strict=True)
    for one, other in histories:
        assert one.keys() == other.keys()
        assert one == pytest.approx(other, rel=1e-3, abs=1e-3)


@needs_gloo
@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    """Killed in the second process and resumed by both as well."""
    start(tmp_path / "one", processes=1)
    expected = report(tmp_path / "one")
    assert expected["result"]["stopped_early"]
    start(tmp_path / "two", processes=2)
    both = [report(tmp_path / "two", rank) for rank in (0, 1)]
    assert both[0]["weights"] == both[1]["weights"]
    assert both[0]["result"] == both[1]["result"]
    assert both[0]["scored"] == expected["scored"]
    assert both[0]["told"] == both[1]["told"] == pytest.approx(expected["told"], rel=1e-3, abs=1e-3)
    assert len(expected["told"]) == expected["scored"]
    assert both[1]["scored"] == 0
    assert_same_run(both[0], expected)
    names = sorted(path.name for path in (tmp_path / "two" / "run").iterdir())
    assert names == [".extractft-lock", "best", "result.json", "run.json"]

    assert start(tmp_path / "killed", "4", processes=2) != 0
    assert list((tmp_path / "killed" / "run").glob("checkpoint-*"))
    start(tmp_path / "killed", processes=2)
    assert_same_run(report(tmp_path / "killed", 1), expected)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Processes]:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    return lambda: Processes.join(torch.device("cpu"))


def test_one_process_has_nothing_to_share(alone: Any, make_rows: Any) -> None:
    processes, rows = alone(), make_rows(3)
    assert processes.main
    assert processes.count == 1
    assert processes.shard(rows) is rows
    assert processes.broadcast("mine") == "mine"
    assert processes.on_main(lambda: 3) == 3
    parameter = torch.nn.Parameter(torch.ones(2))
    loss = torch.tensor(2.0)
    assert processes.all_reduce(loss, [parameter]) is loss
    assert parameter.grad is None


@given(
    lengths=st.lists(st.integers(2, 40), max_size=20), num_bins=st.integers(1, 5), most=st.none() | st.integers(20, 30)
)
def test_rows_are_dealt_out_evenly(lengths: list[int], num_bins: int, most: int | None) -> None:
    rows = [TrainingRow((0,) * (length - 1), (i,)) for i, length in enumerate(lengths)]
    result = partition_by_tokens(rows, num_bins, most=most)
    assert len(result) == num_bins
    assert sorted(id(row) for bin in result for row in bin) == sorted(id(row) for row in rows)
    tokens = [sum(len(row) for row in bin) for bin in result]
    assert max(tokens) - min(tokens) <= max(lengths, default=0)


def test_every_epoch_has_every_row_in_an_order_of_its_own() -> None:
    epoch = 0
    steps = StepSampler(10, 4, seed=1, epoch=lambda: epoch)
    first = list(steps)
    assert [len(step) for step in first] == [4, 4, 2]
    assert len(steps) == 3
    assert sorted(number for step in first for number in step) == list(range(10))
    assert list(steps) == first
    epoch = 1
    assert list(steps) != first
    assert list(StepSampler(10, 4, seed=2, epoch=lambda: 0)) == list(steps)
