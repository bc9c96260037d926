"""Rows of instruction, input and output: which of the two is the text. Knows no schema.

The instruction is the text where there is no input, but not if it is the prompt that all rows share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from extractft.data.raw_row import InvalidRow, RowIssue
from extractft.data.table_values import is_missing
from extractft.text import is_blank

__all__ = ["InstructionRows"]

MANY_OUTPUTS = 3
"""A text with two outputs is a contradiction in the data; with three it is taken for a prompt."""


class InstructionRows:
    """Finds the texts of instruction rows, and remembers enough to tell prompts from texts once all rows are read."""

    def __init__(self) -> None:
        self._total = 0
        self._seen: Counter[str] = Counter()
        self._outputs: dict[str, set[int]] = {}
        self._with_input: set[str] = set()
        self._as_text: list[tuple[str, int, str]] = []

    def text(self, row: Mapping[str, Any], output: Any, number: int, file: str) -> Any:
        """The input (also called context), or the instruction where the input is blank.

        Args:
            row: The columns.
            output: The raw output.
            number: The row's number.
            file: The file that it is in.

        Raises:
            InvalidRow: A `text` stands beside both and is not made of them, or turns came before.
        """
        given, instruction = row.get("input", row.get("context")), row.get("instruction")
        if isinstance(row.get("history"), list | tuple) and len(row["history"]):
            raise InvalidRow.one("several_turns", "expected a row without history, found earlier turns in it")
        key = " ".join(instruction.split()) if isinstance(instruction, str) else ""
        self._count(key, output)
        if not _says_nothing(given):
            self._with_input.add(key)
            chosen = given
        elif "instruction" in row:
            self._as_text.append((file, number, key))
            chosen = instruction
        else:
            chosen = given
        if "text" in row and not _is_made_of(row["text"], chosen):
            raise InvalidRow.one(
                "ambiguous_text",
                "both 'text' and 'input' (or 'instruction') may be the text, and the one is not made of the other",
            )
        return chosen

    def _count(self, key: str, output: Any) -> None:
        self._total += 1
        self._seen[key] += 1
        outputs = self._outputs.setdefault(key, set())
        if len(outputs) < MANY_OUTPUTS:
            outputs.add(hash(repr(output)))

    def issues(self) -> list[RowIssue]:
        """The rows without input whose instruction turned out to be a prompt rather than a text."""
        message = "the input is empty, and the instruction is that of other rows too: there is no text"
        return [
            RowIssue(number, "empty_text", message, "", file)
            for file, number, key in self._as_text
            if self._is_prompt(key)
        ]

    def _is_prompt(self, key: str) -> bool:
        """True if other rows have the same instruction before an input, or with so many outputs that it is no text."""
        different = len(self._outputs[key])
        mostly = self._seen[key] * 2 > self._total
        return key in self._with_input or different >= MANY_OUTPUTS or (different > 1 and mostly)


def _says_nothing(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, str) and is_blank(value))


def _is_made_of(text: Any, chosen: Any) -> bool:
    """True if `text` is the whole prompt rendered from the other columns, or says nothing."""
    if _says_nothing(text):
        return True
    return isinstance(text, str) and isinstance(chosen, str) and _squeezed(chosen) in _squeezed(text)


def _squeezed(text: str) -> str:
    return "".join(text.split())
