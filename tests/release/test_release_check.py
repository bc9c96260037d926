"""The look at a release finds what would be wrong with it, and the repository is always in form."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import extractft
from release import release_check

GOOD = {
    "src/extractft/__init__.py": '"""Package."""\n\n__version__ = "1.2.0"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.0\n",
    "CHANGELOG.md": "# Changelog\n\n## 1.2.0 - 2026-03-01\n\n### Added\n\n- More.\n\n### Fixed\n\n- It.\n\n## 1.1.0 - 2026-01-31\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in GOOD.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def _git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_a_good_tree_has_no_fault(tree: Path) -> None:
    assert release_check.release_faults(tree, "1.2.0") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("src/extractft/__init__.py", '"1.2.0"', '"1.1.0"', "__init__.py: expected version 1.2.0, found 1.1.0"),
        ("CITATION.cff", "\nversion: 1.2.0", "", "CITATION.cff: expected version 1.2.0, found none"),
        (
            "CHANGELOG.md",
            "## 1.2.0 - 2026-03-01",
            "## Unreleased",
            "expected the newest section to be `## 1.2.0 - DATE`",
        ),
        ("CHANGELOG.md", "2026-03-01", "unreleased", "expected the day of the release"),
        ("CHANGELOG.md", "2026-03-01", "2026-02-30", "expected the day of the release"),
        ("CHANGELOG.md", "### Fixed", "### Mended", "expected one of Added, Changed"),
        ("CHANGELOG.md", "- It.\n", "", "expected entries under Fixed, found none"),
        ("CHANGELOG.md", "### Added\n\n", "", "found '- More.' before them"),
    ],
)
def test_each_fault_is_named(tree: Path, file: str, old: str, new: str, said: str) -> None:
    text = (tree / file).read_text("utf-8")
    assert old in text
    (tree / file).write_text(text.replace(old, new), encoding="utf-8")
    faults = release_check.release_faults(tree, "1.2.0")
    assert len(faults) == 1
    assert said in faults[0]


@pytest.mark.parametrize("version", ["", "v1.2.0", "1.2", "01.2.0", "1.2.0-rc1"])
def test_what_is_no_version_is_refused(tree: Path, version: str) -> None:
    (fault,) = release_check.release_faults(tree, version)
    assert fault.startswith("Expected a version like 0.1.0")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: _git(root, "tag", "v1.2.0"), "The tag v1.2.0 exists already"),
        (lambda root: (root / "notes.txt").write_text("x"), "such as notes.txt"),
    ],
)
def test_tags_and_changes_are_seen(tree: Path, change: Callable[[Path], object], said: str) -> None:
    _git(tree, "init", "--quiet")
    _git(tree, "add", ".")
    _git(tree, "commit", "--quiet", "--message", "A")
    assert list(release_check.repository_faults(tree, "1.2.0")) == []
    change(tree)
    (fault,) = release_check.repository_faults(tree, "1.2.0")
    assert said in fault


def test_the_repository_is_in_form() -> None:
    """Between releases the newest section may still be undated; all else agrees at any time."""
    version = extractft.__version__
    faults = release_check.release_faults(release_check.ROOT, version)
    assert [fault for fault in faults if "expected the day of the release" not in fault] == []
    text = (release_check.ROOT / "CHANGELOG.md").read_text("utf-8")
    assert list(release_check.changelog_faults(text, version, dated=False)) == []
