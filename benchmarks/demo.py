"""Time of the demo: with the engines, or in padded batches and a token at a time.

    python benchmarks/demo.py --threads 1 --train 40 --test 6
    python benchmarks/demo.py --threads 1 --train 40 --test 6 --plain

Prints what the demo prints, and the processor seconds of the whole. Other options are those of `extractft demo`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import torch
import typer

from extractft.cli import app
from lib.command_line import add_threads_argument, make_parser
from lib.slow_paths import padded_training, reference_decoding


def build_parser() -> argparse.ArgumentParser:
    """The command line; what it does not know goes to the demo."""
    parser = make_parser(__doc__)
    parser.add_argument("--plain", action="store_true", help="padded training, and decoding by the reference engine")
    add_threads_argument(parser, default=2)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo and print its seconds."""
    args, others = build_parser().parse_known_args(argv)
    torch.set_num_threads(args.threads)
    wall, start = time.perf_counter(), time.process_time()
    with padded_training(active=args.plain), reference_decoding(active=args.plain):
        typer.main.get_command(app).main(["demo", *others], standalone_mode=False)  # `app()` would keep sys.excepthook
    name = "plain" if args.plain else "engines"
    seconds = f"{time.process_time() - start:.0f} processor seconds, {time.perf_counter() - wall:.0f} s"
    print(f"{name}: {seconds}", file=sys.stderr)


if __name__ == "__main__":
    main()
