"""JSON as rows carry it: strict reading, and messages that quote no values. Knows no schema and no files."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["JsonProblem", "column_list", "parse_json", "shown_name"]

LONGEST_NAME = 40
MOST_NAMES = 20


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


def shown_name(name: object) -> str:
    """A key or column name for a message; a long one may be data gone astray, so only its length is told."""
    text = str(name)
    return repr(text) if len(text) <= LONGEST_NAME and text.isprintable() else f"<{len(text)} characters>"


def column_list(names: Any) -> str:
    """Some column names for a message, in their order."""
    shown = [shown_name(name) for name in names]
    more = [f"and {len(shown) - MOST_NAMES} more"] if len(shown) > MOST_NAMES else []
    return ", ".join([*shown[:MOST_NAMES], *more]) or "nothing"
