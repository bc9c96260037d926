"""Rows that are longer than the window, split for training by the windows that they are extracted in.

Knows examples and windows; knows no tokens and no model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from extractft.data import Example
from extractft.errors import DatasetError, InputTooLongError, PromptError, RowIssue
from extractft.grounding import Window, window_targets
from extractft.schema import MISSING, Schema

__all__ = ["ROW_NUMBERS", "Pieces", "in_pieces"]

T = TypeVar("T")
HOW_TO_SPLIT = "Shorten these texts, raise max_length or overlap_tokens, or leave them out by overlong='skip'."
ROW_NUMBERS = "Rows have the numbers of their file; those of a list, a table or several files are counted from 1."
"""A hint for whoever looks for a row that an error names."""
logger = logging.getLogger(__name__)
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Pieces(Generic[T]):
    """Examples of which long ones have been split.

    Attributes:
        examples: The pieces, and the short examples as they were.
        numbers: For each the number of the row that it is from.
    """

    examples: Sequence[Example[T]]
    numbers: Sequence[int]


def in_pieces(
    examples: Sequence[Example[T]],
    numbers: Sequence[int],
    schema: Schema[T],
    windows_of: Callable[[str], Sequence[Window]],
    *,
    overlong: Literal["error", "skip"],
) -> Pieces[T]:
    """Split the examples whose texts have several windows.

    The record of a piece is what `window_targets` says. A window to which no record is true is not trained on; a row
    with a value that no window can say is refused, or left out.

    Args:
        examples: The rows.
        numbers: Their numbers in the data, from 1.
        schema: What their records are.
        windows_of: The windows that a text is extracted in.
        overlong: What is done with rows that cannot be split without losing a value.

    Raises:
        DatasetError: Rows cannot be split, and `overlong` is `"error"`; all of them are in `.issues`.
    """
    pieces: list[Example[T]] = []
    origins: list[int] = []
    issues: list[RowIssue] = []
    untrue = 0
    for example, number in zip(examples, numbers, strict=True):
        made = _pieces_of(example, schema, windows_of)
        if isinstance(made, str):
            issues.append(RowIssue(number, "unsplittable", made))
            continue
        kept = [piece for piece in made if piece is not None]
        untrue += len(made) - len(kept)
        pieces += kept
        origins += [number] * len(kept)
    if issues and overlong == "error":
        error = DatasetError(
            f"{len(issues)} of {len(examples)} rows cannot be split into the windows of a long text", issues=issues
        )
        raise error.hint(HOW_TO_SPLIT).hint(ROW_NUMBERS)
    _say_what_is_left_out(issues, untrue)
    return Pieces(pieces, origins)


def _say_what_is_left_out(issues: Sequence[RowIssue], untrue: int) -> None:
    """Warn of rows and of pieces that are not trained on."""
    if issues:
        logger.warning("left out %d long rows that cannot be split, such as %s", len(issues), issues[0])
    if untrue:
        logger.warning(
            "%d pieces of long rows are not trained on: no record is true to them, since a required field stands in "
            "another piece. Fields that may be absent keep such pieces.",
            untrue,
        )


def _pieces_of(
    example: Example[T], schema: Schema[T], windows_of: Callable[[str], Sequence[Window]]
) -> list[Example[T] | None] | str:
    """The pieces of an example, `None` for one without a true record; or why there are none."""
    text = example.text
    try:
        windows = windows_of(text)
        if len(windows) == 1:
            return [example]
        targets = window_targets(schema, schema.canonical_value(example.output), text, windows)
    except (InputTooLongError, PromptError) as error:
        return str(error)
    if targets.lost:
        more = f" and {len(targets.lost) - SHOWN} more" if len(targets.lost) > SHOWN else ""
        return f"no window holds the value of {', '.join(targets.lost[:SHOWN])}{more}"
    made = [_piece(schema, text[w.start : w.end], value) for w, value in zip(windows, targets.values, strict=True)]
    if not any(made):
        return f"none of its {len(windows)} windows holds all required fields"
    return made


def _piece(schema: Schema[T], text: str, value: Any) -> Example[T] | None:
    return Example(text, schema.parse_value(value)) if value is not MISSING and text.strip() else None
