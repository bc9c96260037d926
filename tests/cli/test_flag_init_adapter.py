"""Going on from a saved extractor, which brings its schema, base model, columns and prompt with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from extractft.cli import app
from extractft.cli.inputs import schema_and_data

QUICK = ("--set", "num_train_epochs=1", "--set", "eval_fraction=0", "--set", "generation.max_new_tokens=12")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_a_fit_goes_on_without_schema_base_model_and_columns(shop: Path) -> None:
    rows = [json.loads(line) for line in (shop / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    (shop / "named.jsonl").write_text(
        "".join(json.dumps({"words": row["text"], "output": row["output"]}) + "\n" for row in rows)
    )
    columns = ("--column", "text=words")
    first = run("fit", "schema.py:Order", "named.jsonl", "--output", "a", "--base-model", "base", *columns, *QUICK)
    assert first.exit_code == 0, first.output
    for arguments in (("named.jsonl", "--output", "b"), ("schema.py:Order", "named.jsonl", "--output", "c")):
        done = run("fit", *arguments, "--init-adapter", "a", *QUICK)
        assert done.exit_code == 0, (done.output, done.exception)
    before, after, other = (json.loads((shop / name / "manifest.json").read_text(encoding="utf-8")) for name in "abc")
    for name in ("schema_fingerprint", "base_model", "system_prompt"):
        assert before[name] == after[name] == other[name]
    assert run("fit", "rows.jsonl", "--output", "d").exit_code == 2


def test_the_first_argument_is_a_schema_if_it_looks_like_one(shop: Path) -> None:
    (shop / "a:b").write_text("")
    assert schema_and_data(["schema.py:Order", "x.jsonl", "y.jsonl"], optional=False) == (
        "schema.py:Order",
        ["x.jsonl", "y.jsonl"],
    )
    assert schema_and_data(["my.schema:Order.Inner", "x"], optional=True) == ("my.schema:Order.Inner", ["x"])
    for data in (["x.jsonl"], ["a:b"], ["C:\\data\\x.jsonl", "y"], ["data/2024-01-01T10:30.jsonl"]):
        assert schema_and_data(data, optional=True) == (None, data)
        with pytest.raises(typer.BadParameter, match="module:Class"):
            schema_and_data(data, optional=False)
    with pytest.raises(typer.BadParameter, match="expected files"):
        schema_and_data(["schema.py:Order"], optional=True)


def test_corrections_are_added_and_both_scores_printed(shop: Path) -> None:
    quick = ("--set", "num_train_epochs=1", "--set", "eval_fraction=0.5", "--set", "generation.max_new_tokens=12")
    assert run("fit", "schema.py:Order", "rows.jsonl", "--output", "a", "--base-model", "base", *quick).exit_code == 0
    (shop / "more.jsonl").write_text('{"text": "tea", "output": {"item": "cup of tea"}}\n')
    done = run("fit", "rows.jsonl", "--add", "more.jsonl", "--init-adapter", "a", "--output", "b", *quick)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "held-out rows: field F1" in done.output
    manifests = [json.loads((shop / name / "manifest.json").read_text(encoding="utf-8")) for name in "ab"]
    assert manifests[0]["held_out"]["ranges"] == manifests[1]["held_out"]["ranges"]
    again = run(
        "fit", "rows.jsonl", "--add", "more.jsonl", "--init-adapter", "b", "--from-scratch", "--output", "c", *quick
    )
    assert again.exit_code == 0, (again.output, again.exception)
    assert run("fit", "schema.py:Order", "rows.jsonl", "--from-scratch", "--output", "d").exit_code == 2
    assert run("fit", "rows.jsonl", "--add", "none.jsonl", "--init-adapter", "a", "--output", "d").exit_code == 2
