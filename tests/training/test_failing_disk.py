"""A disk that fills up, or fails, while a run writes: one error that says what to do, and nothing lost."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from safetensors import SafetensorError

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.errors import ArtifactError, TrainingError
from extractft.training import Features, train
from extractft.training.checkpoints import adapter_state
from extractft.training.failures import is_full, writing

CONFIG = TrainingConfig(num_train_epochs=2, per_device_train_batch_size=2, learning_rate=1e-2)
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
TORCH = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 53824 vs 53716")
SAFETENSORS = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
WRITERS = {
    "adapter": ("extractft.training.checkpoints.save_file", SAFETENSORS),
    "optimizer": ("torch.save", TORCH),
    "trainer state": ("transformers.TrainerState.save_to_json", FULL),
    "flushing": ("os.fsync", OSError(errno.EIO, "Input/output error")),
    "publishing": ("os.rename", OSError(errno.EDQUOT, "Disk quota exceeded")),
    "seal": ("extractft.training.run_directory.seal_directory", FULL),
}


def failing(error: Exception, after: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """`real` for some calls, then the error for ever."""
    calls = 0

    def function(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error
        return real(*args, **kwargs)

    return function


def lookup(name: str) -> Any:
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)
    except ImportError:
        outer, _, inner = module.rpartition(".")
        return getattr(getattr(importlib.import_module(outer), inner), function)


@pytest.fixture
def fit(adapted: Any, make_rows: Any) -> Callable[..., list[Any]]:
    def fit(place: Path, *, resume: bool = False) -> list[Any]:
        model = adapted(moved=False, dropout=0.1)
        rows = Features(make_rows(4), 20)
        train(model, rows, config=CONFIG, output_dir=place, resume=resume, checkpoint_seconds=0)
        return [tensor.tolist() for tensor in adapter_state(model).values()]

    return fit


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_writer_raises_is_a_training_error_and_the_run_goes_on(
    fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, after: int
) -> None:
    want = fit(tmp_path / "whole")
    name, error = WRITERS[writer]
    with monkeypatch.context() as patch:
        patch.setattr(name, failing(error, after, lookup(name)))
        with pytest.raises(TrainingError, match=r"could not write [\w.-]+ in ") as caught:
            fit(tmp_path / "run")
    assert caught.value.__cause__ is error
    assert str(tmp_path / "run") in str(caught.value)
    assert "resume=True" in caught.value.__notes__[0]
    if writer in ("adapter", "trainer state", "publishing", "seal"):
        assert "no space left" in str(caught.value)
        assert "Free some" in caught.value.__notes__[0]
    assert fit(tmp_path / "run", resume=True) == want
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {".extractft-lock", "best", "result.json", "run.json"}


@pytest.mark.parametrize("what", ["best", "result.json"])
def test_the_last_files_of_a_run(fit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    name = "write_adapter" if what == "best" else "write_sealed"
    where = f"extractft.training.run_directory.{name}"
    with monkeypatch.context() as patch:
        patch.setattr(where, failing(FULL, 0 if what == "best" else 1, lookup(where)))
        with pytest.raises(TrainingError, match=f"could not write {what} in .*: no space left"):
            fit(tmp_path)
    assert fit(tmp_path, resume=True)


def test_full_is_told_from_other_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_full(FULL, tmp_path)
    assert is_full(SAFETENSORS, tmp_path)
    assert not is_full(PermissionError(errno.EACCES, "Permission denied"), tmp_path)
    assert not is_full(TORCH, tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4096))
    assert is_full(TORCH, tmp_path)


def test_errors_of_the_users_own_pass(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError), writing("x", tmp_path):
        raise ArtifactError("ours")
    with pytest.raises(KeyboardInterrupt), writing("x", tmp_path):
        raise KeyboardInterrupt


class Person(BaseModel):
    name: str


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 40 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_fit_on_a_limit_of_the_system(tiny_base: Path, tmp_path: Path, small_files: None) -> None:
    config = TrainingConfig(num_train_epochs=1, eval_fraction=0, lora=LoRAConfig(r=16))
    with pytest.raises(TrainingError, match=r"could not write .* File too large"):
        Extractor.fit(
            Person,
            [("Ann", {"name": "Ann"})],
            base_model=str(tiny_base),
            config=config,
            output_dir=tmp_path,
        )


def test_no_place_for_temporary_files(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise FULL

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(TrainingError, match="place for temporary files"):
        Extractor.fit(Person, [("Ann", {"name": "Ann"})], base_model=str(tiny_base))
