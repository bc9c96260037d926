"""Values that the grammar, and not the model, decided on. Knows canonical JSON and completions; knows no text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

from extractft.completion import Completion
from extractft.confidence.json_layout import layout_of
from extractft.schema import Schema

__all__ = ["forced_values"]


def forced_values(schema: Schema[Any], completion: Completion, spelling: Callable[[int], bytes]) -> tuple[str, ...]:
    """The paths of values that were spelled by forced tokens alone.

    The schema leaves no choice about them, such as about the only word of a `Literal`, or they were put there to close
    a record whose budget was spent. The model was not asked, so that their confidence says nothing.

    Args:
        schema: The schema of the record.
        completion: The tokens that spell it.
        spelling: The bytes that a token spells.
    """
    if not any(step.forced for step in completion.steps):
        return ()
    pieces = [spelling(step.token_id).decode("latin-1") for step in completion.steps]
    ends = list(accumulate(map(len, pieces)))
    chosen = [
        (end - len(piece), end)
        for end, piece, step in zip(ends, pieces, completion.steps, strict=True)
        if not step.forced and piece
    ]
    values = layout_of("".join(pieces), schema).values
    return tuple(
        path
        for path, (start, end) in values.items()
        if not any(begun < end and ended > start for begun, ended in chosen)
    )
