"""Tracking: off and not even imported, or on and telling neither texts nor machines nor networks anything."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extractft.config import TrackingConfig, TrainingConfig
from extractft.errors import MissingDependencyError, TrainingError
from extractft.training import Features, train
from extractft.training.tracking import tracked


def settings(mode: str, **changes: Any) -> TrainingConfig:
    return TrainingConfig(
        num_train_epochs=2,
        per_device_train_batch_size=2,
        tracking=TrackingConfig(mode=mode, project="complaints", experiment_name="first", **changes),
    )


def contents(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


def test_off_imports_nothing() -> None:
    code = (
        "import sys, pathlib, extractft.training.tracking as t, extractft.config as c\n"
        "with t.tracked(c.TrainingConfig(), pathlib.Path('/nowhere')) as callbacks: assert callbacks == []\n"
        "assert not [name for name in sys.modules if name.startswith('swanlab')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_offline_writes_losses_and_nothing_else(
    adapted: Any, make_rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("swanlab")

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("SWANLAB_WEBHOOK", "http://192.0.2.1/hook")
    monkeypatch.setenv("SWANLAB_MODE", "online")

    def score(_: Any) -> dict[str, float]:
        print("customer Longlin")
        print("customer Longlin", file=sys.stderr)
        return {"field_f1": 0.625}

    result = train(adapted(), Features(make_rows(4), 20), config=settings("offline"), output_dir=tmp_path, scorer=score)
    assert [entry["step"] for entry in result.log_history if "loss" in entry] == [1, 2, 3, 4]
    logs = contents(tmp_path / "swanlog")
    for expected in (b"train/loss", b"eval/field_f1", b"learning_rate", b"complaints", b"first"):
        assert expected in logs
    for private in (b"Longlin", socket.gethostname().encode(), b"torch==", b"transformers_"):
        assert private not in logs


def test_a_failed_run_is_marked_without_its_message(tmp_path: Path) -> None:
    swanlab = pytest.importorskip("swanlab")
    error = RuntimeError("customer Longlin")
    with pytest.raises(RuntimeError), tracked(settings("offline"), tmp_path):
        raise error
    assert not swanlab.has_run()
    assert b"Longlin" not in contents(tmp_path)
    assert b"RuntimeError" in contents(tmp_path)


def test_an_active_run_is_not_joined(tmp_path: Path) -> None:
    swanlab = pytest.importorskip("swanlab")
    with tracked(settings("offline"), tmp_path / "one"):
        with pytest.raises(TrainingError, match="no active SwanLab run"), tracked(settings("offline"), tmp_path):
            pass
        assert swanlab.has_run()


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "swanlab", None)
    with pytest.raises(MissingDependencyError) as caught, tracked(settings("offline"), tmp_path):
        pass
    assert "extractft[tracking]" in "".join(caught.value.__notes__)


def test_local_mode_needs_the_dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("swanlab")
    find = "extractft.training.tracking.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    with pytest.raises(MissingDependencyError, match="dashboard") as caught, tracked(settings("local"), tmp_path):
        pass
    assert "swanlab[dashboard]" in "".join(caught.value.__notes__)


def test_logs_go_where_they_are_told(tmp_path: Path) -> None:
    pytest.importorskip("swanlab")
    with tracked(settings("offline", log_dir=str(tmp_path / "elsewhere")), tmp_path / "out"):
        pass
    assert list((tmp_path / "elsewhere").glob("run-*"))
    assert not (tmp_path / "out").exists()
