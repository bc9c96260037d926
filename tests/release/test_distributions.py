"""The wheel holds the package whole and nothing else; the source distribution is enough to build and test it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

import extractft

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "src" / "extractft"


def _wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_twine_finds_no_fault(distributions: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheel_holds_every_file_of_the_package(distributions: tuple[Path, Path]) -> None:
    ours = {
        f"extractft/{path.relative_to(SOURCES).as_posix()}"
        for path in SOURCES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in _wheel_names(distributions[1]) if name.startswith("extractft/")}
    assert packed == ours
    assert {"extractft/py.typed", "extractft/prompt/templates/zh.jinja", "extractft/pages/static/review.html"} <= packed
    assert {"extractft/evaluation/html/templates/report.html.jinja", "extractft/demo/complaints.jsonl"} <= packed


def test_wheel_holds_nothing_else(distributions: tuple[Path, Path]) -> None:
    """No tests, benchmarks or examples: what is not the package is what the format itself asks for, and the licence."""
    wheel = distributions[1]
    about = f"extractft-{extractft.__version__}.dist-info"
    tops = {PurePosixPath(name).parts[0] for name in _wheel_names(wheel)}
    assert tops == {"extractft", about}
    rest = {name.removeprefix(f"{about}/") for name in _wheel_names(wheel) if name.startswith(about)}
    assert rest == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert wheel.name.endswith("-py3-none-any.whl")


def test_metadata_names_version_and_python(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as archive:
        text = archive.read(f"extractft-{extractft.__version__}.dist-info/METADATA").decode("utf-8")
    fields = Parser().parsestr(text)
    assert (fields["Version"], fields["Requires-Python"]) == (extractft.__version__, ">=3.11")
    assert fields["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in fields.get_all("Classifier", [])


@pytest.mark.parametrize("name", ["pyproject.toml", "LICENSE", "Makefile", "constraints.txt", "tests/test_package.py"])
def test_source_distribution_can_be_tested(distributions: tuple[Path, Path], name: str) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {
            PurePosixPath(member).relative_to(f"extractft-{extractft.__version__}") for member in archive.getnames()
        }
    assert PurePosixPath(name) in names
    hidden = {path for path in names if path.parts and path.parts[0] in {".cache", ".venv", "dist", "site"}}
    assert not hidden
