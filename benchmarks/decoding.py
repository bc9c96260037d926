"""Decoding: its speed, where the time goes, and proof that the way of decoding changes no answer.

    python benchmarks/decoding.py speed snips_restaurant --extractor DIR --limit 32 --warm-up 0
    python benchmarks/decoding.py floor snips_restaurant --extractor DIR --limit 24 --warm-up 0
    python benchmarks/decoding.py equality snips_restaurant --extractor DIR --limit 200
    python benchmarks/decoding.py products
    python benchmarks/decoding.py eight-bit snips_restaurant --extractor DIR --limit 60

`DIR` is an extractor that `quality.py run` trained and left in `benchmarks/.cache/quality/runs/NAME/extractor`, or any
directory that `save_pretrained` wrote. `COMMAND --help` says what each one measures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lib import decoding_equality, decoding_floor, decoding_speed, eight_bit_quality, product_speed
from lib.command_line import add_command, make_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "speed", decoding_speed)
    add_command(commands, "floor", decoding_floor)
    add_command(commands, "equality", decoding_equality)
    add_command(commands, "products", product_speed)
    add_command(commands, "eight-bit", eight_bit_quality)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
