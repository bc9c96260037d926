"""Labelling: what it is worth to choose the rows that are labelled next.

    python benchmarks/labelling.py select snips_restaurant --seeds 3
    python benchmarks/labelling.py select citations --seed-rows 40 --add 40 --random 80 120 160

`select` needs no teacher: labels are those of the set.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lib import label_selection
from lib.command_line import add_command, make_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "select", label_selection)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
