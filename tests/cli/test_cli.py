"""The command line, run in this process with a tiny model."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from extractft import __version__
from extractft.cli import app, main

SCHEMA = """
from pydantic import BaseModel

class Order(BaseModel):
    item: str
    note: str | None = None
"""
ROWS = [
    {"text": "tea", "output": {"item": "tea"}},
    {"text": "rice now", "output": {"item": "rice", "note": "now"}},
    {"text": "one 茶", "output": {"item": "茶"}},
    {"text": "salt", "output": {"item": "salt"}},
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "schema.py").write_text(SCHEMA)
    (folder / "broken.py").write_text("raise ValueError(1)")
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "bad.jsonl").write_text(lines[0] + '\n{"text": "x", "output": {"item": 3}}\nno json\n')
    (folder / "texts.jsonl").write_text('{"text": "tea"}\n{"words": "x"}\n{"text": "rice now"}\n')
    done = run(
        folder, "fit", "schema.py:Order", "rows.jsonl", "--output", "out", "--base-model", str(tiny_base),
        "--set", "num_train_epochs=60", "--set", "learning_rate=0.02", "--set", "eval_fraction=0", "--set", "lora.r=8",
        "--set", "lora.lora_dropout=0", "--set", "seed=1", "--set", "warmup_steps=0",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def run(folder: Path, *arguments: str, stdin: str | None = None) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, list(arguments), input=stdin)


def test_version_and_help() -> None:
    first, *others = CliRunner().invoke(app, ["--version"]).stdout.splitlines()
    assert first == f"extractft {__version__}"
    assert f"torch {importlib.metadata.version('torch')}" in others
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert all(command in shown for command in ("fit", "extract", "evaluate", "check", "prompt", "demo"))


def test_extract_writes_one_line_a_row_and_says_that_a_row_failed(workplace: Path) -> None:
    done = run(workplace, "extract", "out", "texts.jsonl")
    assert done.exit_code == 3, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["row"] for line in lines] == [1, 2, 3]
    assert lines[0]["output"] == {"item": "tea", "note": None}
    assert lines[1]["error"] == "DatasetError"
    assert lines[2]["output"] == {"item": "rice", "note": "now"}


def test_extract_reads_standard_input_and_writes_a_file(workplace: Path) -> None:
    done = run(workplace, "extract", "out", "-", "--output", "records.jsonl", stdin="tea\nsalt\n")
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in (workplace / "records.jsonl").read_text().splitlines()]
    assert [record["output"]["item"] for record in records] == ["tea", "salt"]


@pytest.mark.parametrize("column", ["words", "text=words"])
def test_the_column_of_the_text_is_said_the_same_way_everywhere(workplace: Path, column: str) -> None:
    rows = [json.dumps({"words": row["text"], "output": row["output"]}, ensure_ascii=False) for row in ROWS]
    (workplace / "words.jsonl").write_text("\n".join(rows) + "\n")
    assert run(workplace, "check", "schema.py:Order", "words.jsonl", "--column", column).exit_code == 0
    assert run(workplace, "evaluate", "out", "words.jsonl", "--column", column).exit_code == 0
    shutil.copytree(workplace / "out", workplace / "own", dirs_exist_ok=True)
    assert run(workplace, "calibrate", "own", "words.jsonl", "--column", column).exit_code == 0
    found = run(workplace, "extract", "out", "words.jsonl", "--column", column)
    assert found.exit_code == 0, found.output
    assert [json.loads(line)["row"] for line in found.stdout.splitlines()] == [1, 2, 3, 4]
    done = run(workplace, "run", "out", "words.jsonl", "--output", f"shards-{len(column)}", "--column", column)
    assert done.exit_code == 0, done.output
    assert "[text=]COLUMN" in run(workplace, "extract", "--help").stdout
    assert "[NAME=]COLUMN" in run(workplace, "evaluate", "--help").stdout


def test_texts_in_another_encoding_say_which_option_helps(workplace: Path) -> None:
    (workplace / "gbk.txt").write_bytes("龙琳来电，说快递还没有收到\ntea\n".encode("gb18030"))
    found = [
        json.loads(line) for line in run(workplace, "extract", "out", "gbk.txt").stdout.splitlines() if line[0] == "{"
    ]
    assert "what looks like GB18030" in found[0]["message"]
    assert found[0]["message"].endswith("; see --encoding")
    assert "output" in found[1]
    assert run(workplace, "extract", "out", "gbk.txt", "--encoding", "gb18030").exit_code == 0


def test_a_column_with_an_equals_sign(workplace: Path) -> None:
    (workplace / "odd.csv").write_text("a=b,item,note\ntea,tea,\nrice,rice,\n")
    assert run(workplace, "check", "schema.py:Order", "odd.csv", "--column", "text=a=b").exit_code == 0
    assert run(workplace, "extract", "out", "odd.csv", "--column", "text=a=b").exit_code == 0


def test_extract_explains_its_records(workplace: Path) -> None:
    done = run(workplace, "extract", "out", "-", "--explain", stdin="tea\n")
    assert done.exit_code == 0, done.output
    (line,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert line["spans"]["item"] == [{"start": 0, "end": 3, "method": "exact"}]
    assert 0 < line["confidence"]["record"] <= 1
    assert 0 < line["confidence"]["fields"]["item"] <= 1


def test_doubtful_records_go_to_the_review_file(workplace: Path) -> None:
    for least, kept in (("0", 2), ("1", 0)):
        done = run(
            workplace,
            "extract",
            "out",
            "-",
            "--review",
            "r.jsonl",
            "--min-confidence",
            least,
            "--force",
            stdin="tea\nsalt\n",
        )
        assert done.exit_code == 0, done.output
        assert len([line for line in done.stdout.splitlines() if line.startswith("{")]) == kept
        aside = [json.loads(line) for line in (workplace / "r.jsonl").read_text().splitlines()]
        assert len(aside) == 2 - kept
    assert [line["text"] for line in aside] == ["tea", "salt"]
    assert aside[0]["output"]["item"] == "tea"
    assert "spans" in aside[0]


def test_evaluate_with_the_class_and_the_baseline(workplace: Path) -> None:
    done = run(
        workplace, "evaluate", "out", "rows.jsonl", "--schema", "schema.py:Order", "--baseline", "--output", "r.json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads((workplace / "r.json").read_text())["exact_rate"] == 1
    assert "baseline" in done.stdout


def test_calibrate_says_what_it_found_and_keeps_it(workplace: Path) -> None:
    shutil.copytree(workplace / "out", workplace / "calibrated", dirs_exist_ok=True)
    assert json.loads((workplace / "calibrated" / "manifest.json").read_text())["calibration"] is None
    done = run(workplace, "calibrate", "calibrated", "rows.jsonl")
    assert done.exit_code == 0, done.output
    values, records = done.stdout.splitlines()
    assert values.startswith("values: 5, 1.000 right")
    assert records.startswith("records: 4, 1.000 right")
    assert json.loads((workplace / "calibrated" / "manifest.json").read_text())["calibration"]["records"]
    explained = run(workplace, "extract", "calibrated", "texts.jsonl", "--explain").stdout.splitlines()[0]
    assert json.loads(explained)["confidence"]["calibrated"]


def test_check_is_content_or_not(workplace: Path) -> None:
    assert run(workplace, "check", "schema.py:Order", "rows.jsonl").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setattr("sys.argv", ["extractft", "check", "schema.py:Order", "bad.jsonl"])
        with pytest.raises(SystemExit) as caught:
            main()
    assert caught.value.code == 1


def test_errors_go_to_stderr_with_what_to_do(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr("sys.argv", ["extractft", "extract", "no-such-extractor", "texts.jsonl"])
    with pytest.raises(SystemExit) as caught:
        main()
    shown = capsys.readouterr()
    assert caught.value.code == 2
    assert shown.out == ""
    assert "no-such-extractor" in shown.err
    assert "written by `extractft fit`" in shown.err


def test_prompt_shows_what_the_model_sees(workplace: Path, tiny_base: Path) -> None:
    assert "item" in run(workplace, "prompt", "schema.py:Order").stdout
    whole = run(workplace, "prompt", "schema.py:Order", "--text", "hello", "--base-model", str(tiny_base)).stdout
    assert "<|im_start|>user\nhello<|im_end|>" in whole


@pytest.mark.parametrize(
    "arguments",
    [
        ("prompt", "schema.py"),
        ("prompt", "missing.py:Order"),
        ("prompt", "schema.py:Nothing"),
        ("prompt", "no_such_module:Order"),
        ("prompt", "schema.py:Order", "--language", "fr"),
        ("fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--set", "no_such_setting=1"),
        ("fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--set", "learning_rate"),
        ("fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--config", "bad.jsonl"),
        ("fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--config", "missing.json"),
        ("prompt", "broken.py:Order"),
    ],
)
def test_wrong_usage_is_2(workplace: Path, arguments: tuple[str, ...]) -> None:
    done = run(workplace, *arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("arguments", [("check", "schema.py:Order", "rows.jsonl"), ("prompt", "schema.py:Order")])
def test_commands_run_in_a_process_of_their_own(workplace: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "extractft", *arguments]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "item" in done.stdout


def test_learning_curve_and_the_page(workplace: Path) -> None:
    done = run(
        workplace, "learning-curve", "schema.py:Order", "rows.jsonl", "--eval-data", "rows.jsonl", "--fractions", "0.5,1",
        "--output", "curve.json", "--base-model", json.loads((workplace / "out" / "manifest.json").read_text())["base_model"]["name"],
        "--set", "num_train_epochs=2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    points = json.loads((workplace / "curve.json").read_text())
    assert [point["rows"] for point in points] == [2, 4]
    assert "4 rows: field F1" in done.stdout
    assert done.stdout.strip().splitlines()[-1].split()[0].rstrip(":") in {"Yes", "No", "Perhaps", "Probably"}
    done = run(workplace, "evaluate", "out", "rows.jsonl", "--html", "report.html", "--curve", "curve.json")
    assert done.exit_code == 0, done.output
    page = (workplace / "report.html").read_text()
    assert "Content-Security-Policy" in page
    assert "2 rows" in page or ">2<" in page
    wrong = run(workplace, "learning-curve", "schema.py:Order", "rows.jsonl", "--fractions", "half")
    assert wrong.exit_code == 2
