"""What the page on evaluation shows as output is what its code prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_outputs_on_the_page_are_real(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, Any] = {"__name__": "page"}
    shown = printed = 0
    for language, block in BLOCK.findall(PAGE.read_text("utf-8")):
        if language == "python":
            exec(compile(block, str(PAGE), "exec"), scope)
            output = capsys.readouterr().out
            printed += bool(output)
        else:
            assert output == block
            shown += 1
    assert shown == printed == 3
