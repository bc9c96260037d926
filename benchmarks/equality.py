"""Whether an extractor's records depend on how they are decoded: over many texts, on tuned weights.

    python benchmarks/equality.py --extractor DIR --data ../shared/data/snips_restaurant --limit 200

Four ways, under the same grammar masks and greedy:

    reference   the plain engine: transformers' own attention and cache, padded rows, one token a pass
    undrafted   the packed engine without drafts, side by side
    drafted     the same with drafts
    single      with drafts, one text after the other

Where tokens differ from the reference's the reason is looked up (decoding_ties.py): the two best tokens lie within
1e-4, and rounding decides, or it is a fault. Drafts learn from record to record, so later texts have longer drafts.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from decoding import TEST, TRAIN, Bench, _answers
from decoding_ties import Answer, compare, describe, summary
from extractft import Extractor
from extractft.decoding import ReferenceEngine
from quality import environment, load_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extractor", required=True, help="directory that save_pretrained wrote")
    parser.add_argument("--data", required=True, help="folder of a set, complaints or orders, as for quality.py")
    parser.add_argument("--limit", type=int, default=200, help="texts that are compared")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    extractor: Extractor[Any] = Extractor.from_pretrained(args.extractor)
    bench = Bench(extractor, max_new_tokens=512, lookup=0)
    texts = [text for text, _ in load_task(args.data, TRAIN, max(TEST, args.limit), seed=0).test[: args.limit]]
    requests = [bench.runner.request(text) for text in texts]
    answers: dict[str, dict[int, Answer]] = {}
    for name, (engine, rows) in engines(bench, args.batch_size).items():
        start = time.process_time()
        answers[name] = dict(enumerate(_answers(engine.generate(requests, batch_size=rows))))
        print(f"{name}: {(time.process_time() - start) / len(texts):.2f} processor seconds a record", flush=True)
    result: dict[str, Any] = {"texts": len(texts), "tokens": sum(len(a.token_ids) for a in answers["single"].values())}
    reference = answers.pop("reference")
    for name, own in answers.items():
        found = compare(requests, reference, own, next_logits=bench.next_logits, end_token_id=bench.end)
        print(describe(f"{name} against reference, {len(texts)} texts", found))
        result[name] = summary(found)
    if args.output is not None:
        args.output.write_text(json.dumps(result | {"environment": environment()}, indent=1) + "\n", "utf-8")


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
        "undrafted": (bench.engine(drafts=False), batch_size),
        "drafted": (bench.engine(), batch_size),
        "single": (bench.engine(), 1),
    }


if __name__ == "__main__":
    main()
