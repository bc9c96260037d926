"""Documents found and read by their endings; the libraries are loaded when they are needed."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from extractft.documents.archive_checks import require_readable
from extractft.documents.document import Document
from extractft.documents.html_document import read_html
from extractft.documents.pdf_document import read_pdf
from extractft.documents.plain_document import read_plain
from extractft.documents.sheet_document import read_xlsx
from extractft.documents.word_document import read_docx
from extractft.errors import DocumentError, MissingDependencyError

__all__ = ["DOCUMENT_ENDINGS", "find_documents", "left_aside", "read_document"]

READERS: dict[str, Callable[[Path, bytes, str | None], Document]] = {
    ".txt": read_plain,
    ".md": read_plain,
    ".markdown": read_plain,
    ".html": read_html,
    ".htm": read_html,
    ".docx": read_docx,
    ".xlsx": read_xlsx,
    ".xlsm": read_xlsx,
    ".pdf": read_pdf,
}
DOCUMENT_ENDINGS = tuple(READERS)
"""Endings of the files that are read as documents."""
OTHERS = {
    ".doc": "Save it as .docx.",
    ".odt": "Save it as .docx.",
    ".rtf": "Save it as .docx.",
    ".xls": "Save it as .xlsx.",
    ".ods": "Save it as .xlsx.",
    ".pptx": "Save it as .pdf.",
    ".png": "It is a picture: recognise its text first, for example with tesseract.",
    ".jpg": "It is a picture: recognise its text first, for example with tesseract.",
    ".tif": "It is a picture: recognise its text first, for example with tesseract.",
}


def read_document(path: str | os.PathLike[str], *, encoding: str | None = None, skip_scans: bool = False) -> Document:
    """Read a document as text, with a map back to its pages, paragraphs, cells or lines.

    Args:
        path: A file: `.txt`, `.md`, `.html`, `.docx`, `.xlsx` or `.pdf`.
        encoding: How text files and pages are written; UTF-8, or what a page declares, if not given.
        skip_scans: Of a PDF, leave pages out that are pictures, and say so in its notes.

    Raises:
        DocumentError: It is missing, damaged, protected, or of another kind.
        ScannedDocumentError: It is a PDF of pictures of pages.
        MissingDependencyError: The library for it is not installed.

    Example:
        ```python
        document = read_document("letter.txt")
        record = extractor.extract(document.text)
        print(document.locate(0, 2))
        ```
    """
    path = Path(path).expanduser()
    reader = _reader(path)
    content = require_readable(path)
    try:
        document = (
            read_pdf(path, content, skip_scans=skip_scans) if reader is read_pdf else reader(path, content, encoding)
        )
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"reading {path.suffix} needs the package {error.name}").hint(
            "pip install 'extractft[documents]'"
        ) from error
    if not document.text.strip():
        raise DocumentError(f"{path.name}: expected text, found none").hint("Is it the right file?")
    return document


def find_documents(values: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The documents that paths, folders and patterns name, in order; those in folders of a folder too.

    Raises:
        DocumentError: One does not exist, or is of no kind that can be read.
    """
    found: dict[Path, None] = {}
    for value in values:
        path = Path(value).expanduser()
        named = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]
        if not named:
            raise DocumentError(f"no such file: {path.name}").hint("Expected a file, a folder, or a pattern in quotes.")
        for one in named:
            inside = _in_folder(one) if one.is_dir() else [one]
            for file in inside:
                _reader(file)
                found.setdefault(file)
    return list(found)


def left_aside(values: Iterable[str | os.PathLike[str]]) -> Counter[str]:
    """The numbers of files in folders that are of other kinds, by their endings."""
    folders = [Path(value).expanduser() for value in values if Path(value).expanduser().is_dir()]
    files = (file for folder in folders for file in folder.rglob("*") if _is_shown(file, folder))
    return Counter(file.suffix.lower() or "(no ending)" for file in files if file.suffix.lower() not in READERS)


def _is_shown(file: Path, folder: Path) -> bool:
    return file.is_file() and not any(part.startswith((".", "~$")) for part in file.relative_to(folder).parts)


def _reader(path: Path) -> Callable[[Path, bytes, str | None], Document]:
    ending = path.suffix.lower()
    if ending in READERS:
        return READERS[ending]
    error = DocumentError(f"{path.name}: expected a document, found the ending {ending or '(none)'}")
    raise error.hint(OTHERS.get(ending, f"Expected one of {', '.join(DOCUMENT_ENDINGS)}."))


def _in_folder(folder: Path) -> list[Path]:
    """The documents of a folder and of those in it; other files are left aside.

    Raises:
        DocumentError: There are none.
    """
    shown = [f for f in sorted(folder.rglob("*")) if f.suffix.lower() in READERS and _is_shown(f, folder)]
    if not shown:
        raise DocumentError(f"expected documents in {folder.name}, found none").hint(
            f"Expected files with one of the endings {', '.join(DOCUMENT_ENDINGS)}."
        )
    return shown
