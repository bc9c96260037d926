"""Find texts that contain their own answer: prompts rendered together with it, as training libraries store them.

A model trained on these learns to copy the JSON behind the text, scores perfectly and extracts nothing from a text
without it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from extractft.data.check_report import Finding, Severity, Split
from extractft.data.example import Example
from extractft.schema import Schema

__all__ = ["answer_leak_findings", "contains_answer"]

T = TypeVar("T")

PROMPT_SHARE = 0.5
"""Least share of such rows at which the texts are taken for prompts; below it, a few texts may quote JSON."""
MAX_ATTEMPTS = 50
"""Most places of one text at which JSON is looked for."""
LONGEST_JSON = 20_000
NOISE = re.compile(r"[\s\"'\\\\]+")
DECODER = json.JSONDecoder()


def answer_leak_findings(split: Split, examples: Sequence[Example[T]], schema: Schema[T]) -> Iterator[Finding]:
    """One finding with all rows whose text contains the row's own output as JSON, in whatever spelling."""
    rows = tuple(
        row for row, example in enumerate(examples, 1) if contains_answer(example.text, example.output, schema)
    )
    if not rows:
        return
    message = (
        f"{len(rows)} of {len(examples)} texts hold their own output as JSON, most likely in a rendered prompt: "
        "take the column with the bare text"
    )
    severity: Severity = "error" if len(rows) >= PROMPT_SHARE * len(examples) else "warning"
    yield Finding("answer_in_text", severity, message, rows, split=split)


def contains_answer(text: str, output: T, schema: Schema[T]) -> bool:
    """True if a text contains the JSON of its own record: canonical or spaced, escaped, in Python's or another order.

    Only records that are objects, or lists of objects, and not empty are looked for.
    """
    if "{" not in text:
        return False
    short, full = schema.canonical_value(output), schema.full_value(output)
    if not _has_content(short):
        return False
    squeezed = NOISE.sub("", text)
    if any(NOISE.sub("", spelling) in squeezed for value in (short, full) for spelling in _json_spellings(value)):
        return True
    keys = short if isinstance(short, dict) else next(item for item in short if isinstance(item, dict) and item)
    if not all(str(key) in text for key in keys):
        return False
    found_values = _json_values(text, "{" if isinstance(short, dict) else "[")
    return any(found in (short, full) or _is_same_record(found, short, schema) for found in found_values)


def _has_content(value: Any) -> bool:
    if isinstance(value, dict):
        return any(item not in (None, "", [], {}) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, dict) and _has_content(item) for item in value)


def _json_spellings(value: Any) -> list[str]:
    return [json.dumps(value, ensure_ascii=False), json.dumps(value), repr(value)]


def _json_values(text: str, opening: str) -> Iterator[Any]:
    """JSON values in a text that begin with `opening`; of very many places, the first and the last are tried."""
    places = [match.start() for match in re.finditer(re.escape(opening), text)]
    if len(places) > MAX_ATTEMPTS:
        places = places[: MAX_ATTEMPTS // 2] + places[-MAX_ATTEMPTS // 2 :]
    for place in places:
        try:
            yield DECODER.raw_decode(text[place : place + LONGEST_JSON])[0]
        except (ValueError, RecursionError):
            continue


def _is_same_record(found: Any, expected: Any, schema: Schema[T]) -> bool:
    """True if JSON found in a text means the same record, with other defaults, aliases or order."""
    if type(found) is not type(expected):
        return False
    try:
        return bool(schema.canonical_value(schema.parse_value(found)) == expected)
    except Exception:  # not that record; the schema's own validators may raise anything
        return False
