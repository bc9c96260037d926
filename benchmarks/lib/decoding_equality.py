"""Equality of an extractor's records, however they are decoded: over many texts, on tuned weights.

    python benchmarks/decoding.py equality snips_restaurant --extractor DIR --limit 200

Four ways, under the same grammar masks and greedy:

    reference   the plain engine: transformers' own attention and cache, padded rows, one token a pass
    undrafted   the packed engine without drafts, side by side
    drafted     the same with drafts
    single      with drafts, one text after the other

Where tokens differ from the reference's, the cause is looked up (lib/token_differences.py): the two best tokens lie
within 1e-4 and rounding decides, or it is a fault. Drafts learn from record to record, so later texts have longer
drafts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from extractft import Extractor
from extractft.inference import ReferenceEngine
from extractft.speculation import make_proposer
from lib.command_line import add_threads_argument
from lib.decoding_bench import Bench, answers_of
from lib.results import environment, write_json
from lib.tasks import TEST, TRAIN, add_set_argument, load_task
from lib.token_differences import Answer, compare, describe, summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the extractor and its texts."""
    add_set_argument(parser)
    parser.add_argument("--extractor", required=True, help="directory that save_pretrained wrote")
    parser.add_argument("--limit", type=int, default=200, help="texts that are compared")
    parser.add_argument("--batch-size", type=int, default=16)
    add_threads_argument(parser)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")


def run(args: argparse.Namespace) -> None:
    """Compare and print."""
    extractor: Extractor[Any] = Extractor.from_pretrained(args.extractor)
    bench = Bench(extractor, max_new_tokens=512, lookup=0)
    task = load_task(args.set, TRAIN, max(TEST, args.limit), data=args.data)
    texts = [text for text, _ in task.test[: args.limit]]
    requests = [bench.runner.request(text) for text in texts]
    answers: dict[str, dict[int, Answer]] = {}
    for name, (engine, rows) in engines(bench, args.batch_size).items():
        start = time.process_time()
        answers[name] = dict(enumerate(answers_of(engine.generate(requests, batch_size=rows))))
        print(f"{name}: {(time.process_time() - start) / len(texts):.2f} processor seconds a record", flush=True)
    result: dict[str, Any] = {"texts": len(texts), "tokens": sum(len(a.token_ids) for a in answers["single"].values())}
    reference = answers.pop("reference")
    for name, own in answers.items():
        found = compare(requests, reference, own, next_logits=bench.next_logits, end_token_id=bench.end)
        print(describe(f"{name} against reference, {len(texts)} texts", found))
        result[name] = summary(found)
    write_json(args.output, result | {"environment": environment()})


def engines(bench: Bench, batch_size: int) -> dict[str, tuple[Any, int]]:
    """An engine for each way, that has seen nothing yet, and its rows side by side."""
    reference = ReferenceEngine(
        bench.model,
        end_token_id=bench.end,
        pad_token_id=bench.pad,
        config=bench.runner.generation,
        prefix_ids=bench.runner.chat.prefix_ids,
    )
    return {
        "reference": (reference, batch_size),
        "undrafted": (bench.engine(make_proposer("none")), batch_size),
        "drafted": (bench.engine(), batch_size),
        "single": (bench.engine(), 1),
    }
