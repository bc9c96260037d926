"""When two scalars are the same: exactly, or after normalisation.

Knows scalars and what they spell; knows nothing of records.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from typing import Any

from extractft.evaluation.shape import Shape
from extractft.text import normal_form as unicode_form

__all__ = ["Match", "normal_form", "normalize_string", "same_value", "squash"]

EDGES = " .,;:!?。、·'\"`“”‘’«»‹›「」『』《》〈〉"
"""What is cut off at both ends of a normalised string: blanks, sentence marks, quotes. Brackets and signs stay."""


class Match(IntEnum):
    """How much two values agree."""

    DIFFERENT = 0
    NORMALIZED = 1
    EXACT = 2


def normalize_string(text: str) -> str:
    """The form in which free text is compared by the normalised scores.

    NFKC (full-width letters and digits become plain ones), case folded, runs of white space folded into one blank,
    and blanks, sentence marks and quotes cut off at both ends. A string of nothing else keeps them.
    """
    folded = " ".join(_fold(text).split())
    return folded.strip(EDGES) or folded


def squash(text: str) -> str:
    """NFKC, case folded, without any white space: the form in which two values are compared part by part."""
    return "".join(_fold(text).split())


def _fold(text: str) -> str:
    return unicode_form("NFKC", unicode_form("NFKC", text).casefold())


def same_value(gold: Any, prediction: Any) -> bool:
    """Whether two JSON scalars are the same value: `1` and `1.0` are, `1` and `true` are not.

    Strings are compared composed (NFC), as models are trained to write them.
    """
    if isinstance(gold, str) and isinstance(prediction, str):
        return gold == prediction or unicode_form("NFC", gold) == unicode_form("NFC", prediction)
    if isinstance(gold, bool) is not isinstance(prediction, bool):
        return False
    return bool(gold == prediction or (gold != gold and prediction != prediction))  # NaN is the same as NaN here


def normal_form(value: Any, shape: Shape) -> Hashable:
    """What the normalised scores compare: equal forms count as equal values.

    Decimals, dates and times that are spelt as strings count by value (`12.50` is `12.5`, `14:00+02:00` is
    `12:00Z`), free text by `normalize_string`. Everything else has one spelling: numbers, booleans, and the words of
    a `Literal` or an `Enum`, where another case may be another choice.
    """
    if not isinstance(value, str):
        return type(value) is bool, value
    for name, parse in _PARSERS.items():
        if name in shape.formats:
            parsed = parse(value)
            if parsed is not None:
                return name, parsed
    return "text", normalize_string(value) if shape.free_text else value


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _datetime(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str) -> time | None:
    try:
        value = time.fromisoformat(text)
    except ValueError:
        return None
    if value.tzinfo is None:
        return value
    moment = datetime.combine(datetime(2000, 1, 2), value)  # a time alone cannot be moved to another zone
    return moment.astimezone(UTC).timetz()


_PARSERS: dict[str, Callable[[str], Decimal | datetime | time | None]] = {
    "decimal": _decimal,
    "datetime": _datetime,
    "time": _time,
}
