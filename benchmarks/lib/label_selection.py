"""Rows chosen by `select` against rows chosen at random: F1 for as many labels, and labels for the same F1.

    python benchmarks/labelling.py select snips_restaurant --base-model smollm2-135m --seeds 3

For each seed, an extractor is trained on a few rows at random, and says how certain it is of the rest of the pool. Then
extractors are trained from scratch on those rows and `--add` more: chosen, or at random. `--random` trains on more
random rows as well, so that the labels that chance needs for the same F1 can be read off. Scores are kept in
`benchmarks/results/labelling` and not measured again while they are there; one training is a result of its own, so that
a long run can be stopped and started again.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
from collections.abc import Sequence
from typing import Any

from extractft import Extractor, TrainingConfig
from extractft.errors import ExtractionError
from extractft.labelling import choose_rows
from lib.command_line import add_threads_argument
from lib.results import add_results_arguments, cached
from lib.tasks import DataSplit, Task, add_set_argument, load_task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    add_set_argument(parser)
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--seed-rows", type=int, default=40, help="random rows to begin with (default: %(default)s)")
    parser.add_argument("--add", type=int, default=40, help="further rows, chosen (default: %(default)s)")
    parser.add_argument(
        "--random", type=int, nargs="*", default=None, help="sizes of random sets (default: as many rows as chosen)"
    )
    parser.add_argument("--pool", type=int, default=200, help="rows to choose from (default: %(default)s)")
    parser.add_argument("--test", type=int, default=60, help="test rows (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of each training (default: %(default)s)")
    add_threads_argument(parser)
    add_results_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Measure and print."""
    sizes = args.random or [args.seed_rows + args.add]
    needed = max(args.seed_rows + args.pool, *sizes)
    task = load_task(args.set, needed, args.test, data=args.data)
    found: dict[str, list[float]] = {}
    for seed in range(args.seeds):
        for name, score in _scores_of_seed(task, seed, sizes, args).items():
            found.setdefault(name, []).append(score)
            print(f"seed {seed} {name:14} F1 {score:.4f}", flush=True)
    _print_table(task, found, args)


def _scores_of_seed(task: Task, seed: int, sizes: Sequence[int], args: argparse.Namespace) -> dict[str, float]:
    rows = list(task.train)
    random.Random(seed).shuffle(rows)
    begin, pool = rows[: args.seed_rows], rows[args.seed_rows : args.seed_rows + args.pool]
    folder = args.results / "labelling" / f"{task.name}-{args.base_model.split('/')[-1]}"
    name = f"{args.seed_rows}+{args.add}of{args.pool}-test{args.test}-epochs{args.epochs}-seed{seed}"

    def begun() -> dict[str, Any]:
        extractor = _trained(task, begin, args)
        chosen = _chosen(extractor, begin, pool, args.add)
        return {"f1": _f1(extractor, task), "chosen": chosen}

    first = cached(folder / f"{name}-begin.json", begun)
    taken = begin + [pool[place] for place in first["chosen"]]
    scores = {f"random {args.seed_rows}": first["f1"]}
    scores[f"chosen {len(taken)}"] = _kept(folder / f"{name}-chosen.json", task, taken, args)
    for size in sizes:
        path = folder / f"random{size}-test{args.test}-epochs{args.epochs}-seed{seed}.json"
        scores[f"random {size}"] = _kept(path, task, rows[:size], args)
    return scores


def _kept(path: Any, task: Task, rows: DataSplit, args: argparse.Namespace) -> float:
    return float(cached(path, lambda: {"f1": _f1(_trained(task, rows, args), task)})["f1"])


def _trained(task: Task, rows: DataSplit, args: argparse.Namespace) -> Extractor[Any]:
    config = TrainingConfig(num_train_epochs=args.epochs)
    return Extractor.fit(task.schema, rows, base_model=args.base_model, config=config)


def _f1(extractor: Extractor[Any], task: Task) -> float:
    return float(extractor.evaluate(task.test).field_f1)


def _chosen(extractor: Extractor[Any], begin: DataSplit, pool: DataSplit, count: int) -> list[int]:
    texts = [text for text, _ in pool]
    outcomes = extractor.inspect_many(texts, explain=("confidence",))
    confidences = [
        None if isinstance(outcome, ExtractionError) or outcome.confidence is None else outcome.confidence.record
        for outcome in outcomes
    ]
    return choose_rows(texts, count, confidences=confidences, labelled=[text for text, _ in begin])


def _print_table(task: Task, found: dict[str, list[float]], args: argparse.Namespace) -> None:
    print(f"\n{task.name}, {args.base_model}, {args.test} test rows, means of {args.seeds} seeds")
    means = {name: statistics.mean(scores) for name, scores in found.items()}
    for name, mean in means.items():
        spread = statistics.stdev(found[name]) if args.seeds > 1 else 0.0
        print(f"  {name:14} F1 {mean:.4f} (sd {spread:.4f})")
    curve = sorted((int(name.split()[1]), mean) for name, mean in means.items() if name.startswith("random"))
    target = next(mean for name, mean in means.items() if name.startswith("chosen"))
    print(f"  random rows for the F1 of the chosen: {_labels_for(target, curve)}")


def _labels_for(target: float, curve: Sequence[tuple[int, float]]) -> str:
    """The number of random rows at which a straight line between measured ones reaches an F1."""
    for (size, score), (next_size, next_score) in itertools.pairwise(curve):
        if score <= target <= next_score and next_score > score:
            return f"{size + (next_size - size) * (target - score) / (next_score - score):.0f}"
    return f"more than {curve[-1][0]}" if target > curve[-1][1] else f"fewer than {curve[0][0]}"
