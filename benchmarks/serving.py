"""The HTTP service under load, with clients that are too large, wrong, slow and gone among the others.

    python benchmarks/serving.py load --clients 64 --seconds 300 --server-cpus 0 --client-cpus 1
    python benchmarks/serving.py load --extractor DIRECTORY --texts rows.jsonl --clients 8 --seconds 300 \\
        --server-cpus 0 --client-cpus 1
    python benchmarks/serving.py kill --clients 32        # kill -TERM in the middle, ten times
    python benchmarks/serving.py share --extractor DIRECTORY --texts rows.jsonl     # two on one base model

The server is `extractft serve` in a process of its own, the clients another process, both on loopback. `load` first
times `extract_many` on the same texts, in a process on the server's processors, once with as many rows as there are
clients and once with the extractor's own setting. `held` if no answer has a status of 5xx but 503, the server's memory
after the first tenth of the time grows by less than 5 %, and with `--extractor` the records a second are at least 95 %
of `extract_many` with as many rows. `kill` holds if every request that the server had accepted when it was told to stop
got its record, and the server ended with 0. `share` loads the extractor twice, apart and on the same weights, prints
the memory that the second one takes and the time of both ways in turns, and holds if all records are equal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from extractft import Extractor, GenerationConfig
from extractft.modeling import sharing_base_models
from extractft.testing import byte_tokenizer, tiny_model
from lib.command_line import make_parser
from lib.http_load import run_clients

MOST_GROWTH, LEAST_SHARE = 0.05, 0.95
MEBIBYTE = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")
NAME = "served"
SHARED_TEXTS, SHARED_TURNS = 64, 3


class Note(BaseModel):
    """A short record, which a random model ends soon."""

    code: Annotated[str, Field(max_length=6)]
    urgent: bool


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = {
        "load": run_load,
        "kill": run_kill,
        "share": run_share,
        "baseline": run_baseline,
        "clients": run_client_process,
    }
    for name, run in runs.items():
        command = commands.add_parser(name)
        _add_arguments(command)
        command.set_defaults(run=run)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    args = build_parser().parse_args(argv)
    args.run(args)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--extractor", type=Path, help="a saved extractor; a tiny random model if not given")
    parser.add_argument("--texts", type=Path, help="JSONL with a text a line; notes if not given")
    parser.add_argument("--clients", type=int, default=64, help="clients that ask and wait (default: %(default)s)")
    parser.add_argument("--hostile", type=int, help="clients that do everything else (default: a quarter of --clients)")
    parser.add_argument("--seconds", type=float, default=20, help="seconds of load (default: %(default)s)")
    parser.add_argument("--baseline-seconds", type=float, help="seconds of each extract_many (default: a fifth)")
    parser.add_argument("--rows", type=int, help="rows of extract_many (default: the extractor's own)")
    parser.add_argument("--kills", type=int, default=10, help="kills of `kill` (default: %(default)s)")
    parser.add_argument("--server-cpus", help="processors of the server and of extract_many, such as 0")
    parser.add_argument("--client-cpus", help="processors of the clients, such as 1")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)


# ------------------------------------------------------------------------------------------------------------- load


def run_load(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        extractor = args.extractor or save_tiny(Path(folder))
        texts = read_texts(args)
        baselines = {"as many rows": args.clients, "its own rows": None}
        before = {name: _baseline(args, extractor, rows) for name, rows in baselines.items()}
        with served(args, extractor) as server:
            _clients(args, server, seconds=args.seconds / 5, hostile=0)  # drafts learn from record to record
            begun = processor_seconds(server.pid)
            found, memory = _watched_clients(args, server)
            spent = processor_seconds(server.pid) - begun
            server.send_signal(signal.SIGTERM)
            code = server.wait(60)
        after = _baseline(args, extractor, args.clients)
    print(f"{len(texts)} texts, {args.clients} clients for {args.seconds:g} s, and {hostile_of(args)} that do harm")
    print(json.dumps(found, indent=1))
    per_record = spent / max(1, found["records"])
    print(f"processor: {per_record * 1e6:.0f} microseconds a record, requests of all clients together")
    known = {**before, "as many rows, afterwards": after}
    for name, base in known.items():
        rate, cost = base["records_per_second"], base["processor_seconds"]
        print(f"extract_many, {name}: {rate:.2f} records/s, {cost * 1e6:.0f} microseconds of processor a record")
    same = [before["as many rows"], after]
    share = found["records_per_second"] / (sum(base["records_per_second"] for base in same) / 2)
    cost = sum(base["processor_seconds"] for base in same) / 2
    print(f"share of extract_many with as many rows: {share:.3f} of the records/s")
    print(f"a request: {(per_record - cost) * 1e6:.0f} microseconds of processor beyond extract_many")
    print(f"memory: {memory[0]:.0f} MiB at a tenth, {memory[1]:.0f} MiB at most afterwards, ended with {code}")
    wrong = [status for status in _statuses(found) if status >= 500 and status != 503]
    flat = memory[1] <= memory[0] * (1 + MOST_GROWTH)
    fast = args.extractor is None or share >= LEAST_SHARE
    held = not wrong and flat and fast and not found["broken"] and code == 0
    verdict(held, f"5xx but 503: {wrong or 'none'}; memory flat: {flat}; share: {share:.3f}; broken: {found['broken']}")


def _statuses(found: dict[str, Any]) -> list[int]:
    hostile = [int(name.split()[-1]) for name in found["hostile"] if name.split()[-1].isdigit()]
    return [*map(int, found["statuses"]), *hostile]


def _watched_clients(args: argparse.Namespace, server: subprocess.Popen[str]) -> tuple[dict[str, Any], list[float]]:
    """The answers that clients got, and the server's memory after a tenth of the time and at most later."""
    clients = _start_clients(args, server, seconds=args.seconds, hostile=hostile_of(args))
    begun, early, late = time.monotonic(), 0.0, 0.0
    while clients.poll() is None:
        time.sleep(0.5)
        memory = resident_mebibytes(server.pid)
        if time.monotonic() - begun <= max(5, args.seconds / 10):
            early = max(early, memory)
        else:
            late = max(late, memory)
    assert clients.stdout is not None
    return json.loads(clients.stdout.read()), [early, late]


def _clients(args: argparse.Namespace, server: Any, *, seconds: float, hostile: int) -> dict[str, Any]:
    found, _ = _start_clients(args, server, seconds=seconds, hostile=hostile).communicate()
    return json.loads(found)


def _start_clients(args: argparse.Namespace, server: Any, *, seconds: float, hostile: int) -> subprocess.Popen[str]:
    more = ["--texts", str(args.texts)] if args.texts else []
    counts = ["--clients", str(args.clients), "--hostile", str(hostile), "--seconds", str(seconds)]
    command = [
        *pinned(args.client_cpus),
        sys.executable,
        __file__,
        "clients",
        "--port",
        str(server.port),
        *counts,
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_client_process(args: argparse.Namespace) -> None:
    numbers = {"clients": args.clients, "seconds": args.seconds, "hostile": hostile_of(args)}
    print(json.dumps(asyncio.run(run_clients(args.port, NAME, read_texts(args), **numbers)).to_dict()))


def _baseline(args: argparse.Namespace, extractor: Path, rows: int | None) -> dict[str, float]:
    seconds = args.baseline_seconds or args.seconds / 5
    more = ["--texts", str(args.texts)] if args.texts else []
    more += ["--rows", str(rows)] if rows else []
    command = [sys.executable, __file__, "baseline", "--extractor", str(extractor), "--seconds", str(seconds), *more]
    done = subprocess.run([*pinned(args.server_cpus), *command], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def run_baseline(args: argparse.Namespace) -> None:
    """`extract_many` on the texts, again and again, after as long a time in which drafts learn."""
    extractor: Extractor[Any] = Extractor.from_pretrained(args.extractor)
    texts = read_texts(args)
    for _ in range(2):
        end, begun, spent, done = time.monotonic() + args.seconds, time.monotonic(), time.process_time(), 0
        unending = islice(cycle(texts), 10**9)
        for outcome in extractor.extract_many(unending, batch_size=args.rows):
            done += not isinstance(outcome, Exception)
            if time.monotonic() >= end:
                break
        elapsed, spent = time.monotonic() - begun, time.process_time() - spent
    print(json.dumps({"records_per_second": done / elapsed, "processor_seconds": spent / done}))


# ------------------------------------------------------------------------------------------------------------- kill


def run_kill(args: argparse.Namespace) -> None:
    """`kill -TERM` while clients ask: each of them gets an answer, whatever had been accepted its record."""
    lost, records, late = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        extractor = args.extractor or save_tiny(Path(folder))
        for number in range(args.kills):
            with served(args, extractor) as server:
                clients = _start_clients(args, server, seconds=60, hostile=0)
                time.sleep(3 + 0.13 * number)
                server.send_signal(signal.SIGTERM)
                code = server.wait(60)
                found = json.loads(clients.communicate()[0])
            others = {int(status) for status in found["statuses"]} - {200, 503}
            lost += found["broken"] + (code != 0) + bool(others)
            records += found["records"]
            late += found["statuses"].get("503", 0)
            print(
                f"kill {number + 1}: {found['records']} records, {found['broken']} without an answer, ended with {code}"
            )
    verdict(lost == 0, f"{args.kills} kills, {records} records, {late} told to come later, {lost} lost")


# ------------------------------------------------------------------------------------------------------------ share


def run_share(args: argparse.Namespace) -> None:
    """Two extractors on weights of their own and on the same ones: memory, time, records."""
    if args.extractor is None:
        raise SystemExit("expected --extractor DIRECTORY: a tiny model's weights are too small to tell")
    texts = list(islice(cycle(read_texts(args)), SHARED_TEXTS))
    ways: dict[str, list[Extractor[Any]]] = {}
    for way, sharing in (("apart", nullcontext()), ("shared", sharing_base_models())):
        with sharing:
            ways[way] = []
            for number in (1, 2):
                before = resident_mebibytes(os.getpid())
                ways[way].append(Extractor.from_pretrained(args.extractor))
                list(ways[way][-1].extract_many(texts[:8], batch_size=8))
                print(f"{way}, extractor {number}: {resident_mebibytes(os.getpid()) - before:.0f} MiB")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    records: dict[str, list[Any]] = {}
    for _ in range(SHARED_TURNS):
        for way, (extractor, _) in ways.items():
            begun = time.process_time()
            records[way] = [str(outcome) for outcome in extractor.extract_many(texts, batch_size=8)]
            seconds[way].append(time.process_time() - begun)
    ratio = min(seconds["shared"]) / min(seconds["apart"])
    equal = sum(one == other for one, other in zip(records["apart"], records["shared"], strict=True))
    print(f"{len(texts)} texts, 8 side by side, shared against apart: {ratio:.3f} of the processor time")
    verdict(equal == len(texts), f"{equal} of {len(texts)} records equal")


# ----------------------------------------------------------------------------------------------------------- server


class Server(subprocess.Popen[str]):
    """A server process.

    Attributes:
        port: Its port.
    """

    port = 0


@contextmanager
def served(args: argparse.Namespace, extractor: Path) -> Iterator[Server]:
    """`extractft serve` on a free port, ready; it ends with the block."""
    settings = ["--set", "max_client_share=1", "--set", f"max_queue={max(256, 4 * args.clients)}"]
    command = [sys.executable, "-m", "extractft", "serve", f"{NAME}={extractor}", "--port", "0", *settings]
    with tempfile.NamedTemporaryFile("r+", encoding="utf-8") as log:
        server = Server([*pinned(args.server_cpus), *command], stderr=log)
        try:
            while " ready " not in (told := Path(log.name).read_text(encoding="utf-8")):
                if server.poll() is not None:
                    raise SystemExit(told)
                time.sleep(0.1)
            server.port = int(re.findall(r"listening address=\S+:(\d+)", told)[0])
            yield server
        finally:
            server.kill()
            server.wait()


def pinned(processors: str | None) -> list[str]:
    """The beginning of a command that runs on some processors."""
    return [] if processors is None else ["taskset", "-c", processors]


def processor_seconds(pid: int) -> float:
    """Processor time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mebibytes(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))[0]) / 1024


def hostile_of(args: argparse.Namespace) -> int:
    """Clients that do harm."""
    return max(1, args.clients // 4) if args.hostile is None else args.hostile


def read_texts(args: argparse.Namespace) -> list[str]:
    """The texts to ask."""
    if args.texts is None:
        return [f"note {number}: call back about order {number * 37 % 1000}" for number in range(200)]
    return [json.loads(line)["text"] for line in args.texts.read_text(encoding="utf-8").splitlines()]


def save_tiny(folder: Path) -> Path:
    """Save an extractor with a random model of a few thousand weights."""
    tiny_model().save_pretrained(folder / "base")
    byte_tokenizer().save_pretrained(folder / "base")
    generation = GenerationConfig(max_new_tokens=64, keep_truncated=True)
    extractor: Extractor[Any] = Extractor.from_base(Note, base_model=str(folder / "base"), generation=generation)
    extractor.save_pretrained(folder / "extractor")
    return folder / "extractor"


def verdict(held: bool, words: str) -> None:
    """Print the verdict, and end with 1 if it is not held."""
    print(f"{'held' if held else 'NOT HELD'}: {words}")
    if not held:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
