"""Data in other encodings, in several files, folders and patterns, and messages that may quote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from typer.testing import CliRunner

from extractft.cli import app

GB = "gb18030"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def records(shown: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.splitlines() if line.startswith("{")]


@pytest.fixture
def parts(shop: Path) -> Path:
    lines = (shop / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    (shop / "part").mkdir()
    (shop / "part/a.jsonl").write_text(lines[0] + "\n" + lines[1] + "\n", encoding="utf-8")
    (shop / "part/b.jsonl").write_text(lines[2] + "\n" + lines[3] + "\n", encoding="utf-8")
    return shop


@pytest.mark.parametrize(
    "names", [("part/a.jsonl", "part/b.jsonl"), ("part",), ("part/*.jsonl",), ("part/a.jsonl", "part/b*")]
)
def test_check_and_extract_read_all_files(parts: Path, names: tuple[str, ...]) -> None:
    done = run("check", "schema.py:Order", *names, "--output", "found.json")
    assert done.exit_code == 0, done.output
    assert json.loads((parts / "found.json").read_text())["train_rows"] == 4
    done = run("extract", "ext", *names)
    assert [record["row"] for record in records(done.stdout)] == [1, 2, 3, 4], done.output


def test_evaluate_reads_all_files_in_their_encoding(parts: Path) -> None:
    for name in ("a", "b"):
        path = parts / f"part/{name}.jsonl"
        path.write_bytes(path.read_text(encoding="utf-8").replace("👍", "好").encode(GB))
    wrong = run("check", "schema.py:Order", "part")
    assert wrong.exit_code == 1
    done = run("evaluate", "ext", "part", "--encoding", GB, "--output", "report.json")
    assert done.exit_code == 0, done.output
    assert json.loads((parts / "report.json").read_text())["rows"] == 4


def test_texts_in_another_encoding_from_files_and_from_standard_input(shop: Path) -> None:
    (shop / "texts.txt").write_bytes("茶 好\n".encode(GB))
    for source, stdin in (("texts.txt", None), ("-", "茶 好\n".encode(GB))):
        arguments = [
            "extract",
            "ext",
            source,
            "--encoding",
            GB,
            "--review",
            "r.jsonl",
            "--min-confidence",
            "1",
            "--force",
        ]
        done = CliRunner().invoke(app, arguments, input=stdin)
        assert done.exit_code in {0, 3}, done.output
        rows = [*records(done.stdout), *records((shop / "r.jsonl").read_text(encoding="utf-8"))]
        assert rows[0].get("text", "茶 好") == "茶 好"


def test_bad_rows_are_named_by_file_and_quoted_on_demand_alone(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (parts / "part/c.jsonl").write_text('{"text": "tea", "output": {"item": 77}}\n')
    shown = str(run("check", "schema.py:Order", "part").exception)
    assert "c.jsonl, row 1, item" in shown
    assert "77" not in shown
    assert "77" in str(run("check", "schema.py:Order", "part", "--show-values").exception)


def test_a_bad_text_of_several_files_is_named_by_its_file(parts: Path) -> None:
    (parts / "part/c.jsonl").write_text('{"words": "tea"}\n')
    last = records(run("extract", "ext", "part").stdout)[-1]
    assert last["row"] == 5
    assert "c.jsonl, row 1: " in last["message"]


def test_the_result_as_data_on_standard_output(shop: Path) -> None:
    done = run("check", "schema.py:Order", "rows.jsonl", "--output", "-")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["train_rows"] == 4
    assert "few_examples" in done.stderr


def test_a_folder_that_datasets_saved(parts: Path) -> None:
    rows = [json.loads(line) for line in (parts / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    datasets.Dataset.from_list(
        [{"text": row["text"], "output": json.dumps(row["output"])} for row in rows]
    ).save_to_disk(parts / "saved")
    done = run("check", "schema.py:Order", "saved", "--output", "found.json")
    assert done.exit_code == 0, done.output
    assert json.loads((parts / "found.json").read_text())["train_rows"] == len(rows)
