"""How good are the records: untrained, trained, and by the plain recipe, on one set.

    python benchmarks/quality.py --data ../shared/data/snips_restaurant --base-model smollm2-135m --train 200 --test 60
    python benchmarks/quality.py --data complaints ...          # generated: complaints, orders
    python benchmarks/quality.py --data ... --recipe plain      # the baseline of benchmarks/plain.py
    python benchmarks/quality.py --data ... --set learning_rate=5e-4 --set lora.r=8
    python benchmarks/quality.py --data ... --seed 1 --padded   # the same training in padded batches
    python benchmarks/quality.py --table                        # everything measured so far, as Markdown

A set is a folder with `schema.py` (a Pydantic `Record`), `train.jsonl` and `test.jsonl`. Scores are kept in
`benchmarks/results` and not measured again while their file is there; checkpoints and raw outputs are kept in
`benchmarks/.cache`, so that a long run can be detached, ended and started again. Seconds are processor seconds, since
the machine may be shared; wall seconds stand in the results.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from extractft import Extractor, Schema, TrainingConfig
from extractft.evaluation import EvaluationReport, evaluate_records
from extractft.modeling import resolve_base_model
from extractft.training import plan
from plain import run_plain

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
CACHE = ROOT / ".cache"
GENERATED = {"complaints": "complaints", "orders": "orders"}
Rows = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Task:
    """One set, sampled: rows are (text, full JSON output)."""

    name: str
    schema: Any
    train: Rows
    test: Rows


def load_task(data: str, train: int, test: int, seed: int) -> Task:
    """Read a folder, or generate a set by name; the sample depends on `seed` alone."""
    if data in GENERATED:
        module = _module(ROOT.parent / "examples" / data / "generate.py")
        schema = module.SCHEMA
        spec = Schema.of(schema)
        rows = [(row.text, spec.full_value(row.output)) for row in module.generate(train + test, seed=seed)]
        return Task(data, schema, rows[:train], rows[train:])
    folder = Path(data)
    schema = _module(folder / "schema.py").Record
    return Task(folder.name, schema, _sample(folder / "train.jsonl", train), _sample(folder / "test.jsonl", test))


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def _sample(path: Path, count: int) -> Rows:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["text"], row["output"]) for row in random.Random(0).sample(rows, min(count, len(rows)))]


def cached(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result stored at `path`, made and stored if there is none."""
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    result = make() | {"environment": environment()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(path)
    return result


def environment() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "llguidance")}
    return versions | {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s)",
    }


def scores(report: EvaluationReport, seconds: float, cpu: float) -> dict[str, Any]:
    return {
        "field_f1": report.field_f1,
        "exact_rate": report.exact_rate,
        "valid_rate": report.valid_rate,
        "truncated": report.truncated,
        "rows": report.rows,
        "eval_seconds": seconds,
        "eval_cpu_seconds": cpu,
        "report": json.loads(report.model_dump_json()),
    }


def evaluate(extractor: Extractor[Any], rows: Rows) -> dict[str, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    report = extractor.evaluate(rows)
    print(report)
    return scores(report, time.perf_counter() - start, time.process_time() - cpu)


def run_ours(task: Task, base_model: str, config: TrainingConfig, key: str) -> dict[str, Any]:
    """Fit with `config` and score."""
    directory = CACHE / "quality" / "runs" / key
    start, cpu = time.perf_counter(), time.process_time()
    extractor: Extractor[Any] = Extractor.fit(
        task.schema,
        task.train,
        base_model=base_model,
        config=config,
        output_dir=directory,
        resume=directory.exists(),
    )
    seconds = {"fit_seconds": time.perf_counter() - start, "fit_cpu_seconds": time.process_time() - cpu}
    result = extractor.training_result
    assert result is not None
    # One process on few threads: processor seconds are shared out as wall seconds are.
    per_second = seconds["fit_cpu_seconds"] / (result.seconds + result.scoring_seconds)
    seconds |= {
        "train_cpu_seconds": result.seconds * min(per_second, torch.get_num_threads()),
        "scoring_cpu_seconds": result.scoring_seconds * min(per_second, torch.get_num_threads()),
    }
    return {
        "train_metrics": {
            **extractor.metrics,
            **seconds,
            "steps": result.steps,
            "best_step": result.best_step,
            "engine": result.engine,
        },
        "config": config.model_dump(mode="json"),
        **evaluate(extractor, task.test),
    }


def run_baseline(task: Task, base_model: str, seed: int) -> dict[str, Any]:
    """The plain recipe, scored by the same rules; what is no valid record scores nothing."""
    spec = Schema.of(task.schema)

    def make() -> dict[str, Any]:
        ref = resolve_base_model(base_model)
        schema = spec.adapter.json_schema()
        texts = [text for text, _ in task.test]
        kept = path.with_suffix(".pt")
        options: dict[str, Any] = {"seed": seed, "checkpointing": False, "all_logits": False, "keep": kept}
        return asdict(run_plain(ref.path, schema, task.train, texts, **options))

    path = CACHE / "plain" / f"{task.name}-{len(task.train)}-{len(task.test)}-s{seed}.json"
    raw = cached(path, make)
    predictions = [_validated(spec, record) for record in raw["records"]]
    gold = [spec.parse_value(output) for _, output in task.test]
    report = evaluate_records(spec, gold, predictions, texts=[text for text, _ in task.test])
    print(report)
    result = scores(report, raw["predict_seconds"], raw["predict_seconds"])
    return result | {"train_metrics": {k: raw[k] for k in ("train_seconds", "train_cpu_seconds")}}


def _validated(spec: Schema[Any], record: Any) -> Any:
    try:
        return "invalid" if record is None else spec.parse_value(record)
    except ValidationError:
        return "invalid"


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.table:
        print(table())
        return
    task = load_task(arguments.data, arguments.train, arguments.test, seed=0)
    stem = f"{task.name}-{len(task.train)}-{len(task.test)}"
    if arguments.recipe == "plain":
        path = RESULTS / f"{stem}-s{arguments.seed}-plain.json"
        result = cached(path, lambda: run_baseline(task, arguments.base_model, arguments.seed))
        summary(task.name, "plain recipe", result)
        return
    if arguments.padded:
        plan.packed_engine = lambda *_, **__: "asked for"  # type: ignore[assignment]
    config = configured(arguments)
    base = functools.partial(_untrained, task, arguments.base_model, config)
    untrained = None if arguments.no_untrained else cached(RESULTS / f"{stem}-untrained.json", base)
    label = arguments.label or digest(config.model_dump_json() + str(arguments.padded))
    key = f"{stem}-s{arguments.seed}-{label}"
    result = cached(RESULTS / f"{key}.json", lambda: run_ours(task, arguments.base_model, config, key))
    if untrained is not None:
        summary(task.name, "untrained", untrained)
    summary(task.name, label, result)


def _untrained(task: Task, base_model: str, config: TrainingConfig) -> dict[str, Any]:
    extractor: Extractor[Any] = Extractor.from_base(
        task.schema, base_model=base_model, prompt=config.prompt, generation=config.generation
    )
    return evaluate(extractor, task.test)


def configured(arguments: argparse.Namespace) -> TrainingConfig:
    values = TrainingConfig(seed=arguments.seed).model_dump()
    for setting in arguments.set or ():
        name, _, text = setting.partition("=")
        *parents, leaf = name.split(".")
        target = values
        for parent in parents:
            target = target[parent]
        target[leaf] = json.loads(text)
    return TrainingConfig.model_validate(values)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def summary(name: str, recipe: str, result: dict[str, Any]) -> None:
    metrics = result.get("train_metrics", {})
    train = metrics.get("train_cpu_seconds", metrics.get("train_seconds", 0.0))
    print(
        f"{name:18} {recipe:14} field F1 {result['field_f1']:.3f}  exact {result['exact_rate']:.3f}  "
        f"valid {result['valid_rate']:.3f}  cut {result['truncated']}  train {train:.0f} s  "
        f"scoring in the loop {metrics.get('scoring_cpu_seconds', 0.0):.0f} s  "
        f"evaluation {result['eval_cpu_seconds']:.0f} s"
    )


def table() -> str:
    """All results as a Markdown table: sets in order, and for each the untrained model, the plain recipe, ours."""
    head = (
        "| set | recipe | field F1 (95 % interval) | exact | valid | cut | training, s | scoring, s | evaluation, s |"
    )
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    order = {"untrained": 0, "plain": 1, "trained": 2}
    found = [_named(path) for path in RESULTS.glob("*-[0-9]*-[0-9]*-*.json")]
    for name, recipe, rows, path in sorted(found, key=lambda entry: (entry[0], order.get(entry[1], 3), entry[1])):
        result = json.loads(path.read_text(encoding="utf-8"))
        metrics = result.get("train_metrics", {})
        low, high = result["report"]["field_f1_interval"]
        seconds = [metrics.get("train_cpu_seconds"), metrics.get("scoring_cpu_seconds"), result["eval_cpu_seconds"]]
        lines.append(
            f"| {name} ({rows}) | {recipe} | {result['field_f1']:.3f} ({low:.3f} to {high:.3f}) | "
            f"{result['exact_rate']:.3f} | {result['valid_rate']:.3f} | {result['truncated']} | "
            + " | ".join("" if value is None else f"{value:.0f}" for value in seconds)
            + " |"
        )
    return "\n".join(lines)


def _named(path: Path) -> tuple[str, str, str, Path]:
    """Set, recipe and rows from a result's file name, `SET-TRAIN-TEST[-sSEED]-RECIPE.json`."""
    name, train, test, *rest = path.stem.split("-")
    recipe = "-".join(part for part in rest if part != "s0")
    return name, recipe, f"{train} / {test}", path


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of a set, or one of: " + ", ".join(GENERATED))
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--train", type=int, default=200)
    parser.add_argument("--test", type=int, default=60)
    parser.add_argument("--recipe", choices=["ours", "plain"], default="ours")
    parser.add_argument("--set", action="append", metavar="NAME=JSON", help="change one setting of TrainingConfig")
    parser.add_argument(
        "--padded", action="store_true", help="train in padded batches, as if the model could not be packed"
    )
    parser.add_argument("--no-untrained", action="store_true", help="leave the untrained model out")
    parser.add_argument("--label", help="name of the run in the cache; a hash of the settings if not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
