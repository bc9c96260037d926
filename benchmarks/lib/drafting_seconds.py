"""Time of a record with each proposer: text by text and side by side, in turns in one process.

    python benchmarks/drafting.py seconds snips_restaurant --limit 16 --warm-up 100
    python benchmarks/drafting.py seconds complaints --limit 16 --warm-up 0 --only batched

Every pass runs through all weights of SmolLM2-135M; only then are the logits overruled, so that gold records are the
answers (lib/dictated_model.py). The passes and their costs are those of a model that is never wrong; a tuned one errs,
mostly towards what is usual. Each proposer first sees `--warm-up` training rows, without the model; with 0 it is that
of a process that has just begun. Texts are measured in turns, each with every proposer, so that a busy machine slows
all alike; side by side means batches of `--batch-size`. Times are processor milliseconds a record. `lines` is the code
of the proposer and of the modules that it needs and others may not, without blank lines, comments and docstrings.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import sys
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from extractft import Extractor, Schema
from extractft.completion import GenerationRequest
from extractft.inference import TransformersEngine
from extractft.speculation import PROPOSERS, Proposer, make_proposer
from lib.command_line import add_threads_argument
from lib.decoding_bench import Bench, Timing, answers_of
from lib.dictated_model import Targets
from lib.drafting_passes import Count, Simulation, add_proposers_argument
from lib.results import environment, write_json
from lib.tasks import DataSplit, Task, add_set_argument, load_task

KINDS = ("single", "batched")
SHARED = ("drafter", "draft_acceptance", "registry")
"""Modules that every proposer needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sets, the proposers and the sizes."""
    add_set_argument(parser, several=True)
    add_proposers_argument(parser)
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--limit", type=int, default=16, help="texts that are measured")
    parser.add_argument("--warm-up", type=int, default=100, help="training rows that each proposer sees first")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--only", choices=KINDS, default=None)
    add_threads_argument(parser)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")


def run(args: argparse.Namespace) -> None:
    """Print a line for each proposer on each set."""
    kinds = KINDS if args.only is None else (args.only,)
    lines = {name: lines_of(name) for name in args.proposers}
    result: dict[str, Any] = {"environment": environment(), "lines": lines, "sets": {}}
    print("| set | proposer | lines | way | passes | tokens | ms |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name in args.sets:
        task = load_task(name, args.warm_up, args.limit, data=args.data)
        bench, requests = prepare(task, args.base_model)
        for kind in kinds:
            rows = measure(bench, requests, warmed_proposers(task, bench, args.proposers), kind, args.batch_size)
            result["sets"].setdefault(task.name, {})[kind] = rows
            for proposer, row in rows.items():
                numbers = f"{row['passes']:.1f} | {row['tokens']:.1f} | {row['cpu_ms']:.0f}"
                print(f"| {task.name} | {proposer} | {lines[proposer]} | {kind} | {numbers} |", flush=True)
    write_json(args.output, result)


def prepare(task: Task, base_model: str) -> tuple[Bench, list[GenerationRequest]]:
    """The model, and the texts whose gold records it is made to answer with."""
    extractor: Extractor[Any] = Extractor.from_base(task.schema, base_model=base_model, device="cpu")
    spec, chat = extractor.schema, extractor._pipeline.chat
    bench = Bench(extractor, max_new_tokens=512, lookup=0)
    bench.targets = Targets(bench.end)
    requests = []
    for text, gold in task.test:
        request = bench.runner.request(text)
        answer = chat.completion_ids(spec.canonical_json(spec.parse_value(gold)))
        if bench.targets.add(request, answer, limit=request.max_new_tokens):
            requests.append(request)
    return bench, requests


def warmed_proposers(task: Task, bench: Bench, names: Sequence[str]) -> dict[str, Proposer]:
    """New proposers that have seen the training rows."""
    schema: Schema[Any] = bench.runner.schema
    return {name: warm_up(make_proposer(name), bench.tokenizer, schema, task.train) for name in names}


def warm_up(proposer: Proposer, tokenizer: Any, schema: Schema[Any], rows: DataSplit) -> Proposer:
    """Let a proposer see rows, without a model."""
    simulation = Simulation(tokenizer, schema, proposer)
    for text, gold in rows:
        simulation.run(text, gold, Count())
    return proposer


def measure(
    bench: Bench, requests: Sequence[GenerationRequest], proposers: dict[str, Proposer], kind: str, batch_size: int
) -> dict[str, dict[str, float]]:
    """Decode the texts with each proposer, in turns; the time of a record, and its passes."""
    size = 1 if kind == "single" else batch_size
    engines = {name: bench.engine(proposer) for name, proposer in proposers.items()}
    timings = {name: Timing() for name in engines}
    for engine in engines.values():  # the system prompt and the layouts of weights are there before the first text
        next(iter(engine.generate([_shortened(requests[0])], batch_size=size)))
    before = {name: (engine.statistics.passes, engine.statistics.tokens) for name, engine in engines.items()}
    for start in range(0, len(requests), size):
        part = range(start, min(start + size, len(requests)))
        batch = [requests[index] for index in part]
        for name, engine in engines.items():
            timings[name].run(part, lambda e=engine, b=batch: answers_of(e.generate(b, batch_size=size)))
    first = next(iter(timings.values()))
    assert all(timing.answers == first.answers for timing in timings.values())
    return {name: _row(engine, timings[name], before[name], len(requests)) for name, engine in engines.items()}


def _shortened(request: GenerationRequest) -> GenerationRequest:
    return GenerationRequest(request.prompt_ids, request.grammar, 2)


def _row(engine: TransformersEngine, timing: Timing, before: tuple[int, int], count: int) -> dict[str, float]:
    return {
        "passes": (engine.statistics.passes - before[0]) / count,
        "tokens": (engine.statistics.tokens - before[1]) / count,
        "cpu_ms": 1000 * sum(timing.cpu.values()) / count,
        "wall_ms": 1000 * sum(timing.wall.values()) / count,
    }


def lines_of(name: str) -> int:
    """Lines of code of a proposer and of the modules of its room that it needs, those apart that all need."""
    modules: dict[str, Any] = {}
    waiting = [inspect.getmodule(PROPOSERS[name])]
    while waiting:
        module: Any = waiting.pop()
        short = module.__name__.rpartition(".")[2]
        if short in modules or short in SHARED:
            continue
        modules[short] = module
        nodes = ast.walk(ast.parse(inspect.getsource(module)))
        names = [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
        waiting += [sys.modules[name] for name in names if name.startswith("extractft.speculation.")]
    return sum(_code_lines(inspect.getsource(module)) for module in modules.values())


def _code_lines(source: str) -> int:
    """Lines with code in them."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    texts = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - texts)
