"""How long a record takes: `generate` as people use it, and the engine, on the same weights in one process.

    python benchmarks/decoding.py --extractor DIR --data ../shared/data/snips_restaurant --limit 40 --batch-size 32
    python benchmarks/decoding.py --extractor DIR --texts test.jsonl

    python benchmarks/decoding.py --shape qwen3-0.6b --data ../shared/data/snips_restaurant --limit 8 --batch-size 8

`--data` names a set as `quality.py` does, and takes the test rows that it takes; `--texts` is any file of texts.
`--shape` is a random model of a size for which there are no tuned weights: it is made to answer with the set's gold
records, which shows time and nothing else (decoding_shape.py).

Five ways, in turns text by text and then batch by batch, so that a busy machine slows all of them alike:

    generate        model.generate, greedy, one text after the other
    lookup          the same with prompt_lookup_num_tokens
    engine          the engine, one text after the other
    generate-batch  model.generate on left-padded batches
    engine-batch    the engine on the same texts

Prompts are tokenised beforehand and grammars compiled beforehand, for all alike. `generate` knows no grammar, so its
answer can differ from the engine's: times are compared over the texts on which all ways gave the same tokens, and
their share is printed. Where answers differ the reason is looked up and counted (decoding_ties.py): the grammar
refuses `generate`'s token, the two best tokens lie within 1e-4, or it is a fault. The engine's drafts know what the
extractor keeps of its training rows, and learn from the records that it makes, so it first makes `--warm-up` others;
`engine` and `engine-batch` are two engines, which do not learn from each other. Each time is given in wall and in
processor milliseconds a record: on a machine with other work the second is the fairer one.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from decoding_shape import NOTICE, SHAPES, Targets, build_extractor, overrule
from decoding_ties import Answer, compare, describe, summary
from extractft import Example, Extractor
from extractft.decoding import Completion, Experience, GenerationRequest, TransformersEngine
from extractft.extractor.rehearsal import rehearse
from quality import load_task

TRAIN, TEST = 200, 60
"""The sample that quality.py measures on; a trained extractor has not seen its test rows."""
SINGLE = ("generate", "lookup", "engine")
BATCHED = ("generate-batch", "engine-batch")
PAIRS = (("generate", "engine"), ("generate-batch", "engine-batch"), ("engine", "engine-batch"))


@dataclass(slots=True)
class Timing:
    """What one way took, and what it answered, by index of the text."""

    answers: dict[int, Answer] = field(default_factory=dict)
    wall: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)

    def run(self, indices: Sequence[int], work: Callable[[], list[Answer]]) -> None:
        """Time one call; its cost is shared out evenly over its texts."""
        wall, cpu = time.perf_counter(), time.process_time()
        answers = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        for index, answer in zip(indices, answers, strict=True):
            self.answers[index] = answer
            self.wall[index], self.cpu[index] = wall / len(indices), cpu / len(indices)


class Bench:
    """One extractor's weights, run in different ways.

    Attributes:
        targets: What the model is made to answer, if it is a random one.
    """

    def __init__(self, extractor: Extractor[Any], *, max_new_tokens: int, lookup: int) -> None:
        runner, base = extractor._runner, extractor._own_base()
        self.runner, self.model = runner, base.model.eval()
        self.end = runner.chat.end_token_id
        self.pad = self.end if base.tokenizer.pad_token_id is None else base.tokenizer.pad_token_id
        self.max_new_tokens, self.lookup = max_new_tokens, lookup
        self.targets: Targets | None = None
        self.experience = None if extractor._drafts is None else Experience.from_bytes(extractor._drafts)

    def engine(self, *, drafts: bool = True) -> TransformersEngine:
        """An engine that knows of drafts what is kept with the extractor, and has seen nothing yet."""
        engine = TransformersEngine(
            self.model,
            end_token_id=self.end,
            pad_token_id=self.pad,
            config=self.runner.generation,
            prefix_ids=self.runner.chat.prefix_ids,
            drafts=drafts,
        )
        if self.targets is not None:
            self.targets.dictate(engine)
        if self.experience is not None:
            engine.remember(self.experience)
        return engine

    def generate(self, requests: Sequence[GenerationRequest], **options: Any) -> list[Answer]:
        """`model.generate`, left-padded."""
        width = max(len(request.prompt_ids) for request in requests)
        ids = torch.full((len(requests), width), self.pad)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(requests):
            ids[row, width - len(request.prompt_ids) :] = torch.tensor(request.prompt_ids)
            mask[row, width - len(request.prompt_ids) :] = 1
        device = self.model.device
        if self.targets is not None:
            options["logits_processor"] = [self.targets.processor(requests, width)]
        with torch.no_grad():
            out = self.model.generate(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                max_new_tokens=self.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                eos_token_id=self.end,
                pad_token_id=self.pad,
                **options,
            )
        return [self._until_end(row) for row in out[:, width:].tolist()]

    def _until_end(self, ids: list[int]) -> Answer:
        ended = self.end in ids
        return Answer(tuple(ids[: ids.index(self.end)] if ended else ids), ended)

    def next_logits(self, token_ids: Sequence[int]) -> Tensor:
        """Logits of the token behind these, by one plain pass over all of them."""
        with torch.no_grad():
            ids = torch.tensor([token_ids], device=self.model.device)
            logits: Tensor = self.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1].float()
        return logits if self.targets is None else overrule(logits[None], [self.targets.next_token(token_ids)])[0]

    def differences(
        self, requests: Sequence[GenerationRequest], timings: dict[str, Timing], pairs: Sequence[tuple[str, str]]
    ) -> dict[str, Any]:
        """Why the second way of each pair, an engine, answers otherwise than the first; printed as well."""
        found = {}
        for other, ours in pairs:
            if other in timings and ours in timings:
                differences = compare(
                    requests,
                    timings[other].answers,
                    timings[ours].answers,
                    next_logits=self.next_logits,
                    end_token_id=self.end,
                )
                print(describe(f"{ours} against {other}, {len(requests)} texts", differences))
                found[f"{ours} against {other}"] = summary(differences)
        return found

    def single(self, requests: Sequence[GenerationRequest], engine: TransformersEngine) -> dict[str, Timing]:
        """The three ways of one text after the other, in turns."""
        timings = {name: Timing() for name in SINGLE}
        for i, request in enumerate(requests):
            timings["generate"].run([i], lambda r=request: self.generate([r]))
            timings["lookup"].run([i], lambda r=request: self.generate([r], prompt_lookup_num_tokens=self.lookup))
            timings["engine"].run([i], lambda r=request: _answers(engine.generate([r], batch_size=1)))
        return timings

    def batched(
        self, requests: Sequence[GenerationRequest], engine: TransformersEngine, batch_size: int
    ) -> dict[str, Timing]:
        """The two ways of batches, in turns; batches are of texts of like length, as `generate` likes them best."""
        timings = {name: Timing() for name in BATCHED}
        order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt_ids))
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            batch = [requests[i] for i in part]
            timings["generate-batch"].run(part, lambda b=batch: self.generate(b))
            timings["engine-batch"].run(part, lambda b=batch: _answers(engine.generate(b, batch_size=batch_size)))
        return timings


def _answers(completions: Iterable[Completion]) -> list[Answer]:
    return [Answer(completion.token_ids, completion.finish_reason == "stop") for completion in completions]


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
    if args.data is not None:
        return [text for text, _ in load_task(args.data, TRAIN, max(TEST, count), seed=0).test[:count]]
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
    task = load_task(args.data, TRAIN, max(TEST, count), seed=0)
    extractor = build_extractor(task.schema, layers=args.layers)
    spec, chat = extractor.schema, extractor._runner.chat
    extractor._drafts = rehearse(extractor._runner, [Example(t, spec.parse_value(gold)) for t, gold in task.train])
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


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--extractor", help="directory that save_pretrained wrote")
    model.add_argument("--shape", choices=SHAPES, help="random weights and the answers of --data: shows time alone")
    parser.add_argument("--layers", type=int, default=None, help="fewer layers for --shape, for a quick look")
    texts = parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("--data", help="folder of a set, complaints or orders, as for quality.py")
    texts.add_argument("--texts", type=Path, help="JSON lines with a `text`")
    parser.add_argument("--limit", type=int, default=40, help="texts that are measured")
    parser.add_argument("--warm-up", type=int, default=8, help="other texts that each engine sees first")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-new-tokens", type=int, default=512, help="for generate; the engine has its own budget")
    parser.add_argument("--lookup", type=int, default=10, help="prompt_lookup_num_tokens")
    parser.add_argument("--threads", type=int, default=None, help="torch threads")
    parser.add_argument("--only", choices=["single", "batched"], default=None)
    parser.add_argument("--output", type=Path, default=None, help="write the numbers there as JSON")
    args = parser.parse_args()
    if args.shape is not None and args.data is None:
        parser.error("--shape takes its answers from --data")
    return args


def main() -> None:
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    bench, requests = prepare(args)
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    result |= {"threads": torch.get_num_threads(), "data": args.data, "shape": args.shape, "layers": args.layers}
    result |= {"notice": NOTICE} if args.shape else {}
    print(f"{result}; dtype {bench.model.dtype}, device {bench.model.device}")
    result |= measure(bench, requests, args)
    if args.output is not None:
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
