"""Command lines of the entry points: one measurement each, or several as subcommands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

import torch


class Measurement(Protocol):
    """A module with something to measure; the first paragraph of its docstring is shown in the list of commands."""

    __doc__: str | None

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the measurement's own options."""
        ...

    @staticmethod
    def run(args: argparse.Namespace) -> None:
        """Measure and print."""
        ...


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows the docstring of an entry point as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_command(commands: argparse._SubParsersAction, name: str, measurement: Measurement) -> None:
    """Add a module's measurement as a subcommand."""
    text = (measurement.__doc__ or "").strip()
    parser = commands.add_parser(
        name,
        help=text.splitlines()[0],
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    measurement.add_arguments(parser)
    parser.set_defaults(run=measurement.run)


def add_threads_argument(parser: argparse.ArgumentParser, *, default: int = 1) -> None:
    """Add the number of torch's threads."""
    parser.add_argument("--threads", type=int, default=default, help="torch threads (default: %(default)s)")


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> None:
    """Parse the arguments and run the chosen subcommand on as many threads as it says."""
    args = parser.parse_args(argv)
    if getattr(args, "threads", None):
        torch.set_num_threads(args.threads)
    args.run(args)
