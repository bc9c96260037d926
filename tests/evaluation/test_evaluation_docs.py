"""What the pages on evaluation and confidence show as output is what its code prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["evaluation.md", "confidence.md"])
def test_outputs_on_the_page_are_real(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = DOCS / name
    scope: dict[str, Any] = {"__name__": "page"}
    shown = printed = 0
    for language, block in BLOCK.findall(page.read_text("utf-8")):
        if "extractor" in block:  # needs a model: tests/test_docs.py runs it with a script
            continue
        if language == "python":
            exec(compile(block, str(page), "exec"), scope)
            output = capsys.readouterr().out
            printed += bool(output)
        else:
            assert output == block
            shown += 1
    assert shown == printed > 0
