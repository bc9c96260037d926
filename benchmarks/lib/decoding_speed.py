"""Time of a record: `generate` as people use it, and the engine, on the same weights in one process.

    python benchmarks/decoding.py speed snips_restaurant --extractor DIR --limit 40 --batch-size 32
    python benchmarks/decoding.py speed --extractor DIR --texts test.jsonl
    python benchmarks/decoding.py speed snips_restaurant --shape qwen3-0.6b --limit 8 --batch-size 8

The set's test rows are those that `quality.py` takes; `--texts` is any file of texts. `--shape` is a random model of a
size for which there are no tuned weights: it is made to answer with the set's gold records, which shows time and
nothing else (lib/dictated_model.py).

Five ways, in turns text by text and then batch by batch, so that a busy machine slows all of them alike:

    generate        model.generate, greedy, one text after the other
    lookup          the same with prompt_lookup_num_tokens
    engine          the engine, one text after the other
    generate-batch  model.generate on left-padded batches
    engine-batch    the engine on the same texts

Prompts are tokenised beforehand and grammars compiled beforehand, for all alike. `generate` knows no grammar, so its
answer can differ from the engine's: times are compared over the texts on which all ways gave the same tokens, and
their share is printed. Where answers differ the reason is looked up and counted (lib/token_differences.py): the grammar
refuses `generate`'s token, the two best tokens lie within 1e-4, or it is a fault. The engine's drafts learn from the
records that it makes, so it first makes `--warm-up` others;
`engine` and `engine-batch` are two engines, which do not learn from each other. Each time is given in wall and in
processor milliseconds a record: on a machine with other work the second is the fairer one.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from extractft import Extractor
from extractft.completion import GenerationRequest
from extractft.inference import TransformersEngine
from lib.command_line import add_threads_argument
from lib.decoding_bench import PAIRS, Bench, Timing
from lib.dictated_model import NOTICE, SHAPES, Targets, build_extractor
from lib.results import write_json
from lib.tasks import HELP, TEST, TRAIN, add_data_argument, load_task


def report(timings: dict[str, Timing], count: int) -> list[dict[str, Any]]:
    """Times over the texts on which all ways agree; the ratios are to the first way."""
    first = next(iter(timings.values()))
    same = [i for i in range(count) if len({timing.answers[i] for timing in timings.values()}) == 1]
    rows = []
    for name, timing in timings.items():
        equal = sum(timing.answers[i] == first.answers[i] for i in range(count)) / count
        wall, cpu = (1000 * sum(t[i] for i in same) / max(1, len(same)) for t in (timing.wall, timing.cpu))
        rows.append({"way": name, "equal": equal, "compared": len(same), "wall_ms": wall, "cpu_ms": cpu})
    for row in rows:
        row["times"] = rows[0]["cpu_ms"] / row["cpu_ms"] if row["cpu_ms"] else float("nan")
    return rows


def engine_report(engine: TransformersEngine, before: tuple[int, ...], seconds: float, cpu: float, count: int) -> str:
    """Passes and tokens a record, and what drafting cost."""
    now = _counts(engine)
    passes, tokens, drafted, accepted = ((b - a) / count for a, b in zip(before, now, strict=True))
    share = (engine.statistics.draft_seconds - seconds) / cpu
    return (
        f"{passes:.1f} passes, {tokens:.1f} tokens, {drafted:.1f} drafted, {accepted:.1f} right a record; "
        f"masks and drafts {100 * share:.1f} % of its time"
    )


def _counts(engine: TransformersEngine) -> tuple[int, ...]:
    s = engine.statistics
    return s.passes, s.tokens, s.drafted, s.accepted


def _print(rows: list[dict[str, Any]]) -> None:
    print("| way | equal | compared | wall ms | cpu ms | times faster |\n|---|---|---|---|---|---|")
    for r in rows:
        print(
            f"| {r['way']} | {100 * r['equal']:.0f} % | {r['compared']} | {r['wall_ms']:.0f} | {r['cpu_ms']:.0f} "
            f"| {r['times']:.2f} |"
        )


def read_texts(args: argparse.Namespace) -> list[str]:
    """Texts to measure on, then those to warm up on."""
    count = args.limit + args.warm_up
    if args.texts is None:
        return [text for text, _ in load_task(args.set, TRAIN, max(TEST, count), data=args.data).test[:count]]
    lines = args.texts.read_text(encoding="utf-8").splitlines()[:count]
    return [json.loads(line)["text"] for line in lines]


def prepare(args: argparse.Namespace) -> tuple[Bench, list[GenerationRequest]]:
    """The model, and what to ask it."""
    if args.shape is None:
        extractor: Extractor[Any] = Extractor.from_pretrained(args.extractor)
        bench = Bench(extractor, max_new_tokens=args.max_new_tokens, lookup=args.lookup)
        return bench, [bench.runner.request(text) for text in read_texts(args)]
    print(NOTICE)
    count = args.limit + args.warm_up
    task = load_task(args.set, TRAIN, max(TEST, count), data=args.data)
    extractor = build_extractor(task.schema, layers=args.layers)
    spec, chat = extractor.schema, extractor._pipeline.chat
    bench = Bench(extractor, max_new_tokens=args.max_new_tokens, lookup=args.lookup)
    requests = [bench.runner.request(text) for text, _ in task.test[:count]]
    targets = Targets(bench.end)
    answers = [chat.completion_ids(spec.canonical_json(spec.parse_value(gold))) for _, gold in task.test[:count]]
    pairs = zip(requests, answers, strict=True)
    kept = [request for request, answer in pairs if targets.add(request, answer, limit=args.max_new_tokens)]
    print(f"{len(requests) - len(kept)} of {len(requests)} gold records are too long or not in the grammar: left out")
    bench.targets = targets
    return bench, kept


def measure(bench: Bench, requests: Sequence[GenerationRequest], args: argparse.Namespace) -> dict[str, Any]:
    """All ways on the first texts, the engines warmed up on the others."""
    measured, warm_up = requests[: args.limit], requests[args.limit :]
    result: dict[str, Any] = {"texts": len(measured), "warm_up": len(warm_up)}
    everything: dict[str, Timing] = {}
    bench.generate(measured[:1])
    for kind in ("single", "batched"):
        if args.only not in (None, kind):
            continue
        engine = bench.engine()
        list(engine.generate(warm_up or measured[:1], batch_size=args.batch_size))
        before, seconds = _counts(engine), engine.statistics.draft_seconds
        if kind == "single":
            timings = bench.single(measured, engine)
        else:
            timings = bench.batched(measured, engine, args.batch_size)
        rows = report(timings, len(measured))
        _print(rows)
        own = timings["engine" if kind == "single" else "engine-batch"]
        line = engine_report(engine, before, seconds, sum(own.cpu.values()), len(measured))
        print(line + "\n")
        result[kind] = {"ways": rows, "engine": line}
        everything |= timings
    return result | {"differences": bench.differences(measured, everything, PAIRS)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, the texts, and how they are decoded."""
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--extractor", help="directory that save_pretrained wrote")
    model.add_argument("--shape", choices=SHAPES, help="random weights and the answers of the set: shows time alone")
    parser.add_argument("--layers", type=int, default=None, help="fewer layers for --shape, for a quick look")
    texts = parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("set", metavar="SET", nargs="?", default=None, help=HELP)
    texts.add_argument("--texts", type=Path, help="JSON lines with a `text`")
    add_data_argument(parser)
    parser.add_argument("--limit", type=int, default=40, help="texts that are measured")
    parser.add_argument("--warm-up", type=int, default=8, help="other texts that each engine sees first")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=512, help="for generate; the engine has its own budget")
    parser.add_argument("--lookup", type=int, default=10, help="prompt_lookup_num_tokens")
    add_threads_argument(parser)
    parser.add_argument("--only", choices=["single", "batched"], default=None)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")


def run(args: argparse.Namespace) -> None:
    """Measure and print; with `--output` write as well."""
    if args.shape is not None and args.set is None:
        raise SystemExit("expected a set with --shape, which takes its answers from there, found --texts")
    bench, requests = prepare(args)
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    result |= {"threads": torch.get_num_threads(), "data": args.set, "shape": args.shape, "layers": args.layers}
    result |= {"notice": NOTICE} if args.shape else {}
    print(f"{result}; dtype {bench.model.dtype}, device {bench.model.device}")
    result |= measure(bench, requests, args)
    write_json(args.output, result)
