"""The peers of benchmarks/peers.py as processes: started, asked, and ended by their own process ids.

Each runs in the peers' environment, which the package's knows nothing of. What a process prints of itself is kept
beside the weights, in a file of its name.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import psutil

from extractft import Extractor
from lib.paths import BENCHMARKS, CACHE
from lib.peer_export import PEERS

WORKERS = BENCHMARKS / "peer_workers"
PYTHON = CACHE / "peers-venv" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text, as each engine wants it."""

    source: str
    rendered: str
    ids: tuple[int, ...]
    limit: int

    @classmethod
    def of(cls, extractor: Extractor[Any], text: str) -> Self:
        request = extractor._pipeline.request(text)
        return cls(text, extractor.render(text), request.prompt_ids, request.max_new_tokens)


class Peer(Protocol):
    """Another engine."""

    ready: dict[str, Any]

    def ask(self, prompts: Sequence[Prompt], batch_size: int) -> list[str]:
        """The answers, in order."""
        ...

    def cpu(self) -> float:
        """Processor seconds that it has spent."""
        ...


class Worker:
    """A process that answers lines of JSON with lines of JSON; ends with `stack`, or with this process."""

    def __init__(self, stack: ExitStack, command: Sequence[object], log: str, threads: int) -> None:
        PEERS.mkdir(parents=True, exist_ok=True)
        self.log = PEERS / f"{log}.log"
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
        errors = stack.enter_context(self.log.open("w", encoding="utf-8"))
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=pipe, stdout=pipe, stderr=errors, env=environment, text=True
        )
        stack.callback(self.end)
        self._usage = psutil.Process(self.process.pid)

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"expected an answer, found that the process ended; see {self.log}")
        return dict(json.loads(line))

    def request(self, value: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()
        return self.read()

    def cpu(self) -> float:
        times = self._usage.cpu_times()
        return float(times.user + times.system)

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def require_environment() -> None:
    if not PYTHON.exists():
        sys.exit("expected the peers' environment in benchmarks/.cache/peers-venv; see the head of benchmarks/peers.py")


class Outlines:
    """Outlines with transformers."""

    def __init__(self, stack: ExitStack, model: Path, schema: dict[str, Any], threads: int) -> None:
        require_environment()
        plain = {key: value for key, value in schema.items() if key != "x-guidance"}
        settings = {"model": str(model), "threads": threads, "schema": json.dumps(plain, ensure_ascii=False)}
        command = [PYTHON, WORKERS / "outlines_transformers.py", json.dumps(settings)]
        self.worker = Worker(stack, command, "outlines", threads)
        self.ready = self.worker.read()

    def ask(self, prompts: Sequence[Prompt], batch_size: int) -> list[str]:
        answers: list[str] = []
        for start in range(0, len(prompts), batch_size):
            part = prompts[start : start + batch_size]
            limit = max(prompt.limit for prompt in part)
            answers += self.worker.request({"prompts": [p.rendered for p in part], "limit": limit})["answers"]
        return answers

    def tokenize(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        return list(self.worker.request({"tokenize": [prompt.rendered for prompt in prompts]})["ids"])

    def cpu(self) -> float:
        return self.worker.cpu()


class Llama:
    """llama.cpp's server, asked for completions of token ids under a grammar."""

    def __init__(
        self, stack: ExitStack, settings: dict[str, Any], grammar: dict[str, Any], program: Path | None
    ) -> None:
        name = f"llama-{Path(settings['model']).stem}-{next(iter(grammar))}-{settings['slots']}"
        self.grammar = grammar
        if program is None:
            require_environment()
            command = [PYTHON, WORKERS / "llama.py", json.dumps(settings)]
            self.worker = Worker(stack, command, name, settings["threads"])
            self.ready = self.worker.read()
        else:
            port = _free_port()
            self.worker = Worker(stack, _command(program, settings, port), name, settings["threads"])
            self.ready = {"address": f"http://127.0.0.1:{port}", "program": program.name}
            self._wait()

    def ask(self, prompts: Sequence[Prompt], batch_size: int) -> list[str]:
        with ThreadPoolExecutor(batch_size) as pool:
            return list(pool.map(self._complete, prompts))

    def _complete(self, prompt: Prompt) -> str:
        body = {"prompt": prompt.ids, "n_predict": prompt.limit, "temperature": 0, "cache_prompt": True, **self.grammar}
        return str(self._post("/completion", body)["content"])

    def _post(self, place: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.ready["address"] + place, data, {"Content-Type": "application/json"})
        with _OPENER.open(request, timeout=600) as response:
            return dict(json.loads(response.read()))

    def _wait(self) -> None:
        for _ in range(600):
            if self.worker.process.poll() is not None:
                raise RuntimeError(f"expected a server, found that it ended; see {self.worker.log}")
            try:
                self._post("/health", None)
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
            else:
                return
        raise RuntimeError(f"expected a server that is ready, found none after two minutes; see {self.worker.log}")

    def cpu(self) -> float:
        return self.worker.cpu()


# Never through a proxy: the server is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(program: Path, settings: dict[str, Any], port: int) -> list[object]:
    context = settings["slots"] * settings["context"]
    command: list[object] = [program, "--offline", "--host", "127.0.0.1", "--port", port, "--model", settings["model"]]
    command += ["--threads", settings["threads"], "--parallel", settings["slots"], "--ctx-size", context]
    if settings["float32_cache"]:
        command += ["--cache-type-k", "f32", "--cache-type-v", "f32"]
    return command
