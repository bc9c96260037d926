"""The wheel in an environment that has nothing else, for each Python that pyproject.toml names: `make check-release`.

With the newest versions, those of `constraints.txt`, and with the lowest that pyproject.toml allows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLASSIFIER = "Programming Language :: Python :: 3."
PYTHONS = [
    line.rpartition(" ")[2]
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    if line.startswith(CLASSIFIER)
]

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("EXTRACTFT_TESTS") != "all", reason="installs torch anew, gigabytes: EXTRACTFT_TESTS=all"
    ),
    pytest.mark.timeout(3600),
]


def _run(command: list[str | Path], cwd: Path) -> str:
    """Run a command with nothing of this environment: no PYTHONPATH, no virtual environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=cwd, env=kept)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


def _interpreter(version: str) -> str:
    """The interpreter of a version, on the PATH or of pyenv; a test is skipped, with the names tried, if none runs."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    name = f"python{version}"
    of_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/{name}")
    for path in [shutil.which(name), *sorted(of_pyenv)]:
        if path and subprocess.run([path, "-c", "pass"], capture_output=True, check=False).returncode == 0:
            return str(path)
    return pytest.skip(f"no {name} that runs, on the PATH or of pyenv")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A place for an environment of gigabytes, which goes when the test is over."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def _install(folder: Path, python: str, wheel: Path, constraints: Path) -> Path:
    _run([_interpreter(python), "-m", "venv", folder / "env"], folder)
    own = folder / "env" / "bin" / "python"
    pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint", constraints]
    _run([*pip, wheel], folder)
    return own


def _require_first_steps(folder: Path, own: Path, version: str) -> None:
    _run([own, "-m", "pip", "check"], folder)
    assert f"extractft {version}" in _run([own.parent / "extractft", "--version"], folder)
    _run([own, HERE / "first_steps.py", folder], folder)


@pytest.mark.parametrize("python", PYTHONS)
def test_newest_versions(python: str, distributions: tuple[Path, Path], folder: Path) -> None:
    wheel = distributions[1]
    own = _install(folder, python, wheel, ROOT / "constraints.txt")
    _require_first_steps(folder, own, wheel.name.split("-")[1])


def test_lowest_versions(distributions: tuple[Path, Path], folder: Path) -> None:
    """With the lowest Python alone: the lowest versions of some libraries are older than the newer ones."""
    constraints = folder / "constraints.txt"
    constraints.write_text(_run([sys.executable, HERE / "floors.py"], folder), encoding="utf-8")
    wheel = distributions[1]
    own = _install(folder, PYTHONS[0], wheel, constraints)
    _require_first_steps(folder, own, wheel.name.split("-")[1])
