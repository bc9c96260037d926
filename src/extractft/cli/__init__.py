"""The command line. `app` is the typer application, `main` the entry point."""

from __future__ import annotations

from extractft.cli.commands import app, main

__all__ = ["app", "main"]
