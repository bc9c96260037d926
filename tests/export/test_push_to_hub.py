"""Uploads, against a double of the hub's HTTP API on loopback."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_" + "x" * 34
PUSH = """
import sys
from extractft import Extractor
extractor = Extractor.from_pretrained(sys.argv[1])
print(extractor.push_to_hub(sys.argv[2], format="adapter"))
"""


@dataclass
class FakeHub:
    """What was asked of it.

    Attributes:
        repos: Repositories that were made, with the body of the request.
        files: Files of the last commit.
        refuse: Status that every request is answered with instead.
    """

    repos: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    refuse: int = 0
    address: str = ""


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    state = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._body()
            if state.refuse or self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._answer(state.refuse or 401, {"error": "no"})
            if self.path == "/api/repos/create":
                wanted = json.loads(body)
                name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
                state.repos[name] = wanted
                return self._answer(200, {"url": f"{state.address}/{name}", "id": "1", "name": name})
            if self.path == "/api/validate-yaml":
                return self._answer(200, {"errors": [], "warnings": []})
            if "/preupload/" in self.path:
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                return self._answer(200, {"files": files})
            if "/commit/" in self.path:
                for line in body.decode().splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        state.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
                return self._answer(
                    200, {"commitUrl": f"{state.address}/house/orders/commit/1", "commitOid": "1", "hookOutput": ""}
                )
            return self._answer(404, {"error": self.path})

        def do_GET(self) -> None:
            self._answer(state.refuse or 404, {"error": self.path})

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: int, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def _push(
    hub: FakeHub, extractor: Path, repo: str, home: Path, *, token: str | None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home)}
    environment.pop("HF_TOKEN", None)
    if token:
        environment["HF_TOKEN"] = token
    command = [sys.executable, "-c", PUSH, str(extractor), repo]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_an_export_arrives_whole_in_a_private_repository(hub: FakeHub, tuned: Path, tmp_path: Path) -> None:
    done = _push(hub, tuned, "house/orders", tmp_path, token=TOKEN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.address}/house/orders/commit/1"
    asked = hub.repos["house/orders"]
    assert asked.get("visibility") == "private" or asked.get("private") is True  # the client's older word
    record = json.loads(hub.files["export.json"])
    assert hub.files.keys() == {*record["files"], "export.json"}
    assert hub.files["adapter_model.safetensors"] == (tuned / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("token", "refuse", "repo", "expected"),
    [
        (None, 0, "house/orders", "Expected a token of the Hugging Face hub"),
        ("hf_wrong", 0, "house/orders", "the hub answered 401"),
        (TOKEN, 403, "house/orders", "the hub answered 403"),
        (TOKEN, 0, "a/b/c", "Expected a repository such as"),
    ],
)
def test_refusals_say_what_to_do(
    hub: FakeHub, tuned: Path, tmp_path: Path, token: str | None, refuse: int, repo: str, expected: str
) -> None:
    hub.refuse = refuse
    done = _push(hub, tuned, repo, tmp_path, token=token)
    assert done.returncode == 1
    assert expected in done.stderr
    assert not hub.files
