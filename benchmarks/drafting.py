"""Proposers compared: the passes and the time that each one saves.

    python benchmarks/drafting.py passes snips_restaurant usaddress citations complaints orders --rows 200
    python benchmarks/drafting.py seconds snips_restaurant --limit 16 --warm-up 100

`passes` counts without a model; `seconds` runs a model of the true size whose answers are dictated. Both take gold
records for answers. `COMMAND --help` says more.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lib import drafting_passes, drafting_seconds
from lib.command_line import add_command, make_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "passes", drafting_passes)
    add_command(commands, "seconds", drafting_seconds)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
