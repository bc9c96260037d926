"""The command line. `app` is the typer application, `main` the entry point."""

from __future__ import annotations

from extractft.cli.app import app
from extractft.cli.entry_point import main

__all__ = ["app", "main"]
