"""Servers of base models that several engines of this process ask, each with an adapter of its own.

The first engine on a base model starts its server, others load their adapters into it while it runs, and the last one
to be closed ends it. Knows vLLM's flags and paths for adapters; knows no weights.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from extractft.errors import EngineError
from extractft.remote.managed_server import MODEL_NAME, ManagedServer

__all__ = ["Adapter", "ServerLease", "lease_server"]

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for."""
USUAL_RANK = 16
"""Room that is made in any case: an adapter of the usual rank may come later."""
SIDE_BY_SIDE, KEPT = 4, 64
"""Adapters that one batch can have, and that are kept in the memory of the machine."""
LOADING_ALLOWED = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
LONGEST_LOADING = 300.0
LONGEST_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter on this machine.

    Attributes:
        name: Its name in requests; the same name is the same adapter.
        path: Directory that PEFT could load.
        rank: Its rank.
    """

    name: str
    path: Path
    rank: int

    def fitting_rank(self) -> int:
        """The least rank, of those that servers make room for, that it fits into.

        Raises:
            EngineError: There is none.
        """
        fitting = [rank for rank in RANKS if rank >= self.rank]
        if not fitting:
            raise EngineError(f"Expected an adapter of rank {RANKS[-1]} or less, found {self.rank}.").hint(
                'Serve it merged: engine="vllm".'
            )
        return fitting[0]


class ServerLease:
    """One engine's part in a server; its server ends with the last of them.

    Args:
        shared: The server.
        model: Name of the adapter, or of the base model.
    """

    def __init__(self, shared: _SharedServer, model: str) -> None:
        self.url = f"{shared.server.url}?model={model}"
        self.api_key = shared.server.api_key
        self._shared: _SharedServer | None = shared

    def close(self) -> None:
        """Give the server back; the last one ends it."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.give_back()


class _SharedServer:
    """A server, the adapters that it has, and the number of engines that ask it."""

    def __init__(self, server: ManagedServer) -> None:
        self.server = server
        self._adapters: set[str] = set()
        self._leases = 0

    def lease(self, adapter: Adapter | None) -> ServerLease:
        """A part in the server, for an adapter or for the base model itself."""
        if adapter is not None and adapter.name not in self._adapters:
            self._load(adapter)
            self._adapters.add(adapter.name)
        self._leases += 1
        return ServerLease(self, MODEL_NAME if adapter is None else adapter.name)

    def give_back(self) -> None:
        """End the server if nobody else has a part in it."""
        with _starting:
            self._leases -= 1
            if self._leases == 0:
                self.server.close()

    def _load(self, adapter: Adapter) -> None:
        """Load an adapter into the running server.

        Raises:
            EngineError: The server refuses it, or does not answer.
        """
        address = self.server.url.partition("+")[2]
        headers = {"Authorization": f"Bearer {self.server.api_key}"}
        body = {"lora_name": adapter.name, "lora_path": str(adapter.path.resolve())}
        try:
            with httpx.Client(headers=headers, trust_env=False, timeout=LONGEST_LOADING) as client:
                answer = client.post(f"{address}/v1/load_lora_adapter", json=body)
        except httpx.HTTPError as error:
            raise _not_loaded(f"no answer ({type(error).__name__})") from error
        if answer.status_code != 200:
            raise _not_loaded(f"status {answer.status_code}").hint(f"It says: {answer.text[:LONGEST_DETAIL]}")


_servers: weakref.WeakValueDictionary[Any, _SharedServer] = weakref.WeakValueDictionary()
_starting = threading.RLock()


def lease_server(
    base: Path, adapter: Adapter | None, *, window: int, slots: int, dtype: str | None = None
) -> ServerLease:
    """A part in the server of a base model, which is started if none runs in this process.

    Args:
        base: The base model, a Hugging Face directory.
        adapter: The adapter to load into it; `None` for the base model itself.
        window: Longest prompt and answer together in tokens.
        slots: Requests that it decodes side by side.
        dtype: Type that it computes in; its own choice if `None`.

    Raises:
        EngineError: The server does not start, or refuses the adapter.
    """
    rank = RANKS[0] if adapter is None else adapter.fitting_rank()
    with _starting:
        shared = _running(base, rank, window, slots, dtype)
        if shared is None:
            room = max(rank, USUAL_RANK)
            shared = _SharedServer(_started(base, room, window, slots, dtype))
            _servers[base, dtype, room, window, slots] = shared
        try:
            return shared.lease(adapter)
        except BaseException:
            if not shared._leases:
                shared.server.close()
            raise


def _running(base: Path, rank: int, window: int, slots: int, dtype: str | None) -> _SharedServer | None:
    """A server that has room for a rank and a window; `None` if there is none."""
    for (*same, room, longest, side_by_side), shared in list(_servers.items()):
        fits = same == [base, dtype] and room >= rank and longest >= window and side_by_side >= slots
        if fits and shared.server.is_running():
            return shared
    return None


def _started(base: Path, rank: int, window: int, slots: int, dtype: str | None) -> ManagedServer:
    flags = ["--enable-lora", *(("--dtype", dtype) if dtype else ())]
    room = ("--max-lora-rank", str(rank), "--max-loras", str(SIDE_BY_SIDE), "--max-cpu-loras", str(KEPT))
    return ManagedServer("vllm", base, window=window, slots=slots, flags=[*flags, *room], environment=LOADING_ALLOWED)


def _not_loaded(found: str) -> EngineError:
    return EngineError(f"Expected vLLM to load the adapter, found {found}.").hint('Serve it merged: engine="vllm".')


def _let_go_in_child() -> None:
    """Forget the servers in a forked process: they are its parent's."""
    global _starting
    _starting = threading.RLock()
    _servers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
