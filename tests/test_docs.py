"""Every code block of README and docs runs: Python blocks are executed page by page, commands are parsed.

`Extractor.fit`, `from_base` and `from_pretrained` are replaced by a scripted extractor: they would need a model, and so
would `export`.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from extractft import Extractor
from extractft.cli import app
from extractft.data import load_examples
from extractft.schema import Schema
from extractft.testing import scripted_extractor

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEXT = "龙琳，宁夏回族自治区璐市城东林街g座，nafan@example.com。小区垃圾堆积成山。"
RECORD = {
    "name": "龙琳",
    "address": "宁夏回族自治区璐市城东林街g座",
    "email": "nafan@example.com",
    "question": "小区垃圾堆积成山",
}


def _blocks(language: str) -> list[Any]:
    found = []
    for page in PAGES:
        blocks = [(m.group(2), m.start()) for m in BLOCK.finditer(page.read_text("utf-8")) if m.group(1) == language]
        if blocks:
            found.append(pytest.param(page, blocks, id=str(page.relative_to(ROOT))))
    return found


def _scripted(schema: Any, examples: Any = ()) -> Extractor[Any]:
    spec: Schema[Any] = Schema.of(schema)
    answers = {example.text: example.output for example in examples}
    with contextlib.suppress(ValueError):
        answers[TEXT] = spec.parse_value(RECORD)
    return scripted_extractor(spec, answers)


@pytest.fixture
def in_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    row = json.dumps({"text": TEXT, "output": RECORD}, ensure_ascii=False)
    for name in ("complaints.jsonl", "held-out.jsonl", "new-complaints.jsonl"):
        (tmp_path / name).write_text(row + "\n", encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text(json.dumps({"text": TEXT}, ensure_ascii=False) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def fit(schema: Any, data: Any, *, columns: Any = None, eval_data: Any = None, **_: Any) -> Extractor[Any]:
        spec: Schema[Any] = Schema.of(schema)
        examples = load_examples(data, spec, columns=columns)
        scored = tmp_path / "test.json"  # a page may have written one to score on
        return _scripted(spec, [*examples, *(load_examples(scored, spec) if scored.exists() else ())])

    saved: dict[str, Any] = {}
    monkeypatch.setattr(Extractor, "fit", fit)
    monkeypatch.setattr(Extractor, "from_base", lambda schema, **_: _scripted(schema))
    monkeypatch.setattr(Extractor, "save_pretrained", lambda self, path: saved.__setitem__(str(path), self))
    monkeypatch.setattr(Extractor, "export", lambda self, path, **_: None)
    monkeypatch.setattr(Extractor, "from_pretrained", lambda path, **_: saved[str(path)])
    return tmp_path


@pytest.mark.parametrize(("page", "blocks"), _blocks("python"))
def test_python_blocks_run(page: Path, blocks: list[tuple[str, int]], in_docs: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "docs"}
    for code, start in blocks:
        line = page.read_text("utf-8")[:start].count("\n") + 1
        exec(compile("\n" * line + code, str(page), "exec", dont_inherit=True), namespace)


@pytest.mark.parametrize(("page", "blocks"), _blocks("bash"))
def test_commands_parse(page: Path, blocks: list[tuple[str, int]]) -> None:
    group: Any = typer.main.get_command(app)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for code, _ in blocks:
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["extractft"]:
                command = group.commands[words[1]]
                command.make_context(words[1], words[2:], resilient_parsing=False).close()
            elif words[:1] == ["make"]:
                assert set(words[1:]) <= set(targets), line
            elif words[:1] == ["python"] and words[1] != "-m":
                assert (ROOT / words[1]).is_file(), line
