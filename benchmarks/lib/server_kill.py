"""A bulk run whose server is killed with `kill -9` in mid-run: the ids and records of a run that nobody disturbed?

A server is started on an extractor's weights, and `bulk.run` decodes the test texts with it. Then the same again in
another directory; the server is killed after half of the rows, the run has to end with an `EngineError` and to mark no
row as failed, and with the server started again at its address the same call goes on. Confidences may differ in their
last decimals, as a server puts its batches together as requests come; how many do is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from extractft import bulk
from extractft.errors import EngineError
from extractft.remote.managed_server import _PROGRAMS
from lib.command_line import add_threads_argument
from lib.peer_export import export
from lib.server_bench import KINDS
from lib.tasks import TRAIN, add_set_argument, load_task

PATIENCE = 900.0
"""Seconds until a server has to be ready."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_set_argument(parser)
    add_threads_argument(parser)
    parser.add_argument("--extractor", required=True, type=Path, help="directory that save_pretrained wrote")
    parser.add_argument("--server", choices=KINDS, default="llama.cpp", help="default: %(default)s")
    parser.add_argument("--limit", type=int, default=60, help="texts (default: %(default)s)")
    parser.add_argument("--shard-rows", type=int, default=10, help="rows in a shard (default: %(default)s)")
    parser.add_argument("--slots", type=int, default=4, help="requests side by side (default: %(default)s)")
    parser.add_argument("--window", type=int, default=4096, help="tokens of the server's window (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Run, kill, go on, compare; exit with 1 if something is lost, doubled or different."""
    texts = [text for text, _ in load_task(args.set, TRAIN, args.limit, data=args.data).test]
    with tempfile.TemporaryDirectory(prefix="extractft-kill-") as folder:
        place = Path(folder)
        rows = "".join(json.dumps({"id": f"r{n}", "text": text}) + "\n" for n, text in enumerate(texts))
        (place / "texts.jsonl").write_text(rows, encoding="utf-8")
        held, words = _tried(args, place, len(texts))
    print(f"{'held' if held else 'NOT HELD'}: {words}")
    if not held:
        raise SystemExit(1)


def _tried(args: argparse.Namespace, place: Path, rows: int) -> tuple[bool, str]:
    port = _free_port()
    settings: dict[str, Any] = {"id_column": "id", "format": "jsonl", "shard_rows": args.shard_rows}
    settings |= {"batch_size": args.slots, "explain": ("confidence",), "engine": f"http://127.0.0.1:{port}"}

    def work(name: str, **further: Any) -> bulk.RunSummary:
        return bulk.run(args.extractor, place / "texts.jsonl", place / name, **settings, **further)

    with _server(args, port):
        work("whole")
    with _server(args, port) as process:
        ended = _killed_in_mid_run(process, rows, work)
    shards, failed = _lines(place / "out", "shards"), _lines(place / "out", "failed")
    print(f"{ended}; {len(shards)} records in whole shards, {len(failed)} rows marked as failed", flush=True)
    with _server(args, port):
        summary = work("out")
    whole, found = _lines(place / "whole", "shards"), _lines(place / "out", "shards")
    same = [(line["id"], line["output"]) for line in whole] == [(line["id"], line["output"]) for line in found]
    moved = sum(one != other for one, other in zip(whole, found, strict=False))
    once = len({line["id"] for line in found}) == len(found) == summary.records
    kept = not failed and 0 < len(shards) < len(whole) and "EngineError" in ended
    return same and once and kept and bool(found), (
        f"{rows} rows, {len(found)} records, each once: {once}, the same: {same}, "
        f"confidences that differ in their decimals: {moved}"
    )


def _killed_in_mid_run(process: subprocess.Popen[bytes], rows: int, work: Any) -> str:
    """How the run ended whose server was killed after half of the rows."""

    def kill(progress: bulk.RunProgress) -> None:
        if progress.done >= rows // 2 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            print(f"server killed after {progress.done} rows", flush=True)

    try:
        work("out", progress=kill)
    except EngineError as error:
        return f"the run ended with EngineError: {error}"
    return "the run ended well, although its server was killed"


@contextmanager
def _server(args: argparse.Namespace, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server on the extractor's weights, as a user would start it."""
    program = _PROGRAMS[args.server]
    found = os.environ.get(program.variable) or shutil.which(program.name)
    if found is None:
        raise SystemExit(f"expected {program.name} on the path or in {program.variable}, found neither")
    exported = export(args.extractor)
    model = exported.transformers if args.server == "vllm" else exported.gguf("f32")
    further = shlex.split(os.environ.get(f"{program.variable}_ARGS", ""))
    command = [found, *program.flags(model, port, args.window, args.slots), *further]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(process, port)
        print(f"{args.server} ready after {time.monotonic() - begin:.0f} s", flush=True)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise SystemExit("the server was not ready in time, or ended")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _lines(folder: Path, kind: str) -> Sequence[dict[str, Any]]:
    """The lines of a kind of file, over all shards."""
    parts = sorted((folder / kind).glob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]
