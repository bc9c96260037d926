"""Servers that are started here: with the right flags and a key, and gone when whoever started them is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from extractft.errors import EngineError
from extractft.remote.managed_server import ManagedServer

PROGRAM = Path(__file__).parent / "fake_program.py"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups")


@pytest.fixture
def behave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    program = tmp_path / "llama-server"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PROGRAM}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("EXTRACTFT_LLAMACPP", str(program))
    monkeypatch.setenv("EXTRACTFT_VLLM", str(program))
    monkeypatch.setenv("FAKE_FOLDER", str(tmp_path))
    return lambda way: monkeypatch.setenv("FAKE_PROGRAM", way)


def starts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("start-*.json"))]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return False


def wait_until(true: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@pytest.mark.parametrize(
    ("kind", "scheme", "flags"),
    [
        ("llama.cpp", "llamacpp", ["--model", "MODEL", "--parallel", "4", "--ctx-size", "8192", "--offline"]),
        ("vllm", "vllm", ["serve", "MODEL", "--max-model-len", "2048", "--max-num-seqs", "4"]),
    ],
)
def test_started_with_flags_and_a_key(
    kind: str, scheme: str, flags: list[str], behave: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave("serve")
    monkeypatch.setenv(f"EXTRACTFT_{scheme.upper()}_ARGS", "--more '1 2'")
    server = ManagedServer(kind, tmp_path / "model", window=2048, slots=4)
    assert server.url.startswith(f"{scheme}+http://127.0.0.1:")
    (start,) = starts(tmp_path)
    arguments = [word.replace(str(tmp_path / "model"), "MODEL") for word in start["arguments"]]
    assert set(flags) <= set(arguments)
    assert arguments[-2:] == ["--more", "1 2"]
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert len(server.api_key) >= 32
    assert server.api_key not in " ".join(arguments)
    assert httpx.get(server.url.partition("+")[2] + "/health", trust_env=False).status_code == 401
    assert all(map(alive, start["pids"]))
    server.close()
    assert not server.is_running()
    assert wait_until(lambda: not any(map(alive, start["pids"])))


def test_a_program_that_ends_says_why(behave: Any, tmp_path: Path) -> None:
    behave("fail")
    with pytest.raises(EngineError, match="Expected llama-server to serve within 60 seconds") as caught:
        ManagedServer("llama.cpp", tmp_path, window=2048, patience=60)
    assert "loading weights\nno such model" in caught.value.__notes__[0]
    (start,) = starts(tmp_path)
    assert wait_until(lambda: not any(map(alive, start["pids"])))


def test_a_port_that_somebody_else_took(behave: Any, tmp_path: Path) -> None:
    behave("busy-once")
    server = ManagedServer("llama.cpp", tmp_path, window=2048)
    assert len(starts(tmp_path)) == 2
    server.close()


def test_not_ready_in_time(behave: Any, tmp_path: Path) -> None:
    behave("never-ready")
    with pytest.raises(EngineError, match=r"within 1\.5 seconds"):
        ManagedServer("llama.cpp", tmp_path, window=2048, patience=1.5)
    (start,) = starts(tmp_path)
    assert wait_until(lambda: not any(map(alive, start["pids"])))


def test_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EXTRACTFT_VLLM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="to start a server with, found no vllm on the path") as caught:
        ManagedServer("vllm", tmp_path, window=2048)
    assert "EXTRACTFT_VLLM" in caught.value.__notes__[0]
    monkeypatch.setenv("EXTRACTFT_VLLM", "/nowhere/vllm")
    with pytest.raises(EngineError, match="found '/nowhere/vllm' of EXTRACTFT_VLLM, which cannot be run"):
        ManagedServer("vllm", tmp_path, window=2048)


PARENT = """
import sys, time, os
from pathlib import Path
from extractft.remote.managed_server import ManagedServer
server = ManagedServer("llama.cpp", Path("model"), window=2048)
if sys.argv[1] == "fork" and os.fork() == 0:
    time.sleep(600)
print("ready", flush=True)
if sys.argv[1] == "raise":
    raise RuntimeError
if sys.argv[1] != "end":
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_server_is_gone_when_a_process_has_ended_by_itself(behave: Any, tmp_path: Path) -> None:
    behave("end-late")
    subprocess.run([sys.executable, "-c", PARENT, "end"], check=True, capture_output=True, timeout=60)
    (start,) = starts(tmp_path)
    assert not any(map(alive, start["pids"]))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("way", ["kill", "terminate", "raise", "fork"])
def test_the_server_ends_with_the_process_that_started_it(way: str, behave: Any, tmp_path: Path) -> None:
    behave("serve")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, way], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    (start,) = starts(tmp_path)
    assert way == "raise" or all(map(alive, start["pids"]))
    if way != "raise":
        parent.send_signal(signal.SIGTERM if way == "terminate" else signal.SIGKILL)
    parent.wait(30)
    gone = wait_until(lambda: not any(map(alive, start["pids"])))
    if way == "fork":
        os.killpg(parent.pid, signal.SIGKILL)
    parent.stdout.close()
    assert gone


@pytest.mark.skipif(sys.platform != "linux", reason="the supervisor's own death")
def test_the_server_ends_with_its_supervisor(behave: Any, tmp_path: Path) -> None:
    behave("serve")
    server = ManagedServer("llama.cpp", tmp_path, window=2048)
    (start,) = starts(tmp_path)
    os.kill(start["pids"][1], signal.SIGKILL)
    assert wait_until(lambda: not alive(start["pids"][0]))
    server.close()
    os.kill(start["pids"][2], signal.SIGKILL)  # a child of the program is beyond its reach
