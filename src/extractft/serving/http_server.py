"""The server around the application: a socket, uvicorn, loading, and an end that loses nothing it has accepted.

On SIGTERM or Ctrl-C it says that it is not ready, takes no more texts, finishes what is under way within the grace
period, and ends; a second signal ends at once what is left. Knows signals and sockets; knows no extractors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI

from extractft.errors import ConfigError
from extractft.serving.extraction_service import ExtractionService
from extractft.serving.idle_connections import IdleConnections
from extractft.serving.late_application import LateApplication
from extractft.serving.request_log import log_event
from extractft.serving.server_config import ServerConfig

__all__ = ["HttpServer", "run_server"]

BACKLOG = 2048
TICK = 0.02
LAST_SECONDS = 5
"""Seconds in which answers that are written have to be taken, once everything is finished or cut off."""


def run_server(load: Callable[[], FastAPI], settings: ServerConfig) -> bool:
    """Listen, load the application, and serve it until a signal says to stop.

    Args:
        load: Makes the application, in a thread of its own; `/health/ready` says no meanwhile.
        settings: Those of the service.

    Returns:
        True if everything that was accepted was finished.

    Raises:
        ConfigError: The address cannot be listened on.
        Exception: What `load` raised.
    """
    server = HttpServer(load, settings)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        return runner.run(server.run())


class _QuietServer(uvicorn.Server):
    """uvicorn's server without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class HttpServer:
    """A server for one application.

    Args:
        load: Makes the application.
        settings: Those of the service.

    Raises:
        ConfigError: The address cannot be listened on.

    Attributes:
        address: The address that it listens on.
        config: uvicorn's settings.
    """

    def __init__(self, load: Callable[[], FastAPI], settings: ServerConfig) -> None:
        self._load = load
        self._settings = settings
        self._socket = _listening_socket(settings.host, settings.port)
        host, port = self._socket.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._late = LateApplication()
        self.config = _uvicorn_config(self._late, settings)
        self._signals = 0

    async def run(self) -> bool:
        """Serve until a signal says to stop; the same returns and errors as `run_server`."""
        self._stop, self._force = asyncio.Event(), asyncio.Event()
        server = _QuietServer(self.config)
        idle = IdleConnections(lambda: server.server_state.connections, self._settings)
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        watching = asyncio.create_task(idle.watch())
        try:
            with self._handled_signals():
                log_event("listening", address=self.address)
                application = await self._loaded()
                return await self._serve(application, serving)
        finally:
            server.should_exit = True
            await serving
            watching.cancel()

    async def _serve(self, application: FastAPI, serving: asyncio.Task[None]) -> bool:
        service: ExtractionService = application.state.service
        async with application.router.lifespan_context(application):
            self._late.application = application
            log_event("ready", extractors=",".join(service))
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
            return await self._drain(service)

    async def _loaded(self) -> FastAPI:
        """The application, made in a thread; a signal meanwhile ends the process, since nothing is lost with it."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[FastAPI] = loop.create_future()

        def load() -> None:
            outcome: FastAPI | BaseException
            try:
                outcome = self._load()
            except BaseException as error:
                outcome = error
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(settle, outcome)

        def settle(outcome: FastAPI | BaseException) -> None:
            if not made.done():
                made.set_exception(outcome) if isinstance(outcome, BaseException) else made.set_result(outcome)

        threading.Thread(target=load, name="extractft-loading", daemon=True).start()
        stopping = asyncio.create_task(self._stop.wait())
        either: set[asyncio.Future[Any]] = {made, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            log_event("stopped while loading")
            sys.stderr.flush()
            os._exit(0)  # a thread that loads a model cannot be interrupted
        stopping.cancel()
        return made.result()

    async def _drain(self, service: ExtractionService) -> bool:
        """Take nothing more, and finish what is under way; True if all of it was."""
        service.draining = True
        begun = time.monotonic()
        log_event("draining", open_requests=service.open_requests, texts=service.admission.taken)
        most = max(self._settings.grace_seconds, self._settings.drain_seconds)
        while (passed := time.monotonic() - begun) < most and not self._force.is_set():
            if not service.open_requests and passed >= self._settings.drain_seconds:
                break
            await asyncio.sleep(TICK)
        left = service.cut_off() if service.open_requests else 0
        for _ in range(int(LAST_SECONDS / TICK)):
            if not service.open_requests:
                break
            await asyncio.sleep(TICK)
        level = logging.WARNING if left else logging.INFO
        log_event("drained", level=level, seconds=time.monotonic() - begun, cut_off=left)
        return not left and not service.open_requests

    @contextlib.contextmanager
    def _handled_signals(self) -> Iterator[None]:
        """Let SIGTERM and Ctrl-C stop the server."""
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _signalled(self) -> None:
        (self._force if self._stop.is_set() else self._stop).set()


def _uvicorn_config(application: LateApplication, settings: ServerConfig) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="on",
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=int(settings.keep_alive_seconds) or 1,
        timeout_graceful_shutdown=LAST_SECONDS,
        backlog=BACKLOG,
    )


def _listening_socket(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigError(f"Expected an address to listen on, found {host}:{port}: {error.strerror or error}.").hint(
            "Give a port that is free (0 takes any), and an address of this machine."
        ) from None
