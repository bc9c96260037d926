"""An extractor that answers at once, and files of rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from bulk_doubles import InstantExtractor


@pytest.fixture
def extractor() -> InstantExtractor:
    return InstantExtractor()


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSONL."""

    def write(rows: Iterable[Any], name: str = "texts.jsonl", end: str = "") -> Path:
        path = tmp_path / name
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        path.write_text("".join(lines) + end, encoding="utf-8")
        return path

    return write
