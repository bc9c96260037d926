"""The data that a command reads: files, folders and patterns, found before any work, and how to read them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from extractft.cli.error_messages import with_flags
from extractft.data import DataFiles
from extractft.data.data_files import ENDINGS, TEXT_ENDINGS, find_data_files
from extractft.data.text_encoding import normalize_encoding
from extractft.errors import DatasetError

__all__ = ["STDIN", "data_files", "known_encoding", "paths_of", "text_files"]

STDIN = "-"


def data_files(
    values: Sequence[str] | None, flag: str, *, encoding: str | None = None, show_values: bool = False
) -> DataFiles | None:
    """The files of examples that an argument or an option names; `None` if it was not given.

    Raises:
        typer.BadParameter: There are none, or the encoding is unknown.
    """
    if not values:
        return None
    return DataFiles(_found(values, flag, ENDINGS), known_encoding(encoding), show_values)


def paths_of(files: DataFiles | None) -> Sequence[str | Path] | None:
    """The files themselves, if any were given."""
    return None if files is None else files.paths


def text_files(values: Sequence[str]) -> list[Path] | None:
    """The files of texts that the arguments name; `None` for standard input.

    Raises:
        typer.BadParameter: There are none.
    """
    if list(values) == [STDIN]:
        return None
    if STDIN in values:
        raise typer.BadParameter("expected files or standard input (-), found both", param_hint="TEXTS")
    return _found(values, "TEXTS", TEXT_ENDINGS)


def known_encoding(name: str | None) -> str | None:
    """The name of an encoding.

    Raises:
        typer.BadParameter: There is none of that name.
    """
    try:
        return normalize_encoding(name)
    except DatasetError as error:
        raise typer.BadParameter(_told(error), param_hint="--encoding") from error


def _found(values: Sequence[str], flag: str, endings: Sequence[str]) -> list[Path]:
    try:
        files = [file.expanduser() for value in values for file in find_data_files(value, endings) or ()]
    except DatasetError as error:
        raise typer.BadParameter(_told(error), param_hint=flag) from error
    real = [os.path.realpath(file) for file in files]
    twice = [file for number, file in enumerate(files) if real[number] in real[:number]]
    if twice:
        raise typer.BadParameter(f"{twice[0]} is given twice", param_hint=flag)
    return files


def _told(error: DatasetError) -> str:
    return "\n".join([str(error), *map(with_flags, getattr(error, "__notes__", ()))])
