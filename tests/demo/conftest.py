"""Loads the scripts under `examples/`, which import their neighbours by bare names."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def load_example() -> Iterator[Callable[[str], ModuleType]]:
    """Loads `orders/generate.py` and its like; each finds its own neighbours, and none is left behind."""
    path = list(sys.path)

    def forget(keep: Path | None = None) -> None:
        for name, module in list(sys.modules.items()):
            parent = Path(getattr(module, "__file__", None) or "/").parent
            shared = "." in name  # `complaints.people` is one module, whoever imports it
            if EXAMPLES in parent.parents and parent != keep and not shared:
                del sys.modules[name]

    def load(name: str) -> ModuleType:
        file = EXAMPLES / name
        forget(keep=file.parent)
        sys.path.insert(0, str(file.parent))
        spec = importlib.util.spec_from_file_location(f"example_{name.replace('/', '_').removesuffix('.py')}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    yield load
    sys.path[:] = path
    forget()
