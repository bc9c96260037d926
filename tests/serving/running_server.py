"""An application on a real uvicorn on loopback, in a thread of this process, and extractors to serve."""

from __future__ import annotations

import threading
import time
from datetime import date
from typing import Any

import httpx
import uvicorn
from pydantic import BaseModel


class Order(BaseModel):
    """An order."""

    customer: str
    total: float | None = None
    due: date | None = None


class Ticket(BaseModel):
    """A ticket."""

    question: str


ORDERS = {
    "Ada ordered for 12.50, due 2026-01-02.": Order(customer="Ada", total=12.5, due=date(2026, 1, 2)),
    "Grace ordered.": Order(customer="Grace"),
    "小明 ordered 👩‍💻.": Order(customer="小明"),
}
TICKETS = {"Where is it?": Ticket(question="Where is it?")}


class RunningServer:
    """An application on a real server, in a thread."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.app = app
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False, **options)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> RunningServer:
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started:
            assert time.monotonic() < deadline, "the server did not start"
            assert self.thread.is_alive(), "the server ended"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=20)
        assert not self.thread.is_alive(), "the server did not end"

    @property
    def port(self) -> int:
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False, **options)
