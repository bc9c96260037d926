"""The command `convert`, there and back."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from extractft.cli import app

RUNNER = CliRunner()


def converted(*arguments: str) -> str:
    done = RUNNER.invoke(app, ["convert", "schema.py:Order", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def lines(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["label-studio", "doccano", "openai", "alpaca", "sharegpt"])
def test_there_and_back(shop: Path, name: str) -> None:
    said = converted("rows.jsonl", "--to", name, "--output", "there.json")
    assert f"4 rows from rows to {name}" in said
    converted("there.json", "--from", name, "--output", "back.jsonl")
    kept = [{"text": row["text"], "output": row["output"]} for row in lines("back.jsonl")]
    assert kept == lines("rows.jsonl")


def test_the_labeling_config_has_the_fields(shop: Path) -> None:
    converted("rows.jsonl", "--to", "label-studio", "-o", "tasks.json", "--labeling-config", "config.xml")
    labels = ElementTree.parse("config.xml").findall("./Labels/Label")
    assert [label.get("value") for label in labels] == ["item", "note"]


def test_what_a_format_does_not_hold_is_said(shop: Path) -> None:
    row = {"id": "x", "text": "tea", "output": {"item": "tea"}, "shop": 3}
    Path("named.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    said = converted("named.jsonl", "--to", "alpaca", "--output", "-")
    assert "not held by alpaca: id (1 rows)" in said
    assert "not held by alpaca: other columns (1 rows)" in said


def test_tasks_without_labels_are_counted(shop: Path) -> None:
    converted("rows.jsonl", "--to", "label-studio", "-o", "tasks.json")
    tasks = json.loads(Path("tasks.json").read_text("utf-8"))
    tasks[0]["annotations"] = []
    Path("tasks.json").write_text(json.dumps(tasks), "utf-8")
    said = converted("tasks.json", "--from", "label-studio", "-o", "back.jsonl")
    assert "3 rows from label-studio to rows, 1 tasks without labels left out" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows.jsonl", "-o", "new.jsonl"], "give one of them"),
        (
            ["rows.jsonl", "--to", "doccano", "-o", "new.jsonl", "--labeling-config", "c.xml"],
            "is for --to label-studio",
        ),
        (["rows.jsonl", "--to", "doccano", "-o", "rows.jsonl"], "rows.jsonl is DATA as well"),
        (["none.jsonl", "--to", "doccano", "-o", "new.jsonl"], "no such file"),
        (["rows.jsonl", "--to", "brat", "-o", "new.jsonl"], "--to"),
    ],
)
def test_wrong_usage_is_told_before_any_work(shop: Path, arguments: list[str], message: str) -> None:
    done = RUNNER.invoke(app, ["convert", "schema.py:Order", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert not Path("new.jsonl").exists()
