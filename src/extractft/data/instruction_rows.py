"""Rows of instruction, input and output, as Alpaca has them: choose the text. Knows no schema.

The input is the text. Without an input the instruction is, unless it is a prompt that rows share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from extractft.data.raw_row import InvalidRow, RowIssue
from extractft.data.table_values import is_missing
from extractft.text import is_blank

__all__ = ["InstructionRows"]

MANY_OUTPUTS = 3
"""A text with two outputs is a contradiction in the data; with three it is taken for a prompt."""


class _InstructionAsText(NamedTuple):
    file: str
    number: int
    instruction: str


class InstructionRows:
    """Chooses the texts of instruction rows, and tells prompts from texts once all rows are read."""

    def __init__(self) -> None:
        self._total = 0
        self._seen: Counter[str] = Counter()
        self._outputs: dict[str, set[int]] = {}
        self._with_input: set[str] = set()
        self._used_as_text: list[_InstructionAsText] = []

    def choose_text(self, row: Mapping[str, Any], output: Any, number: int, file: str) -> Any:
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
        if not _is_empty(given):
            self._with_input.add(key)
            chosen = given
        elif "instruction" in row:
            self._used_as_text.append(_InstructionAsText(file, number, key))
            chosen = instruction
        else:
            chosen = given
        if "text" in row and not _contains(row["text"], chosen):
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
            RowIssue(used.number, "empty_text", message, "", used.file)
            for used in self._used_as_text
            if self._is_prompt(used.instruction)
        ]

    def _is_prompt(self, key: str) -> bool:
        """True if other rows have the same instruction before an input, or with so many outputs that it is no text."""
        different = len(self._outputs[key])
        mostly = self._seen[key] * 2 > self._total
        return key in self._with_input or different >= MANY_OUTPUTS or (different > 1 and mostly)


def _is_empty(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, str) and is_blank(value))


def _contains(text: Any, chosen: Any) -> bool:
    """True if `text` is empty, or a prompt rendered from the other columns."""
    if _is_empty(text):
        return True
    return (
        isinstance(text, str) and isinstance(chosen, str) and _without_whitespace(chosen) in _without_whitespace(text)
    )


def _without_whitespace(text: str) -> str:
    return "".join(text.split())
