"""The way of one `extract` is short enough to be read."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import trace_extract

MOST = {"extract": 35, "first": 37, "inspect": 53}
"""Files on the way of each."""


def test_the_way_of_an_extract(tiny_base: Path) -> None:
    files = trace_extract.trace_extract(tiny_base)
    for name, most in MOST.items():
        assert len(files[name]) <= most, "\n".join(files[name])
    for name in ("extractor/extractor.py", "completion.py"):
        assert name in files["extract"]


def test_a_generated_function_counts_and_an_import_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from dataclasses import dataclass\n@dataclass\nclass Value:\n    x: int\n"
    (tmp_path / "traced_value.py").write_text(source, encoding="utf-8")
    (tmp_path / "traced_import.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    value = importlib.import_module("traced_value").Value
    assert trace_extract.entered(lambda: (importlib.import_module("traced_import"), value(1)), tmp_path) == [
        "traced_value.py"
    ]
