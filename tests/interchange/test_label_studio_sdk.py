"""Label Studio's own SDK reads our export, and what it exports comes back equal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_round_trips import RECORD, ROW, SCHEMA, TEXT

from extractft.interchange import labeling_config, read_rows, write_rows
from extractft.interchange.row_conversion import InterchangeOptions

PYTHON = Path(__file__).resolve().parents[2] / ".cache" / "label-studio" / "bin" / "python"
CHECK = Path(__file__).with_name("sdk_check.py")

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="needs Label Studio's SDK: make label-studio")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A right row and one of a model, through the SDK."""
    folder = tmp_path_factory.mktemp("sdk")
    rows = [{key: value for key, value in ROW.items() if key != "confidence"}, ROW]
    write_rows(read_rows(rows, SCHEMA).rows, SCHEMA, "label-studio", folder / "tasks.json")
    (folder / "config.xml").write_text(labeling_config(SCHEMA), "utf-8")
    paths = [str(folder / name) for name in ("config.xml", "tasks.json", "out.json")]
    done = subprocess.run([str(PYTHON), str(CHECK), *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "out.json").read_text("utf-8"))
    return found


def test_its_export_comes_back_equal(exported: dict[str, Any]) -> None:
    rows = read_rows(exported["tasks"], SCHEMA, "label-studio", InterchangeOptions(predictions=True)).rows
    assert [row.text for row in rows] == [TEXT, TEXT]
    assert [row.record for row in rows] == [RECORD, RECORD]
    assert [row.id for row in rows] == ["r-1", "r-1"]
    assert [row.extra for row in rows] == [{"shop": ROW["shop"]}] * 2
    assert [row.confidence for row in rows] == [None, ROW["confidence"]]


def test_it_finds_the_words_that_were_marked(exported: dict[str, Any]) -> None:
    expected = {"Cafe\u0301 GmbH": "company", "🎉": "tags.*", "1,50": "lines.*.total", "0.19": "lines.*.taxes.*.rate"}
    assert exported["words"][1] == []  # a task with a prediction has no annotation
    found = {words: label for words, (label,) in exported["words"][0]}
    assert found.items() >= expected.items()
