"""The pictures of the documentation can be made again, and the pages show all of them."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from screenshots import make_screenshots

from chromium import find_browser

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"


def size_of(path: Path) -> tuple[int, int]:
    """Width and height that a PNG says it has."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.mark.skipif(find_browser() is None, reason="no Chromium: apt-get install chromium")
def test_pictures_are_made(tmp_path: Path) -> None:
    made = make_screenshots(tmp_path)
    assert {path.name for path in made} == {path.name for path in IMAGES.iterdir()}
    assert {size_of(path) for path in made} == {size_of(path) for path in IMAGES.iterdir()}
    assert len({path.read_bytes() for path in made}) == len(made)


@pytest.mark.parametrize("suffix", [".md", ".zh.md"])
def test_pages_show_every_picture(suffix: str) -> None:
    pages = [page for page in (ROOT / "docs").glob("*.md") if page.name.endswith(".zh.md") == (suffix == ".zh.md")]
    shown = {name for page in pages for name in re.findall(r"\(images/([\w-]+\.png)", page.read_text("utf-8"))}
    assert shown == {path.name for path in IMAGES.iterdir()}
