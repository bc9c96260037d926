"""Documents as rows of a command: each file is one text, and keeps its map of pages until its record is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import extractft
from extractft.cli.error_messages import usage_error, with_flags
from extractft.cli.streams import say
from extractft.data.raw_row import NumberedText, RowIssue
from extractft.errors import DocumentError, MissingDependencyError

if TYPE_CHECKING:
    from extractft.documents import Document

__all__ = ["DOCUMENT_KINDS", "UNREADABLE", "DocumentRows", "DocumentsOption", "document_files", "explained"]

DOCUMENT_KINDS = ".txt, .md, .html, .docx, .xlsx, .pdf"
UNREADABLE = "document"
"""Kind of issue of a document that cannot be read."""

DocumentsOption = Annotated[
    bool,
    typer.Option("--documents", help=f"Each file of TEXTS is one text: {DOCUMENT_KINDS}; folders too."),
]


def document_files(values: Sequence[str], column: Sequence[str] | None = None, *, flag: str = "TEXTS") -> list[Path]:
    """The documents that arguments name.

    Raises:
        typer.BadParameter: There are none, or a column of tables is named as well.
    """
    if column:
        raise typer.BadParameter("is for rows, and --documents reads whole files", param_hint="--column")
    try:
        found: list[Path] = extractft.documents.find_documents(values)
    except DocumentError as error:
        raise usage_error(error, flag) from error
    others = extractft.documents.left_aside(values)
    if others:
        say("left aside in folders: " + ", ".join(f"{count} {ending}" for ending, count in sorted(others.items())))
    return found


def explained(error: Exception) -> str:
    """An error about a document, and what to do, in one line."""
    return " ".join([str(error).rstrip(".") + ".", *map(with_flags, getattr(error, "__notes__", ()))])


class DocumentRows:
    """The texts of documents, one after another.

    Args:
        files: The documents.
        encoding: How text files are written.
    """

    def __init__(self, files: Sequence[Path], encoding: str | None) -> None:
        self._files, self._encoding = files, encoding
        self._open: dict[int, Document] = {}

    def __iter__(self) -> Iterator[NumberedText]:
        for number, file in enumerate(self._files, 1):
            try:
                document = extractft.documents.read_document(file, encoding=self._encoding)
            except (DocumentError, MissingDependencyError) as error:
                yield NumberedText(number, RowIssue(number, UNREADABLE, explained(error)))
                continue
            self._open[number] = document
            yield NumberedText(number, document.text)

    def name_of(self, number: int) -> str:
        """The path of a document, as it was found."""
        return self._files[number - 1].as_posix()

    def take(self, number: int) -> Document | None:
        """A document whose record is there, which is not kept any longer; `None` if it could not be read."""
        return self._open.pop(number, None)
