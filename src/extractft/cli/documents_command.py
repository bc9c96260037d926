"""The command `documents`: files of any kind as rows of text, for all commands that read texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import extractft
from extractft.cli.app import ROWS_FAILED, app
from extractft.cli.command_paths import CommandPaths, file_path
from extractft.cli.data_options import known_encoding
from extractft.cli.document_rows import DOCUMENT_KINDS, document_files, explained
from extractft.cli.options import EncodingOption, ForceOption
from extractft.cli.streams import lines_to, say
from extractft.errors import DocumentError

if TYPE_CHECKING:
    from extractft.documents import Document

__all__ = ["documents"]

FilesArgument = Annotated[
    list[str],
    typer.Argument(metavar="FILES", help=f"Documents: {DOCUMENT_KINDS}; folders or patterns."),
]
RowsOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", parser=file_path, metavar="FILE", help="JSONL file; stdout if not given."),
]
SkipOption = Annotated[bool, typer.Option("--skip-scans", help="Leave pages of PDF files out that are pictures.")]


@app.command()
def documents(
    files: FilesArgument,
    output: RowsOption = None,
    skip_scans: SkipOption = False,
    encoding: EncodingOption = None,
    force: ForceOption = False,
) -> None:
    """Read documents into rows: `{"id": ..., "text": ..., "places": [[0, 120, "page 1"], ...]}`."""
    found = document_files(files, flag="FILES")
    CommandPaths(
        inputs={"FILES": found}, sources={"FILES": files}, files={"--output": output or file_path("-")}, force=force
    ).check()
    read = failed = 0
    settings: dict[str, Any] = {"encoding": known_encoding(encoding), "skip_scans": skip_scans}
    with lines_to(output, "--output", force=force) as write:
        for file in found:
            try:
                document = extractft.documents.read_document(file, **settings)
            except DocumentError as error:
                failed += 1
                say(explained(error))
                continue
            read += 1
            write(_row(file, document))
            for note in document.notes:
                say(f"{document.name}: {note}")
    say(f"{read} documents read, {failed} failed")
    raise typer.Exit(ROWS_FAILED if failed else 0)


def _row(file: Path, document: Document) -> dict[str, Any]:
    places = [list(place) for place in document.places()]
    return {"id": file.as_posix(), "text": document.text, "places": places}
