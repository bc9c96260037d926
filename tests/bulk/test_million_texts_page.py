"""The commands of the page *A million texts* are run, each in turn, with a tiny model on files as the page has them."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from extractft import Extractor, GenerationConfig
from extractft.cli import app
from extractft.cli.app import ROWS_FAILED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "million-texts.md"
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


class Complaint(BaseModel):
    name: str | None = None
    question: str | None = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    folder = tmp_path_factory.mktemp("million")
    generation = GenerationConfig(max_new_tokens=12, keep_truncated=True)
    extractor: Extractor[Any] = Extractor.from_base(Complaint, base_model=str(tiny_base), generation=generation)
    extractor.save_pretrained(folder / "complaint-extractor")
    texts = ["tea", "rice", "茶", "tea"]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "calls").mkdir()
    for number in range(2):
        table = f'编号,消息\n{number}-1,"茶\n第二行"\n{number}-2,米\n'
        (folder / f"calls/{number}.csv.gz").write_bytes(gzip.compress(table.encode("gb18030")))
    rows = [{"message": {"body": text}, "shop": number, "seen": ["a"]} for number, text in enumerate(texts)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "calls.parquet")
    with closing(sqlite3.connect(folder / "calls.db")) as database, database:
        database.execute("CREATE TABLE calls (code TEXT, body TEXT)")
        database.executemany("INSERT INTO calls VALUES (?, ?)", [(f"c{n}", text) for n, text in enumerate(texts)])
    requests = [
        {"custom_id": f"r{number}", "body": {"messages": [{"role": "user", "content": text}]}}
        for number, text in enumerate(texts)
    ]
    (folder / "requests.jsonl").write_text("".join(json.dumps(request) + "\n" for request in requests))
    return folder


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(folder)
    words = shlex.split(command)
    assert words[0] == "extractft"
    done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert done.exit_code in (0, ROWS_FAILED), done.output
    output = Path(words[words.index("--output") + 1])
    summary = json.loads((output / "summary.json").read_text())
    assert summary["rows"] == 4
    assert summary["records"] + summary["review"] + summary["failed"] == 4
    assert summary["errors"].keys() <= {"OutputInvalidError"}
    again = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert again.exit_code == done.exit_code
