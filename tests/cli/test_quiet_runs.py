"""A good run prints the lines of extractft and nothing of other libraries: no bars for loading or writing, no warnings."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from cli.test_processes import ended, wait_for

Start = Callable[..., subprocess.Popen[bytes]]
FOREIGN = re.compile(r"%\||it/s|Warning|warnings\.warn|Loading weights|Writing model shards|INFO:|Traceback")
COMMANDS = {
    "run": (("ext", "rows.jsonl", "--output", "records"), "reading the input|4 records, |0 rows |Output in |Drift"),
    "export": (("ext", "merged", "--data", "rows.jsonl"), "Exported to merged"),
    "evaluate": (("ext", "rows.jsonl"), ""),
    "select": (
        ("rows.jsonl", "--extractor", "ext", "--count", "2", "--output", "next.jsonl"),
        "2 of 4 |loading|reading",
    ),
    "label": (
        ("rows.jsonl", "--schema", "schema.py:Order", "--base-model", "base", "--output", "l.jsonl"),
        "An untrained model|reading the input|0 rows in|For review: |Without a record: ",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_good_run_prints_its_own_lines(shop: Path, start: Start, name: str) -> None:
    arguments, own = COMMANDS[name]
    code, out, err = ended(start(shop, name, *arguments))
    assert code in (0, 3), err
    assert not FOREIGN.search(out + err), out + err
    if name != "run":  # which ends with a table
        assert [line for line in err.splitlines() if not re.match(own or "$", line)] == []


def test_a_server_logs_its_own_lines_alone(shop: Path, start: Start) -> None:
    process = start(shop, "serve", "ext", "--port", "0", "--schema", "schema.py:Order")
    assert process.stderr is not None
    log: list[str] = []
    for line in process.stderr:
        log.append(line.decode("utf-8"))
        if "listening" in log[-1]:
            break
    found = re.search(r"listening address=(\S+)", "".join(log))
    assert found, "".join(log)
    address = found[1] if found[1].startswith("http") else f"http://{found[1]}"
    wait_for(lambda: httpx.get(f"{address}/health/ready").status_code == 200, process)
    answer = httpx.post(f"{address}/v1/ext/extract", json={"text": "tea"}, timeout=120)
    assert answer.status_code == 200, answer.text
    assert set(json.loads(answer.text)) == {"record", "truncated"}
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert (code, out) == (0, "")
    log.append(err)
    assert not FOREIGN.search("".join(log)), "".join(log)
