"""What 8-bit products give and cost: the same extractor in float32 and in 8 bits, in turns on the same texts.

    python benchmarks/eight_bit.py --extractor DIR --data ../shared/data/snips_restaurant --limit 60 --threads 1

Prints field F1, exact and valid records, the share of records that are the same in both, and processor seconds a
record, the better of `--turns`. Each extractor first reads `--warm-up` training texts, as its drafts learn from them.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from extractft import Extractor
from extractft.evaluation import evaluate_records
from extractft.extractor.outcomes import predictions_of
from quality import environment, load_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extractor", required=True, help="directory that save_pretrained wrote")
    parser.add_argument("--data", required=True, help="folder of a set or its name, as for quality.py")
    parser.add_argument("--limit", type=int, default=60, help="texts that are measured")
    parser.add_argument("--warm-up", type=int, default=12)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the numbers there as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    task = load_task(arguments.data, 200, max(60, arguments.limit), seed=0)
    rows = task.test[: arguments.limit]
    extractors: dict[str, Extractor[Any]] = {
        dtype: Extractor.from_pretrained(arguments.extractor, schema=task.schema, dtype=dtype)
        for dtype in ("float32", "int8")
    }
    texts = [text for text, _ in rows]
    seconds: dict[str, list[float]] = {dtype: [] for dtype in extractors}
    found: dict[str, list[Any]] = {}
    for extractor in extractors.values():
        for _ in extractor.extract_many(text for text, _ in task.train[: arguments.warm_up]):
            pass
    for _ in range(arguments.turns):
        for dtype, extractor in extractors.items():
            start = time.process_time()
            found[dtype] = predictions_of(extractor._runner.run(texts))
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
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
