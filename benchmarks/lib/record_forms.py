"""Tokens of a record, by how it is written: every null spelled, or defaults left out.

python benchmarks/quality.py forms snips_restaurant complaints orders
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import mean
from typing import Any

from tokenizers import Tokenizer

from extractft import Schema
from extractft.modeling import load_tokenizer, resolve_base_model
from lib.paths import QWEN3_TOKENIZER
from lib.tasks import add_set_argument, load_task


def forms(schema: Any) -> dict[str, Callable[[Any], str]]:
    """Ways to write one record."""
    short, full = Schema.of(schema, omit_defaults=True), Schema.of(schema, omit_defaults=False)
    return {
        "defaults left out": lambda value: short.canonical_json(short.parse_value(value)),
        "compact": lambda value: full.canonical_json(full.parse_value(value)),
        "json.dumps": lambda value: json.dumps(value, ensure_ascii=False),
        "indented": lambda value: json.dumps(value, ensure_ascii=False, indent=2),
        "ASCII-escaped": lambda value: json.dumps(value),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sets and the tokenizers."""
    add_set_argument(parser, several=True)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--tokenizer", default="smollm2-135m", help="of this base model, beside Qwen3's")


def run(args: argparse.Namespace) -> None:
    """Print mean tokens as a Markdown table."""
    own = load_tokenizer(resolve_base_model(args.tokenizer)).backend_tokenizer
    qwen3 = Tokenizer.from_file(str(QWEN3_TOKENIZER / "tokenizer.json"))
    tokenizers = {"Qwen3": qwen3, args.tokenizer: own}
    columns = list(forms(str))
    print("| set | tokenizer |", " | ".join(columns), "|")
    print("| --- | --- |", " --- |" * len(columns))
    for name in args.sets:
        task = load_task(name, args.rows, 1, data=args.data)
        written = {form: [write(output) for _, output in task.train] for form, write in forms(task.schema).items()}
        for tokenizer_name, tokenizer in tokenizers.items():
            counts = [mean(len(tokenizer.encode(text).ids) for text in texts) for texts in written.values()]
            print(f"| {task.name} | {tokenizer_name} |", " | ".join(f"{count:.1f}" for count in counts), "|")
