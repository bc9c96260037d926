"""Loads the entry points under `benchmarks/`, which import `lib` from beside them."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from extractft.testing import byte_tokenizer, tiny_model

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SCHEMA = '''
"""A set of the same form as the public ones."""

from typing import Literal

from pydantic import BaseModel


class Record(BaseModel):
    city: Literal["Paris", "Rome", "Oslo"] | None = None
    guests: Literal["one", "two"] | None = None
'''


@pytest.fixture(scope="session")
def load_benchmark() -> Iterator[Callable[[str], ModuleType]]:
    """Loads `quality` and its like, and what they import of `lib`; nothing is left behind."""
    path = list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        full_name = f"benchmark_{name}"
        if full_name not in sys.modules:
            spec = importlib.util.spec_from_file_location(full_name, BENCHMARKS / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[full_name] = module
            spec.loader.exec_module(module)
        return sys.modules[full_name]

    yield load
    sys.path[:] = path
    for name in list(sys.modules):
        if name.split(".")[0] == "lib" or name.startswith("benchmark_"):
            del sys.modules[name]


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one public set, `bookings`, of a dozen rows each."""
    data = tmp_path_factory.mktemp("sets")
    (data / "bookings").mkdir()
    (data / "bookings" / "schema.py").write_text(SCHEMA, encoding="utf-8")
    cities, guests = ("Paris", "Rome", "Oslo"), ("one", "two")
    rows: list[dict[str, Any]] = []
    for i in range(24):
        city, count = cities[i % 3], guests[i % 2]
        rows.append({"text": f"a table {i} in {city} for {count}", "output": {"city": city, "guests": count}})
    for name, part in (("train", rows[:12]), ("test", rows[12:])):
        lines = "".join(json.dumps(row) + "\n" for row in part)
        (data / "bookings" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return data


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny random model, as a base model."""
    directory = tmp_path_factory.mktemp("small-base")
    tiny_model().save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory
