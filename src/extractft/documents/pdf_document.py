"""PDF files: the text of each page. Scans, which are pictures of pages, are told apart. Knows PDF through pypdf."""

from __future__ import annotations

import io
import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from extractft.documents.document import Document, DocumentBuilder
from extractft.errors import DocumentError, ScannedDocumentError

__all__ = ["read_pdf"]

MOST_PAGES = 10_000
UNKNOWN_SHARE = 0.2
"""Share of characters without a meaning from which on a page has no text that anybody can read."""
PRIVATE = ("Co", "Cn", "Cc", "Cs")
OCR = "Recognise its text first, for example with `ocrmypdf in.pdf out.pdf`, and give that file."


def read_pdf(path: Path, content: bytes, encoding: str | None = None, *, skip_scans: bool = False) -> Document:
    """A PDF file as a document, a part for each page.

    Args:
        path: Its path, for messages.
        content: Its bytes.
        encoding: Of no use here.
        skip_scans: Leave pages out that are pictures, if there are others with text, and say so in the notes.

    Raises:
        ScannedDocumentError: Pages are pictures, or their letters have no meaning.
        DocumentError: It is no PDF, has a password, or is damaged.
    """
    builder = DocumentBuilder(path.name)
    scans: list[int] = []
    with _quiet(), _reading(path):
        pages = _pages(path, content)
        for number, page in enumerate(pages, 1):
            text = page.extract_text() or ""
            if _is_unreadable(text) or (not text.strip() and _has_picture(page)):
                scans.append(number)
                continue
            builder.add(text, "page", f"page {number}", before="\n\n")
    document = builder.build()
    if scans and not (skip_scans and document.parts):
        raise _scanned(path, scans, len(pages))
    if scans:
        document = Document(document.name, document.text, document.parts, (f"left out as scans: {_named(scans)}",))
    return document


def _pages(path: Path, content: bytes) -> Any:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(content), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError(f"{path.name}: expected a PDF without a password, found one with").hint(
            "Save a copy without it."
        )
    if len(reader.pages) > MOST_PAGES:
        raise DocumentError(f"{path.name}: expected at most {MOST_PAGES} pages, found {len(reader.pages)}")
    return reader.pages


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of damaged files into one of ours."""
    try:
        yield
    except DocumentError:
        raise
    except ImportError as error:
        raise DocumentError(f"{path.name}: is encrypted in a way that needs the package cryptography").hint(
            "pip install 'pypdf[crypto]', or save a copy without a password."
        ) from error
    except Exception as error:  # a damaged file may raise anything
        raise DocumentError(f"{path.name}: expected a PDF, found one that cannot be read").hint(
            "Open it in another program and save it anew."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of pypdf, which quote what they found."""
    logger = logging.getLogger("pypdf")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # a level holds for the loggers of its modules as well
    try:
        yield
    finally:
        logger.setLevel(before)


def _is_unreadable(text: str) -> bool:
    """True if the letters of a page have no meaning: fonts that say how they look and not what they are."""
    letters = [char for char in text if not char.isspace()]
    unknown = sum(char == "\ufffd" or unicodedata.category(char) in PRIVATE for char in letters)
    return unknown > UNKNOWN_SHARE * len(letters)


def _has_picture(page: Any) -> bool:
    """True if a page draws pictures, its own ones or those of a form that it draws."""
    open_forms, seen = [page], 0
    while open_forms and seen < 100:
        resources = _object(open_forms.pop().get("/Resources")) or {}
        seen += 1
        for drawn in (_object(resources.get("/XObject")) or {}).values():
            found = _object(drawn) or {}
            if found.get("/Subtype") == "/Image":
                return True
            if found.get("/Subtype") == "/Form":
                open_forms.append(found)
    contents = page.get_contents()
    return contents is not None and b"\nBI" in contents.get_data()[: 1 << 20]


def _object(value: Any) -> Any:
    return value.get_object() if hasattr(value, "get_object") else value


def _scanned(path: Path, scans: list[int], total: int) -> ScannedDocumentError:
    which = "all its pages are" if len(scans) == total else f"{_named(scans)} of {total} are"
    error = ScannedDocumentError(f"{path.name}: expected text, found that {which} pictures of text", pages=tuple(scans))
    if len(scans) < total:
        error.hint("Or leave them out with skip_scans=True.")
    return error.hint(OCR)


def _named(pages: list[int]) -> str:
    """Numbers of pages in words, neighbours together."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and runs[-1][1] == page - 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    words = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"page {words}" if len(pages) == 1 else f"pages {words}"
