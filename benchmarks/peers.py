"""The same tuned weights in other engines: seconds per record, and quality of the records.

    python -m venv --without-pip benchmarks/.cache/peers-venv
    python -m pip --python benchmarks/.cache/peers-venv/bin/python install -r benchmarks/peer_workers/requirements.txt
    python benchmarks/peers.py snips_restaurant --extractor DIR --limit 40 --threads 1

    ours         the engine of this package, float32
    ours-q8      the same with products in 8 bits
    outlines     Outlines with transformers, JSON schema, float32
    llama-f32    llama.cpp's server, float32 weights, keys and values
    llama-q8     the same with weights in 8 bits (Q8_0), and keys and values in 16 bits, its default

Each one by one, in turns text by text, and then `--batch-size` texts side by side: a stream of texts for ours and for
the server with as many slots, batches of like length for Outlines. All read the same prompt tokens, decode greedily,
may write as many new tokens, and have seen `--warm-up` other texts before, so that grammars are compiled and prefixes
cached where an engine caches them. The schema is the one that our own grammar is compiled from: closed, in order,
without whitespace and without what a record leaves out. llama.cpp gets it as `json_schema`, which the package's build
hands to llguidance, and as a grammar in its own notation, checked by its own code (`+gbnf`).

The peers are processes of their own; processor seconds are those of the process that computes, the server's counted in
steps of 10 ms. The server of the package is built for any machine with AVX2; with `--llama-server PATH` that program,
built for this machine, takes its place.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from pydantic import ValidationError

from extractft import Extractor
from extractft.errors import ExtractionError
from extractft.evaluation import evaluate_records
from extractft.extractor.pipeline import Pipeline
from extractft.inference import TransformersEngine
from lib.command_line import add_threads_argument, make_parser
from lib.peer_export import export
from lib.peer_grammar import UnsupportedSchemaError, gbnf
from lib.peer_processes import Llama, Outlines, Peer, Prompt
from lib.results import add_results_arguments, write_json
from lib.tasks import add_set_argument, load_task

ENGINES = ("ours", "ours-q8", "outlines", "llama-f32", "llama-q8")
MODES = ("single", "batched")
Maker = Callable[[ExitStack], Peer]


class Ours:
    """The engine of this package, in this process; it has seen nothing yet."""

    def __init__(self, extractor: Extractor[Any], *, eight_bit: bool = False) -> None:
        base, old = replace(extractor._own_base(), eight_bit=eight_bit), extractor._pipeline
        engine = base.engine(old.chat, old.generation)
        assert isinstance(engine, TransformersEngine)
        self.runner = Pipeline(old.schema, old.chat, engine, old.grammar, old.generation, old.max_window)
        self.ready: dict[str, Any] = {"seconds": 0.0, "version": torch.__version__}

    def ask(self, prompts: Sequence[Prompt], batch_size: int) -> list[str]:
        outcomes = self.runner.run([prompt.source for prompt in prompts], batch_size=batch_size)
        return [(o.raw_output or "") if isinstance(o, ExtractionError) else o.raw_output for o in outcomes]

    def cpu(self) -> float:
        return time.process_time()


@dataclass(slots=True)
class Timing:
    """Seconds and answers of one way."""

    answers: dict[int, str] = field(default_factory=dict)
    wall: float = 0.0
    cpu: float = 0.0

    def run(self, peer: Peer, prompts: Sequence[Prompt], places: Sequence[int], batch_size: int) -> None:
        wall, cpu = time.perf_counter(), peer.cpu()
        answers = peer.ask([prompts[i] for i in places], batch_size)
        self.wall += time.perf_counter() - wall
        self.cpu += peer.cpu() - cpu
        self.answers.update(zip(places, answers, strict=True))


class Judge:
    """Compares answers with gold and with ours."""

    def __init__(self, extractor: Extractor[Any], gold: Sequence[Any], ours: dict[int, str], texts: list[str]) -> None:
        self.extractor, self.schema, self.texts = extractor, extractor.schema, texts
        self.gold = [self.schema.parse_value(value) for value in gold]
        self.ours = ours

    def record(self, answer: str) -> Any:
        try:
            return self.schema.parse(answer)
        except ValidationError:
            return None

    def canonical(self, answer: str) -> str | None:
        record = self.record(answer)
        return None if record is None else self.schema.canonical_json(record)

    def row(self, name: str, timing: Timing) -> dict[str, Any]:
        count = len(self.gold)
        answers = [timing.answers[i] for i in range(count)]
        records = [self.record(answer) for answer in answers]
        predictions = ["invalid" if record is None else record for record in records]
        report = evaluate_records(self.schema, self.gold, predictions, texts=self.texts)
        other = [i for i, a in enumerate(answers) if self.canonical(a) is None or self.canonical(a) != self._ours(i)]
        return {
            "way": name,
            "wall_seconds": timing.wall / count,
            "cpu_seconds": timing.cpu / count,
            "field_f1": report.field_f1,
            "equal": 1 - len(other) / count,
            "same_text": sum(a == self.ours[i] for i, a in enumerate(answers)) / count,
            "valid": report.valid_rate,
            "differences": [self.difference(i, answers[i]) for i in other],
        }

    def _ours(self, place: int) -> str | None:
        return self.canonical(self.ours[place])

    def difference(self, place: int, theirs: str) -> dict[str, Any]:
        """Both answers, and where they part how much likelier the first token was than the second, as ours sees it."""
        found: dict[str, Any] = {"text": place, "ours": self.ours[place], "theirs": theirs, "gap": None}
        try:
            steps = self.extractor.inspect(self.texts[place]).completion.steps
        except ExtractionError:
            return found
        ids = self.extractor._pipeline.chat.completion_ids(theirs)
        parts = (step for step, other in zip(steps, ids, strict=False) if step.token_id != other)
        step = next(parts, None)
        if step is not None and len(step.alternatives) > 1:
            found["gap"] = step.alternatives[0][1] - step.alternatives[1][1]
        return found


@dataclass(slots=True)
class Bench:
    """The extractor, the texts, and the settings of the peers."""

    args: argparse.Namespace
    extractor: Extractor[Any]
    prompts: list[Prompt]
    warm_up: list[Prompt]
    about: dict[str, dict[str, Any]] = field(default_factory=dict)

    def makers(self, mode: str) -> dict[str, Maker]:
        """One for each way of this mode. Ways with the same weights share no server, or one would warm the other."""
        slots = 1 if mode == "single" else self.args.batch_size
        peers = set(self.args.engines) - {"ours", "ours-q8"}
        exported = export(Path(self.args.extractor)) if peers else None
        schema = self.extractor.schema.grammar_schema()
        grammars = self._grammars(schema)
        found: dict[str, Maker] = {}
        for name in self.args.engines:
            kind = name.removeprefix("llama-")
            if name in ("ours", "ours-q8"):
                found[name] = lambda _, eight_bit=name == "ours-q8": Ours(self.extractor, eight_bit=eight_bit)
                continue
            assert exported is not None
            if name == "outlines":
                found[name] = lambda stack: Outlines(stack, exported.transformers, schema, self.args.threads)
            else:
                settings = self._settings(exported.gguf(kind), slots)
                found |= {name + suffix: self._llama(settings, grammar) for suffix, grammar in grammars.items()}
        return found

    def _llama(self, settings: dict[str, Any], grammar: dict[str, Any]) -> Maker:
        return lambda stack: Llama(stack, settings, grammar, self.args.llama_server)

    def _grammars(self, schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Grammars for llama.cpp, by the suffix of the way's name."""
        found: dict[str, dict[str, Any]] = {"": {"json_schema": schema}}
        try:
            found["+gbnf"] = {"grammar": gbnf(schema)}
        except UnsupportedSchemaError as error:
            print(f"+gbnf is left out: {error}")
        return found if self.args.gbnf else {"": found[""]}

    def _settings(self, weights: Path, slots: int) -> dict[str, Any]:
        longest = max(len(prompt.ids) + prompt.limit for prompt in (*self.prompts, *self.warm_up))
        return {
            "model": str(weights),
            "threads": self.args.threads,
            "slots": slots,
            "context": -(-longest // 256) * 256,
            "float32_cache": weights.stem == "f32",
        }

    def single(self) -> dict[str, Timing]:
        """Text by text, in turns."""
        with ExitStack() as stack:
            started = {name: self._ready(name, make, stack, 1) for name, make in self.makers("single").items()}
            peers = {name: peer for name, peer in started.items() if peer is not None}
            timings = {name: Timing() for name in peers}
            for place in range(len(self.prompts)):
                for name, peer in peers.items():
                    timings[name].run(peer, self.prompts, [place], 1)
        return timings

    def batched(self) -> dict[str, Timing]:
        """All texts side by side, one way after the other, each with the memory to itself."""
        order = sorted(range(len(self.prompts)), key=lambda i: len(self.prompts[i].ids))
        timings = {}
        for name, make in self.makers("batched").items():
            with ExitStack() as stack:
                peer = self._ready(name, make, stack, self.args.batch_size)
                if peer is not None:
                    timings[name] = Timing()
                    timings[name].run(peer, self.prompts, order, self.args.batch_size)
        return timings

    def _ready(self, name: str, make: Maker, stack: ExitStack, size: int) -> Peer | None:
        """Started and warmed up; `None` if it cannot take these weights or this schema."""
        try:
            peer = make(stack)
            print(f"{name}, {size} side by side: {peer.ready}", flush=True)
            self.about[name] = {key: value for key, value in peer.ready.items() if key != "address"}
            if isinstance(peer, Outlines) and peer.tokenize(self.prompts) != [list(p.ids) for p in self.prompts]:
                print(f"{name}: its tokenizer cuts some prompts otherwise")
            self._warm(peer, size)
        except (RuntimeError, OSError) as error:
            print(f"{name}, {size} side by side, is left out: {error}", flush=True)
            return None
        return peer

    def _warm(self, peer: Peer, size: int) -> None:
        """Every text one by one, or as often as it takes to fill every slot of a batch."""
        if size == 1:
            for prompt in self.warm_up:
                peer.ask([prompt], 1)
        else:
            peer.ask((self.warm_up * size)[: max(size, len(self.warm_up))], size)


def table(rows: Sequence[dict[str, Any]]) -> str:
    head = "| engine | wall, s | processor, s | to ours | field F1 | equal | same text | valid |"
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        own = next((r for r in rows if r["way"] == "ours" and r["mode"] == row["mode"]), None)
        ratio = f"{row['cpu_seconds'] / own['cpu_seconds']:.2f}" if own else ""
        name = row["way"] + (", one by one" if row["mode"] == "single" else ", side by side")
        lines.append(
            f"| {name} | {row['wall_seconds']:.2f} | {row['cpu_seconds']:.2f} | {ratio} | {row['field_f1']:.3f} "
            f"| {row['equal']:.0%} | {row['same_text']:.0%} | {row['valid']:.0%} |"
        )
    return "\n".join(lines)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    add_set_argument(parser)
    add_results_arguments(parser)
    parser.add_argument("--extractor", required=True, help="directory that save_pretrained wrote")
    parser.add_argument("--limit", type=int, default=40, help="texts that are measured")
    parser.add_argument("--warm-up", type=int, default=8, help="other texts that each engine sees first")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--no-gbnf", dest="gbnf", action="store_false", help="llama.cpp with `json_schema` alone")
    parser.add_argument("--batch-size", type=int, default=16, help="texts side by side")
    add_threads_argument(parser, default=2)
    parser.add_argument("--llama-server", type=Path, default=None, help="a program to take in place of the package's")
    parser.add_argument("--name", default=None, help="of the result; the set's and the extractor's names if not given")
    return parser


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that a result is kept with; of paths the names alone."""
    own_paths = ("extractor", "results", "cache", "data")
    return {k: v.name if isinstance(v, Path) else v for k, v in vars(args).items() if k not in own_paths}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every engine and print a table."""
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    extractor: Extractor[Any] = Extractor.from_pretrained(args.extractor, device="cpu", dtype="float32")
    task = load_task(args.set, 0, args.limit + args.warm_up, data=args.data)
    prompts = [Prompt.of(extractor, text) for text, _ in task.test]
    bench = Bench(args, extractor, prompts[: args.limit], prompts[args.limit :])
    timings = {mode: getattr(bench, mode)() for mode in args.modes}
    first = next(iter(timings.values()))
    texts = [prompt.source for prompt in bench.prompts]
    ours = first["ours"].answers if "ours" in first else dict(enumerate(Ours(extractor).ask(bench.prompts, 1)))
    judge = Judge(extractor, [output for _, output in task.test[: args.limit]], ours, texts)
    rows = [{"mode": mode} | judge.row(name, t) for mode, found in timings.items() for name, t in found.items()]
    result = {
        "set": task.name,
        "texts": len(texts),
        "settings": settings_of(args),
        "machine": platform.processor() or platform.machine(),
        "date": datetime.now(UTC).date().isoformat(),
        "engines": bench.about,
        "ways": rows,
    }
    write_json(args.results / f"peers-{args.name or task.name}.json", result)
    for row in rows:
        for found in row["differences"]:
            print(f"{row['mode']} {row['way']}, gap {found['gap']}:\n  {found['ours']}\n  {found['theirs']}")
    print(table(rows))


if __name__ == "__main__":
    main()
