"""Read the JSON of rows strictly, with messages that quote no values. Knows no schema and no files."""

from __future__ import annotations

import json
from collections.abc import Container
from functools import partial
from typing import Any

from extractft.data.column_names import KNOWN_COLUMNS, display_name

__all__ = ["InvalidJson", "parse_json", "strip_thinking", "unwrap_answer"]

FENCE = "```"
THINK_START, THINK_END = "<think>", "</think>"


class InvalidJson(ValueError):
    """The text is not valid JSON; the message quotes none of its values."""


def parse_json(text: str, names: Container[str] = ()) -> Any:
    """Read JSON strictly: no key twice (a label would vanish), no `NaN` or `Infinity`.

    Args:
        text: The JSON.
        names: Keys that a message may quote, besides the usual columns; those of a map are data.

    Raises:
        InvalidJson: `text` is not such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=partial(_unique_keys, names=names), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = f"expected JSON, but at character {error.pos + 1}: {error.msg}"
        if text.lstrip()[:2] in ("{'", "['"):
            problem = "expected JSON, found a Python dict or list written as text (JSON has double quotes)"
        raise InvalidJson(problem) from error
    except InvalidJson:
        raise
    except RecursionError as error:
        raise InvalidJson("expected JSON, found brackets nested too deeply to read") from error
    except ValueError as error:  # an integer with more digits than Python converts
        raise InvalidJson("expected JSON, found a number with too many digits") from error


def _unique_keys(pairs: list[tuple[str, Any]], names: Container[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            shown = display_name(key) if key in KNOWN_COLUMNS or key in names else f"<{len(key)} characters>"
            raise InvalidJson(f"the key {shown} stands twice in one object")
        result[key] = value
    return result


def _refuse_constant(name: str) -> Any:
    raise InvalidJson(f"{name} is not JSON")


def unwrap_answer(text: str) -> str:
    """The answer of a language model without its think block and code fence."""
    answer = strip_thinking(text).strip()
    if len(answer) < 2 * len(FENCE) or not (answer.startswith(FENCE) and answer.endswith(FENCE)):
        return answer
    inner = answer[len(FENCE) : -len(FENCE)]
    language, line_end, rest = inner.partition("\n")
    return (rest if line_end and (not language.strip() or language.strip().isalnum()) else inner).strip()


def strip_thinking(text: str) -> str:
    """The answer of a language model without the think block at its beginning."""
    _, opened, rest = text.partition(THINK_START)
    if not opened or text.lstrip()[: len(THINK_START)] != THINK_START:
        return text
    _, closed, answer = rest.partition(THINK_END)
    return answer.lstrip() if closed else text
