"""JSON as rows carry it: strict reading, and messages that quote no values. Knows no schema and no files."""

from __future__ import annotations

import json
from typing import Any

from extractft.data.column_names import shown_name

__all__ = ["JsonProblem", "parse_json", "unwrapped_answer", "without_thinking"]

FENCE = "```"
THINK_START, THINK_END = "<think>", "</think>"


class JsonProblem(ValueError):
    """A text that is not the JSON it should be; the message quotes none of its values."""


def parse_json(text: str) -> Any:
    """Read JSON strictly: no key twice (a label would vanish), no `NaN` or `Infinity`.

    Raises:
        JsonProblem: `text` is not such JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = f"expected JSON, but at character {error.pos + 1}: {error.msg}"
        if text.lstrip()[:2] in ("{'", "['"):
            problem = "expected JSON, found a Python dict or list written as text (JSON has double quotes)"
        raise JsonProblem(problem) from error
    except JsonProblem:
        raise
    except RecursionError as error:
        raise JsonProblem("expected JSON, found brackets nested too deeply to read") from error
    except ValueError as error:  # an integer with more digits than Python converts
        raise JsonProblem("expected JSON, found a number with too many digits") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise JsonProblem(f"the key {shown_name(key)} stands twice in one object")
        result[key] = value
    return result


def _refuse_constant(name: str) -> Any:
    raise JsonProblem(f"{name} is not JSON")


def unwrapped_answer(text: str) -> str:
    """What a language model wrote, without a think block before it and the code fence around it."""
    answer = without_thinking(text).strip()
    if len(answer) < 2 * len(FENCE) or not (answer.startswith(FENCE) and answer.endswith(FENCE)):
        return answer
    inner = answer[len(FENCE) : -len(FENCE)]
    language, line_end, rest = inner.partition("\n")
    return (rest if line_end and (not language.strip() or language.strip().isalnum()) else inner).strip()


def without_thinking(text: str) -> str:
    """A turn of a language model without the think block that it begins with."""
    _, opened, rest = text.partition(THINK_START)
    if not opened or text.lstrip()[: len(THINK_START)] != THINK_START:
        return text
    _, closed, answer = rest.partition(THINK_END)
    return answer.lstrip() if closed else text
