"""The typer application that the commands register with, and the end of commands that were stopped."""

from __future__ import annotations

import importlib.metadata
import platform
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import extractft
from extractft.cli.streams import write_out

__all__ = ["ROWS_FAILED", "Stopped", "app"]

ROWS_FAILED = 3
ORDER = (
    "check",
    "prompt",
    "convert",
    "documents",
    "label",
    "select",
    "fit",
    "extract",
    "run",
    "serve",
    "review",
    "evaluate",
    "calibrate",
    "learning-curve",
    "export",
    "verify",
    "resave",
    "demo",
    "doctor",
)
"""Commands in the order in which the help lists them: the order of a job."""


UsageError: Any = typer.BadParameter.__mro__[1]
"""click's class; whether typer bundles click or depends on it differs by version."""


class Stopped(BaseException):
    """Carries a Ctrl-C or a closed pipe past typer, which would print a message of its own."""


class CommandGroup(TyperGroup):
    """Leaves interruptions to `main`, and prints usage errors as plain lines.

    typer would put a box around an error, which breaks paths in two and clutters logs.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, new ones last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            raise Stopped from error
        except UsageError as error:
            error.show()
            raise typer.Exit(error.exit_code) from error


app = typer.Typer(
    name="extractft",
    cls=CommandGroup,
    help="Pydantic schema + a few hundred examples -> a small local model that extracts validated records.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the versions of this and its libraries.", is_eager=True),
    ] = False,
) -> None:
    if version:
        write_out("\n".join([f"extractft {extractft.__version__}", *_library_versions()]) + "\n")
        raise typer.Exit


def _library_versions() -> list[str]:
    """Versions of the libraries that decide on weights and tokens, read without loading them."""
    found = [f"python {platform.python_version()}"]
    for name in ("torch", "transformers", "peft", "tokenizers", "llguidance", "pydantic"):
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found
