"""Quality and time of products in 8 bits: the same extractor in float32 and in 8 bits, in turns on the same texts.

    python benchmarks/decoding.py eight-bit snips_restaurant --extractor DIR --limit 60

Prints field F1, exact and valid records, the share of records that are the same in both, and processor seconds a
record, the better of `--turns`. Each extractor first reads `--warm-up` training texts, as its drafts learn from them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from extractft import Extractor
from extractft.evaluation import evaluate_records
from extractft.extractor.outcomes import predictions_of
from lib.command_line import add_threads_argument
from lib.results import environment, write_json
from lib.tasks import TEST, TRAIN, add_set_argument, load_task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the extractor and its texts."""
    add_set_argument(parser)
    parser.add_argument("--extractor", required=True, help="directory that save_pretrained wrote")
    parser.add_argument("--limit", type=int, default=60, help="texts that are measured")
    parser.add_argument("--warm-up", type=int, default=12)
    parser.add_argument("--turns", type=int, default=2)
    add_threads_argument(parser)
    parser.add_argument("--output", type=Path, help="write the numbers there as JSON")


def run(args: argparse.Namespace) -> None:
    """Measure and print."""
    task = load_task(args.set, TRAIN, max(TEST, args.limit), data=args.data)
    rows = task.test[: args.limit]
    extractors: dict[str, Extractor[Any]] = {
        dtype: Extractor.from_pretrained(args.extractor, schema=task.schema, dtype=dtype)
        for dtype in ("float32", "int8")
    }
    texts = [text for text, _ in rows]
    seconds: dict[str, list[float]] = {dtype: [] for dtype in extractors}
    found: dict[str, list[Any]] = {}
    for extractor in extractors.values():
        for _ in extractor.extract_many(text for text, _ in task.train[: args.warm_up]):
            pass
    for _ in range(args.turns):
        for dtype, extractor in extractors.items():
            start = time.process_time()
            found[dtype] = predictions_of(extractor._pipeline.run(texts))
            seconds[dtype].append((time.process_time() - start) / len(texts))
    result: dict[str, Any] = {"set": task.name, "texts": len(texts), "environment": environment()}
    for dtype, extractor in extractors.items():
        gold = [extractor.schema.parse_value(output) for _, output in rows]
        report = evaluate_records(extractor.schema, gold, found[dtype], texts=texts)
        result[dtype] = {
            "field_f1": report.field_f1,
            "exact_rate": report.exact_rate,
            "valid_rate": report.valid_rate,
            "cpu_seconds": min(seconds[dtype]),
        }
    same = sum(a == b for a, b in zip(found["float32"], found["int8"], strict=True))
    result["same"] = same / len(texts)
    print(json.dumps(result, indent=1))
    write_json(args.output, result)
