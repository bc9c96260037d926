"""Scores on long and on short texts, with long ones left out of training, and with long ones trained on in pieces.

python benchmarks/quality.py long snips_restaurant --train 120 --test 24

Rows of a set are joined to texts of one record each and of many (`--join`), whose record is the list of theirs. Two
extractors are trained, one on the short texts alone, one on the long ones as well. Both read long texts in the same
windows (`--max-text-tokens`). Scores are field F1 on test texts of each length; nothing is kept on disk.
"""

from __future__ import annotations

import argparse
import random
from typing import Any

from pydantic import create_model

from extractft import Extractor, GenerationConfig, TrainingConfig
from extractft.data import Example
from lib.command_line import add_threads_argument
from lib.tasks import DataSplit, add_set_argument, load_task


def joined(rows: DataSplit, schema: Any, size: int) -> list[Example[Any]]:
    """Texts of `size` rows each, a paragraph a row."""
    groups = [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]
    return [
        Example("\n\n".join(text for text, _ in group), schema.model_validate({"entries": [r for _, r in group]}))
        for group in groups
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the set, its sizes and the settings."""
    add_set_argument(parser)
    add_threads_argument(parser)
    parser.add_argument("--base-model", default="smollm2-135m")
    parser.add_argument("--train", type=int, default=120, help="rows to train on, before they are joined")
    parser.add_argument("--test", type=int, default=24, help="rows to test on, before they are joined")
    parser.add_argument("--join", type=int, default=8, help="rows of a long text")
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--max-text-tokens", type=int, default=64, help="longest window, in tokens of text")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seed", type=int, default=1)


def run(args: argparse.Namespace) -> None:
    """Train both and print their scores."""
    task = load_task(args.set, args.train, args.test, data=args.data)
    schema = create_model("Entries", entries=(list[task.schema], ...), __doc__="All requests of a text, in its order.")
    half = len(task.train) // 2
    short, long = joined(task.train[:half], schema, 1), joined(task.train[half:], schema, args.join)
    tests = {"long": joined(task.test, schema, args.join), "short": joined(task.test, schema, 1)}
    generation = GenerationConfig(split_long_texts=True, max_text_tokens=args.max_text_tokens, overlap_tokens=48)
    config = TrainingConfig(
        num_train_epochs=args.epochs,
        max_length=args.max_length,
        overlong="skip",
        eval_fraction=0,
        generation=generation,
        seed=args.seed,
    )
    for name, rows in (("left out", short), ("in pieces", [*short, *long])):
        random.Random(0).shuffle(rows)
        extractor: Extractor[Any] = Extractor.fit(schema, rows, base_model=args.base_model, config=config)
        scores = {kind: extractor.evaluate(examples).field_f1 for kind, examples in tests.items()}
        steps = extractor.training_result.steps if extractor.training_result else 0
        found = ", ".join(f"{kind} {f1:.3f} ({len(tests[kind])} texts)" for kind, f1 in scores.items())
        print(f"long texts {name}: {len(rows)} texts, {steps} steps, field F1 {found}", flush=True)
