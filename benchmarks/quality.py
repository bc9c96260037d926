"""Quality of records: untrained, trained, and by the plain recipe that most people copy.

    python benchmarks/quality.py run snips_restaurant --base-model smollm2-135m --train 200 --test 60
    python benchmarks/quality.py run complaints                       # generated: complaints, orders
    python benchmarks/quality.py run snips_restaurant --recipe plain  # the baseline, lib/plain_recipe.py
    python benchmarks/quality.py run snips_restaurant --config learning_rate=5e-4 --config lora.r=8
    python benchmarks/quality.py run snips_restaurant --seed 1 --padded
    python benchmarks/quality.py table                                # every result so far, as Markdown
    python benchmarks/quality.py forms snips_restaurant complaints    # tokens of a record, by how it is written
    python benchmarks/quality.py long snips_restaurant                # long texts trained on in pieces, or left out

Scores are kept in `benchmarks/results` and not measured again while their file is there; checkpoints and raw outputs
are kept in `benchmarks/.cache`, so that a long run can be stopped and started again. Seconds are processor seconds,
since the machine may be shared; wall seconds stand in the results.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from extractft import Extractor, Schema, TrainingConfig
from extractft.evaluation import EvaluationReport, evaluate_records
from extractft.modeling import resolve_base_model
from lib import long_text_quality, record_forms
from lib.command_line import add_command, add_threads_argument, make_parser, run_command
from lib.paths import RESULTS
from lib.plain_recipe import run_plain
from lib.results import add_results_arguments, cached
from lib.slow_paths import padded_training
from lib.tasks import TEST, TRAIN, DataSplit, Task, add_set_argument, load_task


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


def evaluate(extractor: Extractor[Any], rows: DataSplit) -> dict[str, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    report = extractor.evaluate(rows)
    print(report)
    return scores(report, time.perf_counter() - start, time.process_time() - cpu)


def run_ours(task: Task, base_model: str, config: TrainingConfig, directory: Path) -> dict[str, Any]:
    """Fit with `config` and score."""
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


def run_baseline(task: Task, base_model: str, seed: int, cache: Path) -> dict[str, Any]:
    """Run the plain recipe and score it by the same rules; an invalid record scores nothing."""
    spec = Schema.of(task.schema)

    def make() -> dict[str, Any]:
        ref = resolve_base_model(base_model)
        schema = spec.adapter.json_schema()
        texts = [text for text, _ in task.test]
        kept = path.with_suffix(".pt")
        options: dict[str, Any] = {"seed": seed, "checkpointing": False, "all_logits": False, "keep": kept}
        return asdict(run_plain(ref.path, schema, task.train, texts, **options))

    path = cache / "plain" / f"{task.name}-{len(task.train)}-{len(task.test)}-s{seed}.json"
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


def run(args: argparse.Namespace) -> None:
    """Measure one recipe on one set, and the untrained model unless it is left out."""
    task = load_task(args.set, args.train, args.test, data=args.data)
    stem = f"{task.name}-{len(task.train)}-{len(task.test)}"
    if args.recipe == "plain":
        path = args.results / f"{stem}-s{args.seed}-plain.json"
        result = cached(path, lambda: run_baseline(task, args.base_model, args.seed, args.cache))
        summary(task.name, "plain recipe", result)
        return
    config = configured(args)
    base = functools.partial(_untrained, task, args.base_model, config)
    untrained = None if args.no_untrained else cached(args.results / f"{stem}-untrained.json", base)
    label = args.label or digest(config.model_dump_json() + str(args.padded))
    key = f"{stem}-s{args.seed}-{label}"
    directory = args.cache / "quality" / "runs" / key
    with padded_training(active=args.padded):
        result = cached(args.results / f"{key}.json", lambda: run_ours(task, args.base_model, config, directory))
    if untrained is not None:
        summary(task.name, "untrained", untrained)
    summary(task.name, label, result)


def _untrained(task: Task, base_model: str, config: TrainingConfig) -> dict[str, Any]:
    extractor: Extractor[Any] = Extractor.from_base(
        task.schema, base_model=base_model, prompt=config.prompt, generation=config.generation
    )
    return evaluate(extractor, task.test)


def configured(args: argparse.Namespace) -> TrainingConfig:
    values = TrainingConfig(seed=args.seed).model_dump()
    for setting in args.config or ():
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


def table(results: Path) -> str:
    """All results as a Markdown table: by set, the untrained model, the plain recipe, ours."""
    head = (
        "| set | recipe | field F1 (95 % interval) | exact | valid | cut | training, s | scoring, s | evaluation, s |"
    )
    lines = [head, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    order = {"untrained": 0, "plain": 1, "trained": 2}
    found = [_named(path) for path in results.glob("*-[0-9]*-[0-9]*-*.json")]
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


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of one run."""
    add_set_argument(parser)
    add_results_arguments(parser)
    add_threads_argument(parser, default=2)
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--train", type=int, default=TRAIN, help="training rows (default: %(default)s)")
    parser.add_argument("--test", type=int, default=TEST, help="test rows (default: %(default)s)")
    parser.add_argument("--recipe", choices=["ours", "plain"], default="ours")
    parser.add_argument("--config", action="append", metavar="NAME=JSON", help="change one setting of TrainingConfig")
    parser.add_argument(
        "--padded", action="store_true", help="train in padded batches, as if the model could not be packed"
    )
    parser.add_argument("--no-untrained", action="store_true", help="leave the untrained model out")
    parser.add_argument("--label", help="name of the run in the cache; a hash of the settings if not given")
    parser.add_argument("--seed", type=int, default=0)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("run", help="train, or not, and score on one set")
    add_run_arguments(one)
    one.set_defaults(run=run)
    every = commands.add_parser("table", help="print every result so far as a Markdown table")
    every.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    every.set_defaults(run=lambda args: print(table(args.results)))
    add_command(commands, "forms", record_forms)
    add_command(commands, "long", long_text_quality)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
