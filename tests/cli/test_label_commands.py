"""The commands `label` and `select`, against a real server and a tiny extractor."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from extractft.cli import app

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "labelling"))
from scripted_teacher import Asked, Reply, ScriptedTeacher, teaching

sys.path.pop(0)
RUNNER = CliRunner()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def label(server: ScriptedTeacher, *more: str) -> Any:
    source = ["label", "rows.jsonl", "--schema", "schema.py:Order", "--teacher", server.url, "--model", "big"]
    return RUNNER.invoke(app, [*source, "--output", "labels.jsonl", *more])


def script(asked: Asked) -> Reply:
    if asked.text == "salt":
        return Reply(None, refusal="no")
    note = "new" if asked.text == "rice" and asked.body["seed"] else None
    return Reply(json.dumps({"item": asked.text, "note": note}))


def test_labels_and_doubts(shop: Path) -> None:
    with teaching(script) as server:
        done = label(server)
        assert done.exit_code == 3, done.output
        assert "2 rows in labels.jsonl, 1 records to look over and 1 without one" in done.output
        assert "Answers that were none: 3 Refusal" in done.output
        ready, doubts = lines(shop / "labels.jsonl"), lines(shop / "labels.review.jsonl")
        assert [(row["text"], row["output"]["item"]) for row in ready] == [("tea", "tea"), ("茶 👍", "茶 👍")]
        assert [row["text"] for row in doubts] == ["rice", "salt"]
        assert doubts[0]["output"]["note"] == "new"
        assert doubts[1]["error"] == "OutputInvalidError"
        asked = len(server.asked)
        assert label(server).exit_code == 3
        assert len(server.asked) == asked
        assert label(server, "--samples", "1").exit_code == 1  # another run
        assert label(server, "--samples", "1", "--force").exit_code == 3


def test_labels_are_rows_that_fit_reads(shop: Path) -> None:
    with teaching(script) as server:
        label(server)
    done = RUNNER.invoke(app, ["check", "schema.py:Order", "labels.jsonl"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--teacher", "http://gpu.lan:8000", "--model", "m"], "--allow-host gpu.lan"),
        (["--teacher", "gpu", "--model", "m"], "expected the address of a server"),
        (["--teacher", "http://localhost:1"], "--model"),
        ([], "--teacher or --base-model"),
        (["--base-model", "tiny", "--model", "m"], "is a model of --teacher"),
        (["--teacher", "http://localhost:1", "--model", "m", "--review", "rows.jsonl"], "rows.jsonl is TEXTS as well"),
    ],
)
def test_wrong_usage_sends_nothing(shop: Path, arguments: list[str], message: str) -> None:
    source = ["label", "rows.jsonl", "--schema", "schema.py:Order", "--output", "labels.jsonl"]
    done = RUNNER.invoke(app, [*source, *arguments])
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert not (shop / "labels.jsonl.run").exists()


def test_an_untrained_model_labels_and_is_said_to_be_weak(shop: Path, tiny_base: Path) -> None:
    source = ["label", "rows.jsonl", "--schema", "schema.py:Order", "--output", "labels.jsonl"]
    done = RUNNER.invoke(app, [*source, "--base-model", str(tiny_base)])
    assert done.exit_code in (0, 3), done.output
    assert "weak teacher" in done.output
    assert len(lines(shop / "labels.jsonl")) + len(lines(shop / "labels.review.jsonl")) == 4


def test_select_writes_rows_for_review(shop: Path) -> None:
    done = RUNNER.invoke(app, ["select", "rows.jsonl", "--extractor", "ext", "--count", "3", "--output", "next.jsonl"])
    assert done.exit_code == 0, done.output
    assert "3 of 4 texts chosen" in done.output
    chosen = lines(shop / "next.jsonl")
    assert all({"id", "row", "text", "output"} <= row.keys() for row in chosen)
    certain = [row["confidence"]["record"] for row in chosen if row.get("confidence")]
    assert certain == sorted(certain)


def test_select_without_an_extractor_and_without_what_is_labelled(shop: Path) -> None:
    (shop / "done.txt").write_text("TEA\n", "utf-8")
    done = RUNNER.invoke(app, ["select", "rows.jsonl", "--count", "9", "--labelled", "done.txt"])
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["rice", "茶 👍", "salt"]
    assert RUNNER.invoke(app, ["select", "none.jsonl", "--count", "9"]).exit_code == 2
    assert RUNNER.invoke(app, ["select", "rows.jsonl", "--count", "0"]).exit_code == 2


def test_a_run_that_is_killed_goes_on_and_has_each_row_once(shop: Path) -> None:
    count = 130
    (shop / "many.txt").write_text("".join(f"tea no. {number}\n" for number in range(count)), "utf-8")
    source = [sys.executable, "-m", "extractft", "label", "many.txt", "--schema", "schema.py:Order", "--model", "big"]

    def slowly(asked: Asked) -> Reply:
        return Reply(json.dumps({"item": asked.text}), seconds=0.02)

    with teaching(slowly) as server:
        command = [*source, "--teacher", server.url, "--output", "labels.jsonl", "--samples", "1"]
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(server.asked) < 70 and first.poll() is None:
            time.sleep(0.01)
        first.kill()
        first.wait()
        assert not (shop / "labels.jsonl").exists()
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        asked = [found.text for found in server.asked]
    rows = lines(shop / "labels.jsonl")
    assert [row["text"] for row in rows] == [f"tea no. {number}" for number in range(count)]
    twice = len(asked) - len(set(asked))
    assert len(set(asked)) == count
    assert twice <= 50 + 16  # the shard that was lost, and what was asked for ahead
