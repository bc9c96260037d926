"""The front door: light, lazy, complete."""

from __future__ import annotations

import importlib
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import extractft


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _best_seconds(command: list[str], tries: int = 5) -> float:
    """Processor seconds of the fastest of several runs: other work on the machine does not count."""
    times = []
    for _ in range(tries):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


def test_import_loads_no_heavy_package() -> None:
    code = "import sys, extractft; print([m for m in ('torch', 'transformers', 'pydantic') if m in sys.modules])"
    assert _run(code) == "[]"


@pytest.mark.parametrize("room", ["config", "errors", "schema", "prompt", "data"])
def test_lower_floors_load_no_torch(room: str) -> None:
    assert _run(f"import sys, extractft.{room}; print('torch' in sys.modules)") == "False"


def test_import_is_fast() -> None:
    assert _best_seconds([sys.executable, "-c", "import extractft"]) < 0.3


def test_help_is_fast() -> None:
    assert _best_seconds([sys.executable, "-m", "extractft", "--help"]) < 0.6


def test_all_is_sorted_and_importable() -> None:
    assert list(extractft.__all__) == sorted(extractft.__all__)
    for name in extractft.__all__:
        assert getattr(extractft, name) is not None
    assert set(extractft.__all__) <= set(dir(extractft))


def test_public_modules_need_no_import_of_their_own() -> None:
    command = "import extractft; extractft.errors.SchemaError; extractft.data.load_examples; extractft.schema.Schema"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        extractft.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "room",
    [
        "schema",
        "prompt",
        "data",
        "constraints",
        "inference",
        "remote",
        "speculation",
        "training",
        "evaluation",
        "grounding",
        "modeling",
    ],
)
def test_rooms_sort_what_they_export(room: str) -> None:
    module: Any = importlib.import_module(f"extractft.{room}")
    assert list(module.__all__) == sorted(module.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("folder", ["src", "tests", "examples", "benchmarks"])
def test_sources_compile_without_a_warning(folder: str) -> None:
    """With `-W error` a SyntaxWarning, such as for an escape that is none, keeps the package from being imported."""
    root = Path(extractft.__file__).parents[2] / folder
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in root.rglob("*.py"):
            compile(source.read_text(encoding="utf-8"), str(source), "exec")
