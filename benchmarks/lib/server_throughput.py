"""Records a second at several numbers of requests in flight: the engine here and servers on the same weights.

Every way decodes the same texts under the same grammars after a warm-up on other texts, and gives the same
log-probabilities; wall seconds of a machine that does nothing else. Preparing the requests (prompt, grammar) is done
before and counted for none.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from extractft.completion import Completion, Engine, GenerationRequest
from lib.results import write_json
from lib.server_bench import ServerBench, add_server_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_server_arguments(parser, limit=72)
    parser.add_argument("--warm-up", type=int, default=8, help="texts that each way sees first")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 8, 32])


def run(args: argparse.Namespace) -> None:
    """Measure each way at each number, print a table and keep it."""
    bench = ServerBench.of(args)
    rows = measured(bench, bench.engine, "ours", args)
    for kind in args.servers:
        with bench.server(kind, max(args.in_flight)) as engine:
            rows += measured(bench, engine, kind, args)
    for row in rows:
        print(f"{row['way']:10} {row['in_flight']:3} in flight {row['records_per_second']:8.3f} records/s")
    result = bench.about() | {"rows": rows}
    write_json(args.results / f"servers-throughput-{args.name or result['set']}.json", result)


def measured(bench: ServerBench, engine: Engine, way: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Records and new tokens a second of one way."""
    list(engine.generate(bench.requests[: args.warm_up], batch_size=max(args.in_flight)))
    return [timed(engine, bench.requests[args.warm_up :], number, way)[0] for number in args.in_flight]


def timed(
    engine: Engine, requests: list[GenerationRequest], number: int, way: str
) -> tuple[dict[str, Any], list[Completion]]:
    """Records and new tokens a second with one number of requests in flight, and the completions."""
    start = time.perf_counter()
    completions = list(engine.generate(requests, batch_size=number))
    seconds = time.perf_counter() - start
    tokens = sum(len(completion.steps) for completion in completions)
    row = {
        "way": way,
        "in_flight": number,
        "records_per_second": len(requests) / seconds,
        "tokens_per_second": tokens / seconds,
        "failed": sum(completion.finish_reason == "error" for completion in completions),
    }
    print(f"{way}, {number} in flight: {seconds:.1f} s for {len(requests)} records", flush=True)
    return row, completions
