"""The command line in processes of its own: encodings, closed and full streams, signals, silence."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., "subprocess.Popen[bytes]"]
GBK = {"PYTHONIOENCODING": "gbk:strict", "PYTHONUTF8": "0"}


def ended(process: subprocess.Popen[bytes], stdin: bytes | None = None) -> tuple[int, str, str]:
    out, err = process.communicate(stdin, timeout=120)
    return process.returncode, (out or b"").decode("utf-8"), (err or b"").decode("utf-8", "replace")


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.mark.parametrize("arguments", [("prompt", "schema.py:Order"), ("check", "schema.py:Order", "rows.jsonl")])
def test_output_is_utf_8_in_a_gbk_terminal(shop: Path, start: Start, arguments: tuple[str, ...]) -> None:
    code, out, err = ended(start(shop, *arguments, env=GBK))
    assert code == 0, err
    assert "item" in out
    assert arguments[0] == "check" or "商品 é 👍" in out


def test_messages_can_be_printed_in_any_terminal(shop: Path, start: Start) -> None:
    code, _, err = ended(start(shop, "check", "schema.py:Order", "👍é.jsonl", env=GBK))
    assert code == 2
    assert "\\U0001f44d" in err


def test_records_and_texts_are_utf_8_in_a_gbk_terminal(shop: Path, start: Start) -> None:
    stdin = b"\xef\xbb\xbf" + '{"text": "茶 👍"}\n'.encode()
    process = start(shop, "extract", "ext", "-", "--review", "r.jsonl", "--min-confidence", "1", env=GBK)
    code, out, err = ended(process, stdin)
    assert code in {0, 3}, err
    rows = [json.loads(line) for line in out.splitlines()] + lines(shop / "r.jsonl")
    assert [row["row"] for row in rows] == [1]
    assert rows[0].get("text", "茶 👍") == "茶 👍"


def test_a_reader_that_goes_away_ends_the_command_quietly(shop: Path, start: Start) -> None:
    process = start(shop, "extract", "ext", "rows.jsonl")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert ended(process) == (141, "", "loading the model ...\n")


def test_a_full_disk_is_a_message(shop: Path, start: Start) -> None:
    with open("/dev/full", "wb") as full:
        code, _, err = ended(start(shop, "extract", "ext", "rows.jsonl", stdout=full))
    assert code == 1
    assert "No space left" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_what_was_extracted_stays_whatever_ends_the_run(
    shop: Path, start: Start, number: signal.Signals, code: int
) -> None:
    (shop / "r.jsonl").write_text("old\n")
    command = ("extract", "ext", "-", "--output", "r.jsonl", "--batch-size", "2", "--force")
    process, partial = start(shop, *command), shop / "r.jsonl.partial"
    assert process.stdin is not None
    process.stdin.write(b"tea\n" * 20)
    process.stdin.flush()
    wait_for(lambda: len(lines(partial)) >= 4, process)
    second, _, told = ended(start(shop, *command), b"")
    assert second == 2
    assert "another run" in told
    process.send_signal(number)
    found, _, err = ended(process)
    assert found == code
    assert len(lines(partial)) >= 4
    assert (shop / "r.jsonl").read_text() == "old\n"
    if number != signal.SIGKILL:
        assert str(partial) in err
        assert "Traceback" not in err
    again, _, told = ended(start(shop, "extract", "ext", "rows.jsonl", "--output", "r.jsonl"), b"")
    assert again == 2
    assert "--force" in told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_fit_says_how_to_go_on(shop: Path, start: Start, number: signal.Signals, code: int) -> None:
    process = start(
        shop, "fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--base-model", "base", "--set", "num_train_epochs=5000",
        "--set", "eval_fraction=0", "--set", "generation.max_new_tokens=12", "--set", "lora.r=2",
    )  # fmt: skip
    wait_for(lambda: any((shop / "x.training").glob("*")), process)
    process.send_signal(number)
    found, _, err = ended(process)
    assert found == code
    assert "--resume" in err
    assert "Traceback" not in err
    assert not (shop / "x").exists()


def test_a_whole_job_says_nothing_but_its_own_lines(shop: Path, start: Start) -> None:
    own = ("never_filled: ", "Saved to ", "4 records, ", "loading the model ...")
    commands = (
        ("fit", "schema.py:Order", "rows.jsonl", "--output", "x", "--base-model", "base", "--set", "num_train_epochs=1",
         "--set", "generation.max_new_tokens=16", "--set", "generation.keep_truncated=true"),
        ("extract", "x", "rows.jsonl", "--output", "r.jsonl", "--explain"),
        ("evaluate", "x", "rows.jsonl", "--baseline", "--output", "e.json", "--html", "e.html"),
        ("check", "schema.py:Order", "rows.jsonl"),
        ("calibrate", "x", "rows.jsonl"),
    )  # fmt: skip
    for arguments in commands:
        code, out, err = ended(start(shop, *arguments))
        assert code == 0, err
        assert [line for line in err.splitlines() if not line.startswith(own)] == []
        assert "%|" not in out
    assert len(lines(shop / "r.jsonl")) == 4
    assert {path.name for path in shop.iterdir() if path.name.startswith(("x", "r.", "e."))} == {
        "x", "x.training", "r.jsonl", "e.json", "e.html",
    }  # fmt: skip
