"""The causes of wrong values, in words. Knows differences and their text; knows no scores and no layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from extractft.evaluation.results import Difference
from extractft.evaluation.value_trees import normalize_string, squash
from extractft.text import lowest_rung

__all__ = ["ErrorCause", "ExplainedDifference", "common_start", "explain"]


FEW = 3
"""Characters that may differ in any case in a value that is merely altered."""


class ErrorCause(StrEnum):
    """The cause of an error: each reads on from "it is mostly ..."."""

    CUT_SHORT = "cut short"
    TOO_LONG = "taken with too much around it"
    SPELLING = "spelt differently"
    SHIFTED = "shifted: a part of it and something beside it"
    ALTERED = "altered: a few characters differ"
    CONFUSED = "confused with another choice"
    OTHER_FIELD = "mixed up with another field"
    MADE_UP = "made up: it stands nowhere in the text"
    OTHER = "another value than the right one"
    MISSED = "missed"
    INVENTED = "invented where there is none"
    FAILED = "lost with a record that failed"

    @property
    def brief(self) -> str:
        """The same without its explanation, for a table."""
        return self.value.partition(":")[0]


@dataclass(frozen=True, slots=True)
class ExplainedDifference:
    """A difference and its cause.

    Attributes:
        difference: The difference.
        cause: Its cause.
        other: The field that the value was mixed up with, for `ErrorCause.OTHER_FIELD`.
    """

    difference: Difference
    cause: ErrorCause
    other: str = ""


def explain(record: Sequence[Difference]) -> list[ExplainedDifference]:
    """Name the cause of each difference of one record.

    Args:
        record: All differences of the record.
    """
    index = _ErrorIndex(record)
    return [_explain(difference, index) for difference in record]


class _ErrorIndex:
    """The paths at which each string of a record is the gold value or the prediction of a difference."""

    def __init__(self, record: Sequence[Difference]) -> None:
        self._gold: dict[str, list[Difference]] = {}
        self._prediction: dict[str, list[Difference]] = {}
        for difference in record:
            for known, value in ((self._gold, difference.gold), (self._prediction, difference.prediction)):
                if isinstance(value, str) and not difference.choice:
                    known.setdefault(value, []).append(difference)

    def other_field(self, difference: Difference) -> str | None:
        """The field whose right value this prediction is, or whose prediction this right value is.

        Choices never are: two fields with the same choices agree by chance.
        """
        if difference.choice:
            return None
        if isinstance(difference.prediction, str):
            for other in self._gold.get(difference.prediction, ()):
                if other.path != difference.path and other.prediction != difference.prediction:
                    return other.path
        if difference.kind == "missed" and isinstance(difference.gold, str):
            for other in self._prediction.get(difference.gold, ()):
                if other.path != difference.path:
                    return other.path
        return None


def _explain(difference: Difference, index: _ErrorIndex) -> ExplainedDifference:
    if difference.kind not in ("wrong", "missed", "invented"):
        return ExplainedDifference(difference, ErrorCause.FAILED)
    if difference.normalized:
        return ExplainedDifference(difference, ErrorCause.SPELLING)
    other = index.other_field(difference)
    if other is not None:
        return ExplainedDifference(difference, ErrorCause.OTHER_FIELD, other)
    if difference.kind == "missed":
        return ExplainedDifference(difference, ErrorCause.MISSED)
    if difference.kind == "invented":
        return ExplainedDifference(difference, ErrorCause.INVENTED)
    return ExplainedDifference(difference, _of_wrong(difference))


def _of_wrong(difference: Difference) -> ErrorCause:
    gold, prediction = difference.gold, difference.prediction
    if difference.choice:
        return ErrorCause.CONFUSED
    if not isinstance(gold, str) or not isinstance(prediction, str):
        return ErrorCause.OTHER
    right, found = squash(gold), squash(normalize_string(prediction))
    if right and (right in (found, squash(prediction)) or lowest_rung(gold, prediction) is not None):
        return ErrorCause.SPELLING
    if found and found in right:
        return ErrorCause.CUT_SHORT
    if right and right in squash(prediction):
        return ErrorCause.TOO_LONG
    if _overlap(difference.gold_span, difference.span):
        return ErrorCause.SPELLING if difference.gold_span == difference.span else ErrorCause.SHIFTED
    if _nearly(right, found):
        return ErrorCause.ALTERED
    return ErrorCause.MADE_UP if difference.ungrounded else ErrorCause.OTHER


def _nearly(one: str, other: str) -> bool:
    """True if two strings begin and end alike, with only a few characters between that differ."""
    head = common_start(one, other)
    alike = head + common_start(one[head:][::-1], other[head:][::-1])
    longest = max(len(one), len(other))
    return 2 * alike >= longest and longest - alike <= max(FEW, longest // 5)


def common_start(one: str, other: str) -> int:
    """The number of characters that two strings begin with alike."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _overlap(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    return one is not None and other is not None and one[0] < other[1] and other[0] < one[1]
