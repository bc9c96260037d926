"""What a record costs in tokens, by how it is written: every null spelled, or defaults left out.

python benchmarks/canonical_form.py --data ../shared/data/snips_restaurant complaints orders
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from tokenizers import Tokenizer

from extractft import Schema
from extractft.modeling import load_tokenizer, resolve_base_model
from quality import load_task

QWEN3 = Path(__file__).resolve().parent.parent / ".cache" / "qwen3-tokenizer" / "tokenizer.json"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--rows", type=int, default=200)
    arguments = parser.parse_args()
    smollm2 = load_tokenizer(resolve_base_model("smollm2-135m")).backend_tokenizer
    tokenizers = {"Qwen3": Tokenizer.from_file(str(QWEN3)), "SmolLM2": smollm2}
    print("| set | tokenizer |", " | ".join(forms(str)), "|")
    print("| --- | --- |", " --- |" * len(forms(str)))
    for data in arguments.data:
        task = load_task(data, arguments.rows, 1, seed=0)
        written = {name: [write(output) for _, output in task.train] for name, write in forms(task.schema).items()}
        for tokenizer_name, tokenizer in tokenizers.items():
            counts = [mean(len(tokenizer.encode(text).ids) for text in texts) for texts in written.values()]
            print(f"| {task.name} | {tokenizer_name} |", " | ".join(f"{count:.1f}" for count in counts), "|")


if __name__ == "__main__":
    main()
