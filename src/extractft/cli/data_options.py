"""The data that a command reads: files, folders and patterns, found before any work, and how to read them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from extractft.cli.error_messages import usage_error
from extractft.data import DataFiles
from extractft.data.data_files import ENDINGS, TEXT_ENDINGS, file_ending, find_data_files
from extractft.data.raw_row import InvalidRow, NumberedText
from extractft.data.text_encoding import normalize_encoding
from extractft.errors import DatasetError

__all__ = [
    "STDIN",
    "advising_on_labels",
    "correction_files",
    "data_files",
    "known_encoding",
    "paths_of",
    "require_column",
    "text_files",
]

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


def correction_files(
    values: Sequence[str] | None, *, encoding: str | None = None, show_values: bool = False
) -> DataFiles | None:
    """The files of `--add`: databases of reviews as they are, others as examples are found."""
    from extractft.review.review_database import is_review_database

    paths: list[str | Path] = []
    for value in values or ():
        path = Path(value).expanduser()
        paths += [path] if is_review_database(path) else _found([value], "--add", ENDINGS)
    return DataFiles(paths, known_encoding(encoding), show_values) if paths else None


def paths_of(files: DataFiles | None) -> Sequence[str | Path] | None:
    """The files themselves, if any were given."""
    return None if files is None else files.paths


def text_files(values: Sequence[str], flag: str = "TEXTS") -> list[Path] | None:
    """The files of texts that the arguments name; `None` for standard input.

    Raises:
        typer.BadParameter: There are none.
    """
    if list(values) == [STDIN]:
        return None
    if STDIN in values:
        raise typer.BadParameter("expected files or standard input (-), found both", param_hint=flag)
    return _found(values, flag, TEXT_ENDINGS)


def require_column(rows: Iterable[NumberedText], flag: str) -> None:
    """Refuse rows of which none has the column of the text; rows are read until one has it.

    Raises:
        DatasetError: All rows are without it.
    """
    first = None
    for row in rows:
        if isinstance(row.text, str) or row.text.kind != "missing_column":
            return
        first = first or row.text
    if first is not None:
        raise DatasetError(f"No row has the column of the texts. Row {first.row}: {first.message}.").hint(
            f"Name the column with {flag}."
        )


@contextmanager
def advising_on_labels(command: str) -> Iterator[None]:
    """Add to an error about missing columns that the command compares with labels."""
    try:
        yield
    except DatasetError as error:
        cause = error.__cause__
        kinds = {issue.kind for issue in error.issues}
        kinds |= {fault.kind for fault in cause.faults} if isinstance(cause, InvalidRow) else set()
        if kinds == {"missing_column"}:
            error.hint(f"`{command}` needs labelled records beside the texts; for texts alone use `extract`.")
        raise


def known_encoding(name: str | None) -> str | None:
    """The name of an encoding.

    Raises:
        typer.BadParameter: There is none of that name.
    """
    try:
        return normalize_encoding(name)
    except DatasetError as error:
        raise usage_error(error, "--encoding") from error


def _found(values: Sequence[str], flag: str, endings: Sequence[str]) -> list[Path]:
    try:
        files = [file.expanduser() for value in values for file in find_data_files(value, endings) or ()]
        for file in files:
            file_ending(file, endings)
    except DatasetError as error:
        raise usage_error(error, flag) from error
    real = [os.path.realpath(file) for file in files]
    twice = [file for number, file in enumerate(files) if real[number] in real[:number]]
    if twice:
        raise typer.BadParameter(f"{twice[0]} is given twice", param_hint=flag)
    return files
