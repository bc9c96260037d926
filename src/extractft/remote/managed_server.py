"""Servers that are started here: on loopback, with a key of their own, for as long as this process lives.

Knows the programs and their flags; knows no model but the path that it is handed.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from extractft.errors import EngineError
from extractft.remote import supervisor

__all__ = ["MANAGED_KINDS", "MODEL_NAME", "ManagedServer", "require_program"]

MODEL_NAME = "extractft"
"""Name of what a server was started with, in requests."""
TAIL = 2000
"""Bytes at the end of a server's log that are shown when it does not start: nobody has sent it a text yet."""
IN_USE = ("in use", "couldn't bind", "could not bind")
POLL = 0.25


@dataclass(frozen=True, slots=True)
class _Program:
    """A kind of server that can be started.

    Attributes:
        variable: Environment variable that names the program; another with `_ARGS` behind it has further flags.
        name: Its name on the path.
        key_variable: Environment variable in which it takes its key: a command line is for all to read.
        flags: Flags for a model, a port, a window and a number of requests side by side.
        install: How to get it.
    """

    variable: str
    name: str
    key_variable: str
    flags: Callable[[Path, int, int, int], list[str]]
    install: str


def _vllm_flags(model: Path, port: int, window: int, slots: int) -> list[str]:
    return [
        *("serve", str(model), "--served-model-name", MODEL_NAME, "--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(window), "--max-num-seqs", str(slots)),
        *("--structured-outputs-config.backend", "guidance", "--generation-config", "vllm"),
    ]


def _llama_flags(model: Path, port: int, window: int, slots: int) -> list[str]:
    return [
        *("--model", str(model), "--alias", MODEL_NAME, "--host", "127.0.0.1", "--port", str(port), "--offline"),
        *("--parallel", str(slots), "--ctx-size", str(window * slots)),
    ]


_PROGRAMS: Mapping[str, _Program] = {
    "vllm": _Program("EXTRACTFT_VLLM", "vllm", "VLLM_API_KEY", _vllm_flags, "pip install vllm"),
    "llama.cpp": _Program(
        "EXTRACTFT_LLAMACPP", "llama-server", "LLAMA_API_KEY", _llama_flags, "See github.com/ggml-org/llama.cpp"
    ),
}
MANAGED_KINDS = tuple(_PROGRAMS)
"""Kinds of servers that can be started."""


class ManagedServer:
    """A server process. It ends with `close`, with the last reference to it, and with this process, killed or not.

    Args:
        kind: `"vllm"` or `"llama.cpp"`.
        model: What it serves: a Hugging Face directory for vLLM, a GGUF file for llama.cpp.
        window: Longest prompt and answer together in tokens.
        slots: Requests that it decodes side by side.
        patience: Seconds until it has to be ready.
        flags: Further flags; those of the environment come behind them.
        environment: Further variables of its environment.

    Attributes:
        url: Its address, with its kind.
        api_key: The key that it asks for.

    Raises:
        EngineError: There is no such program, it ended, or it was not ready in time.
    """

    def __init__(
        self,
        kind: str,
        model: Path,
        *,
        window: int,
        slots: int = 16,
        patience: float = 900.0,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        program = _PROGRAMS[kind]
        executable = _find(program)
        self.api_key = secrets.token_urlsafe(32)
        self._log = tempfile.NamedTemporaryFile(prefix=f"extractft-{program.name}-", suffix=".log")  # noqa: SIM115
        environment = os.environ | dict(environment or {}) | {program.key_variable: self.api_key}
        deadline = time.monotonic() + patience
        for last in (False, True):
            port = _free_port()
            further = shlex.split(os.environ.get(f"{program.variable}_ARGS", ""))
            command = [executable, *program.flags(model, port, window, slots), *flags, *further]
            self.url = f"{kind.replace('.', '')}+http://127.0.0.1:{port}"
            self._start(command, environment)
            if self._is_ready(port, deadline):
                return
            tail = self._tail()
            self.close()
            if last or not any(words in tail for words in IN_USE):
                raise _not_started(executable, patience, tail)

    def close(self) -> None:
        """End the server and wait until it has ended."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(3 * supervisor.GRACE)

    def is_running(self) -> bool:
        """False once the server has ended."""
        return self._process.poll() is None

    def _start(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", supervisor.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        _pipes.add(self._process.stdin)
        _started_here.add(self)

    def _is_ready(self, port: int, deadline: float) -> bool:
        """Wait until it answers that it is well; False if it ends before, or takes too long."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=5) as client:
            while self.is_running() and time.monotonic() < deadline:
                with suppress(httpx.HTTPError):
                    if client.get("/health").status_code == 200 and client.get("/v1/models").status_code == 200:
                        return True
                time.sleep(POLL)
        return False

    def _tail(self) -> str:
        content = Path(self._log.name).read_bytes()
        return content[-TAIL:].decode(errors="replace")


def require_program(kind: str) -> str:
    """The program of a kind of server. One that is not installed is refused, before any work.

    Raises:
        EngineError: There is no such program.
    """
    return _find(_PROGRAMS[kind])


_pipes: weakref.WeakSet[object] = weakref.WeakSet()
_started_here: weakref.WeakSet[ManagedServer] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """End the servers before this process ends: the next command may need their memory."""
    for server in list(_started_here):
        server.close()


def _let_go_in_child() -> None:
    """Close the pipes of servers in a forked process, or they would outlive the one that started them."""
    _started_here.clear()
    for pipe in list(_pipes):
        with suppress(OSError, ValueError):
            pipe.close()  # type: ignore[attr-defined]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def _find(program: _Program) -> str:
    """The program to run.

    Raises:
        EngineError: There is none.
    """
    named = os.environ.get(program.variable)
    found = shutil.which(named or program.name)
    if found is None:
        what = f"{named!r} of {program.variable}, which cannot be run" if named else f"no {program.name} on the path"
        raise EngineError(f"Expected a program to start a server with, found {what}.").hint(
            f"Install it ({program.install}), or name it in {program.variable}; it may be of another environment."
        )
    return found


def _not_started(executable: str, patience: float, tail: str) -> EngineError:
    error = EngineError(
        f"Expected {Path(executable).name} to serve within {patience:g} seconds, found that it did not."
    )
    return error.hint(f"The end of what it printed:\n{tail}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
