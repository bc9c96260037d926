"""Trust in records: verbatim fields and calibration of an extractor; places of values without one.

    python benchmarks/trust.py records snips_restaurant --extractor DIR --test 400
    python benchmarks/trust.py places snips_restaurant citations
    python benchmarks/trust.py similar snips_restaurant citations
    python benchmarks/trust.py lookup-speed
    python benchmarks/trust.py exports snips_restaurant --extractor DIR

`records` decodes the test rows of a set and measures ungrounded values and calibration. `exports` writes an extractor
in each format and holds each against it. The others need no model: they measure how well and how fast values are found
in their texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lib import export_equality, record_trust, value_places
from lib.command_line import add_command, make_parser, run_command


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "records", record_trust)
    value_places.add_commands(commands)
    add_command(commands, "exports", export_equality)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command."""
    run_command(build_parser(), argv)


if __name__ == "__main__":
    main()
