"""A real HTTP server with chat completions that answers by a script: right, wrong, refusing, slow or broken."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """A request that came.

    Attributes:
        text: The user's turn.
        body: All of it.
        headers: Its headers.
    """

    text: str
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Reply:
    """What the server does with a request.

    Attributes:
        content: The message; `None` for none.
        status: The HTTP status.
        finish_reason: Why the answer ended.
        refusal: Words of a refusal.
        seconds: Wait before the answer.
        raw: The whole body, in place of a chat completion.
    """

    content: str | None = None
    status: int = 200
    finish_reason: str = "stop"
    refusal: str | None = None
    seconds: float = 0.0
    raw: bytes | None = None

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": "no"}}).encode()
        message = {"role": "assistant", "content": self.content, "refusal": self.refusal}
        return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}]}).encode()


@dataclass
class ScriptedTeacher:
    """A server under way."""

    url: str
    models: list[str] | None = None
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def teaching(script: Callable[[Asked], Reply]) -> Iterator[ScriptedTeacher]:
    found = ScriptedTeacher("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = Asked(body["messages"][-1]["content"], body, dict(self.headers))
            found.asked.append(asked)
            reply = script(asked) if self.path == "/v1/chat/completions" else Reply(status=404)
            time.sleep(reply.seconds)
            content = reply.body()
            try:
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # the client has gone

        def do_GET(self) -> None:
            listed = found.models is not None and self.path == "/v1/models"
            content = json.dumps({"data": [{"id": name} for name in found.models or ()]}).encode()
            self.send_response(200 if listed else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
