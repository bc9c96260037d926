"""Word files: paragraphs and cells of tables in the order of the page, with text boxes, headers and footers.

Knows the XML of Word through python-docx. Changes that are tracked are read as accepted; notes at the foot of a page
and comments are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extractft.documents.archive_checks import require_small
from extractft.documents.document import Document, DocumentBuilder
from extractft.errors import DocumentError

__all__ = ["read_docx"]

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
BREAKS = {f"{W}tab": "\t", f"{W}br": "\n", f"{W}cr": "\n", f"{W}noBreakHyphen": "-", f"{W}softHyphen": ""}
LEFT_OUT = (("footnotes", f"{W}footnoteReference"), ("endnotes", f"{W}endnoteReference"))


def read_docx(path: Path, content: bytes, encoding: str | None = None) -> Document:
    """A Word file as a document.

    Raises:
        DocumentError: It is none.
    """
    import docx

    require_small(path, content)
    try:
        opened = docx.Document(io.BytesIO(content))
    except Exception as error:  # python-docx lets errors of zip and XML through
        raise DocumentError(f"{path.name}: expected a Word file, found something else").hint(
            "Save it as .docx without a password."
        ) from error
    reader = _WordReader(DocumentBuilder(path.name))
    sections = list(opened.sections)
    headers = [section.header for section in sections if not section.header.is_linked_to_previous]
    footers = [section.footer for section in sections if not section.footer.is_linked_to_previous]
    reader.read_margin([header._element for header in headers], "header")
    reader.read(opened.element.body)
    reader.read_margin([footer._element for footer in footers], "footer")
    for words, reference in LEFT_OUT:
        if next(opened.element.body.iter(reference), None) is not None:
            reader.builder.notes.append(f"{words} are left out")
    return reader.builder.build()


class _WordReader:
    """Walks the blocks of a Word file."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self.builder = builder
        self._paragraphs = self._tables = 0

    def read_margin(self, elements: list[Any], name: str) -> None:
        """Read headers or footers, equal ones once."""
        seen: set[str] = set()
        for element in elements:
            text = _lines(element)
            if text not in seen:
                seen.add(text)
                self.builder.add(text, "paragraph", name)

    def read(self, body: Any) -> None:
        """Read paragraphs and tables."""
        for block in _blocks(body):
            if block.tag == f"{W}p":
                self._paragraphs += 1
                self.builder.add(_text(block), "paragraph", f"paragraph {self._paragraphs}")
            else:
                self._tables += 1
                self._read_table(block, f"table {self._tables}")

    def _read_table(self, table: Any, name: str) -> None:
        for number, row in enumerate(table.iterchildren(f"{W}tr"), 1):
            before = "\n"
            for column, cell in enumerate(_inner(row, f"{W}tc"), 1):
                text = _lines(cell)
                self.builder.add(text, "cell", f"{name}, row {number}, column {column}", before=before)
                before = "\t"


def _blocks(element: Any) -> Iterator[Any]:
    """Paragraphs and tables, those in content controls too."""
    for child in element.iterchildren():
        if child.tag in (f"{W}p", f"{W}tbl"):
            yield child
        elif child.tag in (f"{W}sdt", f"{W}sdtContent", f"{W}ins", f"{W}customXml", f"{W}smartTag"):
            yield from _blocks(child)


def _inner(element: Any, tag: str) -> Iterator[Any]:
    """Children with a tag, those in content controls too."""
    for child in element.iterchildren():
        if child.tag == tag:
            yield child
        elif child.tag in (f"{W}sdt", f"{W}sdtContent"):
            yield from _inner(child, tag)


def _lines(element: Any) -> str:
    """The paragraphs of a cell or a margin, those of tables in it too, as lines."""
    found: list[str] = []
    stack = list(reversed(element))
    while stack:
        inner = stack.pop()
        if inner.tag == f"{W}p":
            found.append(_text(inner))
        elif inner.tag != FALLBACK:
            stack += reversed(inner)
    return "\n".join(filter(str.strip, found))


def _text(paragraph: Any) -> str:
    """The text of a paragraph: of a text box that is written twice, for old and new programs, the new form."""
    pieces: list[str] = []
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        if element.tag == f"{W}t":
            pieces.append(element.text or "")
        elif element.tag in BREAKS:
            pieces.append(BREAKS[element.tag])
        elif element.tag == f"{W}txbxContent" and pieces:
            pieces.append("\n")
        if element.tag not in (FALLBACK, f"{W}del", f"{W}moveFrom", f"{W}rPr", f"{W}pPr"):
            stack += reversed(element)
    return "".join(pieces)
