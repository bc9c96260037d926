"""A folder with a schema, rows and a saved extractor, and the command line run in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from extractft import Extractor, GenerationConfig

SCHEMA = """
from pydantic import BaseModel, Field

class Order(BaseModel):
    item: str = Field(description="商品 é 👍")
    note: str | None = None

fields = Order.model_fields
"""
ROWS = [{"text": text, "output": {"item": text}} for text in ("tea", "rice", "茶 👍", "salt")]


@pytest.fixture(autouse=True)
def own_modules() -> Iterator[None]:
    """Commands that run in this process leave schema modules and their folders behind; other tests have the same names."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "schema" or name.startswith("_extractft_schema_"):
            del sys.modules[name]


@pytest.fixture(scope="session")
def shop_template(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """What every `shop` is a copy of."""
    folder = tmp_path_factory.mktemp("shop-template")
    (folder / "schema.py").write_text(SCHEMA, encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "schema"}
    exec(SCHEMA, namespace)
    generation = GenerationConfig(max_new_tokens=16, keep_truncated=True)
    extractor = Extractor.from_base(namespace["Order"], base_model=str(tiny_base), generation=generation)
    extractor.save_pretrained(folder / "ext")
    return folder


@pytest.fixture
def shop(tmp_path: Path, shop_template: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, which is the working directory."""
    for name in ("schema.py", "rows.jsonl", "ext"):
        (tmp_path / name).symlink_to(shop_template / name)
    (tmp_path / "base").symlink_to(tiny_base)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """Start the command line in a process of its own, which Ctrl-C ends.

    A job in the background of a shell ignores Ctrl-C, and so would what the tests start in one.
    """

    def heed_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(
        folder: Path, *arguments: str, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "extractft", *arguments]
        for stream in ("stdin", "stdout", "stderr"):
            options.setdefault(stream, subprocess.PIPE)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
        return subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=heed_interrupts, **options)

    return run
