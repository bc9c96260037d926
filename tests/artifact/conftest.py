"""A small extractor that format 1 was written with, and the same saved as it is saved today."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from extractft import Extractor

FORMAT1 = Path(__file__).parent / "format1"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Digests are remembered outside the directories that tests look at."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("EXTRACTFT_CACHE", str(cache))
    return cache


@pytest.fixture(scope="session")
def old_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base model of the extractor of format 1."""
    directory = tmp_path_factory.mktemp("format1") / "base"
    shutil.copytree(FORMAT1 / "base", directory)
    return directory


@pytest.fixture
def old_extractor(tmp_path: Path) -> Path:
    """A copy of an extractor that was saved in format 1."""
    return Path(shutil.copytree(FORMAT1 / "extractor", tmp_path / "old-extractor"))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory, old_base: Path) -> Path:
    """An extractor saved as it is today. Not to be touched."""
    directory = tmp_path_factory.mktemp("pristine") / "extractor"
    Extractor.from_pretrained(FORMAT1 / "extractor", base_model=old_base).save_pretrained(directory)
    return directory


@pytest.fixture
def extractor(tmp_path: Path, pristine: Path) -> Path:
    """A copy of `pristine`, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "extractor"))
