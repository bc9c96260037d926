"""A user's type checker knows the record: mypy and pyright read `typed_extractor.py`, strict and without plugins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent
ROOT = HOUSE.parent.parent
PYRIGHT = ROOT / ".cache" / "pyright" / "index.js"
PROGRAM = HOUSE / "typed_extractor.py"


def _check(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mypy_knows_the_record() -> None:
    pytest.importorskip("mypy", reason="mypy is of the lint group, which environments of the lowest versions lack")
    settings = ["--config-file", str(HOUSE / "user_mypy.ini"), "--cache-dir", str(ROOT / ".mypy_cache" / "user")]
    said = _check([sys.executable, "-m", "mypy", *settings, str(PROGRAM)], MYPYPATH=str(ROOT / "src"))
    assert "no issues found in 1 source file" in said


def test_pyright_knows_the_record() -> None:
    if not PYRIGHT.is_file():
        pytest.fail(f"expected pyright in {PYRIGHT}; `make setup` puts it there", pytrace=False)
    settings = ["--project", str(HOUSE / "user_pyright.json"), "--pythonpath", sys.executable]
    assert "0 errors, 0 warnings" in _check(["node", str(PYRIGHT), *settings])
