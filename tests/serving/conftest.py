"""Fixtures: the service on a real uvicorn on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from running_server import ORDERS, TICKETS, Order, RunningServer, Ticket

from extractft.serving import ServerConfig, create_app
from extractft.testing import scripted_extractor


@pytest.fixture
def serve() -> Iterator[Callable[..., RunningServer]]:
    """Start a service: `serve({"orders": extractor}, max_queue=2)`; it ends with the test."""
    running: list[RunningServer] = []

    def start(extractors: Any = None, *, routers: Any = (), **settings: Any) -> RunningServer:
        chosen = extractors or {
            "orders": scripted_extractor(Order, ORDERS),
            "tickets": scripted_extractor(Ticket, TICKETS),
        }
        app = create_app(chosen, ServerConfig(**settings), routers=routers)
        running.append(RunningServer(app).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()
