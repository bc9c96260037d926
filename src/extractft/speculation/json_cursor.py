"""Cursor in a growing JSON record: in a key or a value, of which field, and what is written of it so far.

Reads JSON as it grows, byte by byte. Knows bytes; knows no tokens, no schema and no grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["INITIAL", "LONGEST_WRITTEN", "JsonCursor", "Part"]

Part = Literal["key", "colon", "value", "after"]
"""`key` and `value` from where they are expected on; `colon` behind a key, `after` behind a value."""
_ESCAPES = {ord("n"): b"\n", ord("t"): b"\t", ord("r"): b"\r", ord("b"): b"\b", ord("f"): b"\f"}
_SPECIAL = (b'"', b"\\")
LONGEST_WRITTEN = 32
"""A value of more bytes is no place of its own to learn about: it will hardly come again."""


@dataclass(frozen=True, slots=True)
class JsonCursor:
    """A place in a record.

    Attributes:
        part: What is being written.
        quoted: Whether inside a string.
        written: What of the key or value is written, escapes undone.
        field: The key that was written last.
        nesting: The open braces and brackets.
        values: How many values are complete.
        last: The last of them.
        escaped: Whether a backslash was last.
    """

    part: Part
    quoted: bool = False
    written: bytes = b""
    field: bytes = b""
    nesting: bytes = b""
    values: int = 0
    last: bytes = b""
    escaped: bool = False

    def advance(self, spelled: bytes) -> JsonCursor:  # noqa: C901 - one case for each kind of character
        """The place behind these bytes, which go on with the record."""
        if self.quoted and not self.escaped and not any(special in spelled for special in _SPECIAL):
            written = self.written + spelled
            return JsonCursor(self.part, True, written, self.field, self.nesting, self.values, self.last)
        part, quoted, written, field = self.part, self.quoted, self.written, self.field
        nesting, values, last, escaped = self.nesting, self.values, self.last, self.escaped
        for byte in spelled:
            char = bytes((byte,))
            if quoted and escaped:
                # A character written as its number is not what stands in the text: begin anew.
                written = b"" if char == b"u" else written + _ESCAPES.get(byte, char)
                escaped = False
            elif quoted and char == b"\\":
                escaped = True
            elif quoted and char == b'"':
                if part == "key":
                    part, field = "colon", written
                else:
                    part, values, last = "after", values + 1, written
                quoted, written = False, b""
            elif quoted:
                written += char
            elif char in b",]}":
                if part == "value" and written:
                    values, last = values + 1, written
                nesting = nesting if char == b"," else nesting[:-1]
                part, written = ("key" if nesting.endswith(b"{") else "value") if char == b"," else "after", b""
            elif char in b"{[":
                nesting, part, written = nesting + char, "key" if char == b"{" else "value", b""
            elif char == b":":
                part, written = "value", b""
            elif char == b'"':
                quoted, written = True, b""
            elif not char.isspace():
                written += char
        return JsonCursor(part, quoted, written, field, nesting, values, last, escaped)


INITIAL = JsonCursor("value")
"""Before the first byte of a record."""
