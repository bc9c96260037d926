"""An application on a real uvicorn on loopback, in a thread of this process, and extractors to serve."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import httpx
import uvicorn
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig
from extractft.completion import Completion
from extractft.testing import ScriptedEngine, scripted_extractor


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


class GatedEngine(ScriptedEngine):
    """Answers from a script, each text when it is let go; notes what was cancelled.

    Attributes:
        begun: Texts that it has begun, in order.
        cancelled: Texts that were given up.
    """

    def __init__(self, script: Any, chat: Any) -> None:
        super().__init__(script, chat)
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self._open = threading.Condition()
        self._let_go: set[str] = set()
        self._all = False

    def generate(self, requests: Any, *, batch_size: int | None = None) -> Iterator[Any]:
        for request in requests:
            text = self._chat.decode(request.draft_ids)
            with self._open:
                self.begun.append(text)
                assert self._open.wait_for(lambda text=text: self._all or text in self._let_go, timeout=30)
            if text in self.cancelled:
                yield Completion((), "error", "The request was cancelled.")
            else:
                yield self._complete(request)

    def cancel(self, request: Any) -> None:
        text = self._chat.decode(request.draft_ids)
        with self._open:
            self.cancelled.append(text)
            self._let_go.add(text)
            self._open.notify_all()

    def let_go(self, *texts: str) -> None:
        """Answer these, or everything from now on if none are named."""
        with self._open:
            self._let_go.update(texts)
            self._all = self._all or not texts
            self._open.notify_all()


def gated_extractor(batch_size: int = 16) -> Extractor[Ticket]:
    """An extractor whose record is the text itself; its `engine` is a `GatedEngine`."""
    double = scripted_extractor(Ticket, {})
    chat, grammar = double._pipeline.chat, double._pipeline.grammar
    engine = GatedEngine(lambda text: double.schema.canonical_json(Ticket(question=text)), chat)
    generation = GenerationConfig(batch_size=batch_size)
    return Extractor(double.schema, chat, engine, grammar, generation=generation, max_window=100_000)


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.005)
