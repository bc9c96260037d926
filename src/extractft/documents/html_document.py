"""HTML pages: what a browser shows as text, by paragraphs and cells of tables. Knows HTML through selectolax."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from extractft.documents.document import Document, DocumentBuilder
from extractft.documents.html_bounds import require_parsable
from extractft.documents.plain_document import decoded

__all__ = ["read_html"]

HIDDEN = frozenset(
    ("script", "style", "template", "noscript", "head", "svg", "math", "iframe", "object", "canvas", "select")
)
BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "title",
        "tr",
        "ul",
        "td",
        "th",
    ]
)
CELLS = ("td", "th")
CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
HEAD_BYTES = 4096
WHITE = re.compile(r"[ \t\n\r\f]+")


def read_html(path: Path, content: bytes, encoding: str | None) -> Document:
    """A page as a document.

    Raises:
        DocumentError: It is in another encoding, or takes hours to parse.
    """
    from selectolax.lexbor import LexborHTMLParser

    declared = CHARSET.search(content[:HEAD_BYTES])
    if encoding is None and declared and not content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        encoding = _known(declared[1].decode("ascii"))
    page = decoded(path, content, encoding)
    require_parsable(path.name, page)
    tree = LexborHTMLParser(page)
    reader = _PageReader(DocumentBuilder(path.name))
    if tree.body is not None:
        reader.read(tree.body)
    return reader.builder.build()


def _known(name: str) -> str | None:
    """The encoding that a page declares; browsers read Latin-1 as Windows-1252, and so do we."""
    import codecs

    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}.get(found, found)


class _PageReader:
    """Walks a page, and ends a part where a block begins or ends. Without recursion: pages may be nested deeply."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self.builder = builder
        self._words: list[str] = []
        self._paragraphs = self._tables = 0
        self._table: list[list[int]] = []  # number, row and column of each table that is open
        self._before = "\n"

    def read(self, body: Any) -> None:
        """Read the body of a page."""
        stack: list[tuple[Any, bool]] = [(body, False)]
        while stack:
            node, ends = stack.pop()
            if ends:
                self._end(node.tag)
                continue
            if node.tag == "-text":
                self._words.append(node.text_content or "")
            if node.tag in HIDDEN or node.tag.startswith(("-", "_")):
                continue
            self._begin(node)
            stack.append((node, True))
            stack += [(child, False) for child in reversed(list(node.iter(include_text=True)))]
        self._flush()

    def _begin(self, node: Any) -> None:
        tag = node.tag
        if tag == "br":
            self._words.append("\x01")
        if tag in BLOCKS:
            self._flush()
        if tag == "table":
            self._tables += 1
            self._table.append([self._tables, 0, 0])
        elif tag == "tr" and self._table:
            self._table[-1][1:] = [self._table[-1][1] + 1, 0]
            self._before = "\n"
        elif tag in CELLS and self._table:
            self._table[-1][2] += 1
        elif tag == "img" and node.attributes.get("alt"):
            self._words.append(f" {node.attributes['alt']} ")

    def _end(self, tag: str) -> None:
        if tag in BLOCKS:
            self._flush()
        if tag == "table" and self._table:
            self._table.pop()
            self._before = "\n"
        elif tag in CELLS and self._table:
            self._before = "\t"
        elif tag == "tr":
            self._before = "\n"

    def _flush(self) -> None:
        """End a part."""
        text = WHITE.sub(" ", "".join(self._words)).replace(" \x01", "\x01").replace("\x01 ", "\x01")
        self._words.clear()
        text = text.replace("\x01", "\n").strip()
        if not text:
            return
        if self._table:
            number, row, column = self._table[-1]
            label = f"table {number}, row {row}, column {column}" if column else f"table {number}"
            self.builder.add(text, "cell", label, before=self._before)
        else:
            self._paragraphs += 1
            self.builder.add(text, "paragraph", f"paragraph {self._paragraphs}", before=self._before)
        self._before = "\n"
