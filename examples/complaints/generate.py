"""Generate Chinese complaints with their records.

    python examples/complaints/generate.py --train 200 --test 60 --out outputs/complaints --seed 0

What counts as what is written in `writer.py`. Needs Faker: `pip install faker`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from extractft.demo.complaints import Complaint

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples import shared modules by folder

from complaints.generation import generator_command
from complaints.writer import generate

SCHEMA = Complaint


def main(argv: Sequence[str] | None = None) -> None:
    """Write `train.jsonl`, `test.jsonl` and `schema.py` into a folder."""
    generator_command(generate, Path(__file__).with_name("schema.py"), argv)


if __name__ == "__main__":
    main()
