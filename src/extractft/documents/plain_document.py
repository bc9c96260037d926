"""Text files and Markdown: the text as it stands, its lines as parts. Knows encodings."""

from __future__ import annotations

from pathlib import Path

from extractft.data.text_encoding import decode_bytes, encoding_hint
from extractft.documents.document import Document, DocumentPart
from extractft.errors import DocumentError

__all__ = ["decoded", "read_plain"]


def read_plain(path: Path, content: bytes, encoding: str | None) -> Document:
    """A text file as a document; the text is that of the file, character by character, but for line ends.

    Args:
        path: Its path, for messages.
        content: Its bytes.
        encoding: How it is written; UTF-8 if `None`.

    Raises:
        DocumentError: It is in another encoding.
    """
    text = decoded(path, content, encoding).replace("\r\n", "\n")
    parts, start = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            parts.append(DocumentPart(start, start + len(line), "line", f"line {number}"))
        start += len(line) + 1
    return Document(path.name, text, tuple(parts))


def decoded(path: Path, content: bytes, encoding: str | None) -> str:
    """The text of a file.

    Raises:
        DocumentError: It is in another encoding.
    """
    try:
        return decode_bytes(content, encoding).replace("\x00", "")
    except UnicodeError as error:
        message = f"{path.name}: expected text in {encoding or 'UTF-8'}, found other bytes"
        raise DocumentError(message).hint(encoding_hint(content)) from error
