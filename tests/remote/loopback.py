"""A fake server behind a socket of 127.0.0.1: what a client meets that no transport in memory shows."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from fake_vllm import FakeServer

Answer = Callable[[httpx.Request], httpx.Response]


class Loopback:
    """Serves a fake on a port that can be closed and opened again."""

    def __init__(self, fake: FakeServer) -> None:
        self.fake = fake
        self.port = 0
        self._http: ThreadingHTTPServer | None = None
        self._sockets: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer._sockets.add(self.connection)

            def finish(self) -> None:
                outer._sockets.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                outer._answer(self)

            do_POST = do_GET

            def log_message(self, *arguments: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *arguments: Any) -> None:
                pass  # a client that goes away, or a server that is killed

        self._http = Server(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def kill(self) -> None:
        """Die: no port, and connections cut in the middle of whatever they were doing."""
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length") or 0)
        content = handler.rfile.read(length)
        headers = list(handler.headers.items())
        request = httpx.Request(handler.command, self.url + handler.path, headers=headers, content=content)
        response = asyncio.run(self.fake.handle_async_request(request))
        handler.send_response(response.status_code)
        for name, value in response.headers.items():
            handler.send_header(name, value)
        if "content-length" not in response.headers:
            handler.send_header("content-length", str(len(response.content)))
        handler.end_headers()
        handler.wfile.write(response.content)
