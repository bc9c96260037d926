"""A document as one text, with a map from positions back to pages, paragraphs, cells or lines. Knows no file format."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Document", "DocumentBuilder", "DocumentPart", "DocumentPlace", "PartKind"]

PartKind = Literal["page", "paragraph", "cell", "line"]


@dataclass(frozen=True, slots=True)
class DocumentPart:
    """A part of a document that people can find again.

    Attributes:
        start: Its first character in the document's text.
        end: The character after its last one.
        kind: Its kind.
        label: Its name: `page 3`, `paragraph 12`, `table 1, row 2, column 3`, `sheet Prices, cell B3`.
    """

    start: int
    end: int
    kind: PartKind
    label: str


@dataclass(frozen=True, slots=True)
class DocumentPlace:
    """The parts that a span lies in; as a string `page 3`, or `page 3 to page 4`.

    Attributes:
        parts: The parts, in order; none for a span between two of them.
    """

    parts: tuple[DocumentPart, ...]

    def __str__(self) -> str:
        if not self.parts:
            return ""
        first, last = self.parts[0].label, self.parts[-1].label
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True, repr=False, slots=True)
class Document:
    """A document as text.

    Attributes:
        name: The name of its file.
        text: The text, to extract from.
        parts: Its parts, in order, none within another.
        notes: What a reader should know of what the text does not have; quotes nothing of it.
    """

    name: str
    text: str
    parts: tuple[DocumentPart, ...]
    notes: tuple[str, ...] = ()
    _starts: list[int] = field(init=False, compare=False)
    _ends: list[int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", [part.start for part in self.parts])
        object.__setattr__(self, "_ends", [part.end for part in self.parts])

    def __repr__(self) -> str:
        return f"Document({self.name!r}, {len(self.text)} characters in {len(self.parts)} parts)"

    def locate(self, start: int, end: int) -> DocumentPlace:
        """The place of a span, such as `Span.start` and `Span.end` of an extraction from the text.

        Args:
            start: The first character.
            end: The character after the last one.

        Raises:
            ValueError: There is no such span in the text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError(f"expected a span of the document's {len(self.text)} characters, found another one")
        last = max(end, start + 1)
        return DocumentPlace(self.parts[bisect_right(self._ends, start) : bisect_left(self._starts, last)])

    def places(self) -> Iterator[tuple[int, int, str]]:
        """Start, end and label of each part, as a row of JSON may hold them."""
        return ((part.start, part.end, part.label) for part in self.parts)


@dataclass(slots=True)
class DocumentBuilder:
    """Collects the parts of a document.

    Attributes:
        name: The name of its file.
        notes: What a reader should know.
    """

    name: str
    notes: list[str] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _parts: list[DocumentPart] = field(default_factory=list)
    _length: int = 0

    def add(self, text: str, kind: PartKind, label: str, *, before: str = "\n") -> None:
        """Add a part; one without a visible character is no part.

        Args:
            text: Its text.
            kind: Its kind.
            label: Its name.
            before: What stands between it and the part before.
        """
        text = _clean(text).strip("\n")
        if not text.strip():
            return
        self.space(before)
        start = self._length
        self._put(text)
        self._parts.append(DocumentPart(start, self._length, kind, label))

    def space(self, between: str) -> None:
        """Put something between parts; nothing before the first."""
        if self._length:
            self._put(between)

    def build(self) -> Document:
        """The document."""
        return Document(self.name, "".join(self._pieces), tuple(self._parts), tuple(self.notes))

    def _put(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)


def _clean(text: str) -> str:
    """The text without what no text has: zero characters, and halves of characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text
