"""Confidence of each value, from the log-probabilities of the tokens that spell it.

A value is as probable as the tokens between its ends, and as the choice to write it at all. A field that is not there
is as probable as its key is improbable where it would have stood. Tokens that the grammar forced say nothing. Knows
canonical JSON and completions; knows no model and no text.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from extractft.completion import Completion
from extractft.confidence.json_layout import CLOSERS, Gap, Turn, layout_of
from extractft.schema import Schema

__all__ = ["Confidence", "raw_confidence"]


@dataclass(frozen=True, slots=True)
class Confidence:
    """Confidence in a record and its fields, as probabilities.

    Attributes:
        record: That the whole record is right.
        fields: The same by path, `"lines.0.total"`: for each value that is there, for each list and map (that it has
            the right number of items), and for each field that was left out (that it is rightly absent).
        calibrated: Whether the numbers were held against rows that the model was not trained on. Without that they
            are the model's own, which is too sure of itself.

    Example:
        ```python
        sure = extractor.inspect(text).confidence
        doubtful = sure.record < 0.8 or sure.values["email"] < 0.5
        ```
    """

    record: float
    fields: Mapping[str, float]
    calibrated: bool = False

    def mapped(self, values: Callable[[float], float], records: Callable[[float], float]) -> Confidence:
        """The same with every number put through a calibration curve."""
        fields = {path: values(number) for path, number in self.fields.items()}
        return replace(self, record=records(self.record), fields=fields, calibrated=True)


def raw_confidence(schema: Schema[Any], completion: Completion, spelling: Callable[[int], bytes]) -> Confidence:
    """The model's own confidence in a complete record.

    Args:
        schema: The schema of the record.
        completion: The tokens that spell it, with alternatives.
        spelling: The bytes that a token spells.
    """
    decisions = _Decisions(completion, spelling)
    layout = layout_of(decisions.line, schema)
    fields = {path: decisions.spelled(start, end) for path, (start, end) in layout.values.items()}
    for path, turns in layout.turns.items():
        fields[path] = math.prod(decisions.turned(turn) for turn in turns)
    ordered = sorted(fields)
    for gap in layout.gaps:
        for path, chance in decisions.presence(gap).items():
            beneath = _beneath(path, ordered)
            for known in beneath:
                fields[known] *= chance
            if not beneath:
                fields[path] = chance
    total = sum(step.constrained_logprob for step in completion.steps)
    return Confidence(record=min(1.0, math.exp(total)), fields={path: min(1.0, p) for path, p in fields.items()})


def _beneath(path: str, ordered: Sequence[str]) -> list[str]:
    """The paths of a value that is there and of all that is in it."""
    at = bisect_left(ordered, path)
    own = [path] if ordered[at : at + 1] == [path] else []
    first, after = bisect_left(ordered, f"{path}."), bisect_left(ordered, f"{path}/")  # the slash follows the point
    return [*own, *ordered[first:after]]


@dataclass(frozen=True, slots=True)
class _Step:
    """A token where there was a choice: where it stands, and what could have been spelled there with what chance."""

    start: int
    end: int
    options: tuple[tuple[str, float], ...]


class _Decisions:
    """The choices of a completion.

    Attributes:
        line: What it spells: its bytes, each as one character.
    """

    def __init__(self, completion: Completion, spelling: Callable[[int], bytes]) -> None:
        pieces: list[str] = []
        self._steps: list[_Step] = []
        start = 0
        for step in completion.steps:
            piece = spelling(step.token_id).decode("latin-1")
            if step.alternatives:
                others = [(spelling(i).decode("latin-1"), p) for i, p in step.alternatives if i != step.token_id]
                options = tuple((text, math.exp(p)) for text, p in [(piece, step.constrained_logprob), *others])
                self._steps.append(_Step(start, start + len(piece), options))
            pieces.append(piece)
            start += len(piece)
        self.line = "".join(pieces)
        self._starts = [step.start for step in self._steps]

    def _between(self, start: int, end: int) -> Iterator[_Step]:
        """The steps that spell something between `start` and `end`."""
        for step in self._steps[max(0, bisect_right(self._starts, start) - 1) :]:
            if step.start >= end:
                return
            if step.end > start:
                yield step

    def _agrees(self, step: _Step, option: str, end: int) -> bool:
        """True if an option spells what the record has, as far as both reach up to `end`."""
        reach = min(step.start + len(option), end)
        return self.line[step.start : reach] == option[: max(0, reach - step.start)]

    def spelled(self, start: int, end: int) -> float:
        """Probability of the value between two ends, given that one is written there."""
        quoted = self.line[start] == '"'
        chance = 1.0
        # a number ends where something else begins: the token behind it decides that
        for step in self._between(start, end if quoted else end + 1):
            some = right = 0.0
            for option, probability in step.options:
                if not self._agrees(step, option, start):
                    continue
                some += probability
                behind = end - step.start
                ended = quoted or behind >= len(option) or option[behind] in CLOSERS
                if ended and self._agrees(step, option, end):
                    right += probability
            # options that are too improbable to be reported are among those that go another way
            some = 1.0 if step.start >= start else some
            chance *= right / some if some else 1.0
        return chance

    def turned(self, turn: Turn) -> float:
        """Probability that a list went on, or ended, as it did."""
        chance = 1.0
        for step in self._between(turn.at, turn.at + 1):
            offset = turn.at - step.start
            closing = some = 0.0
            for option, probability in step.options:
                if len(option) > offset and self._agrees(step, option, turn.at):
                    some += probability
                    closing += probability if option[offset] in "]}" else 0.0
            some = 1.0 if step.start >= turn.at else some
            if some:
                chance *= (closing if turn.closed else some - closing) / some
        return chance

    def presence(self, gap: Gap) -> dict[str, float]:
        """Of the fields that were passed over: that they are absent. Of the one that was written: that it is there."""
        chances = [0.0] * len(gap.continuations)
        reached = 1.0
        _, written = gap.continuations[gap.chosen]
        for step in self._between(gap.start, gap.start + len(written)):
            stayed = 0.0
            for option, probability in step.options:
                spelled = self._behind(step, option, gap.start)
                if not spelled:
                    continue
                if _compatible(spelled, written):
                    stayed += probability
                    continue
                meant = [i for i, (_, text) in enumerate(gap.continuations) if _compatible(spelled, text)]
                for index in meant:
                    chances[index] += reached * probability / len(meant)
            reached *= stayed or 1.0
        passed = {
            path: 1.0 - chance for (path, _), chance in zip(gap.continuations, chances[: gap.chosen], strict=False)
        }
        passed[gap.continuations[gap.chosen][0]] = 1.0 - sum(chances[gap.chosen + 1 :])
        return {path: max(0.0, chance) for path, chance in passed.items() if path is not None}

    def _behind(self, step: _Step, option: str, at: int) -> str:
        """Text of the record from `at` on; empty if the option does not get there, or not in the same way."""
        if step.start >= at:
            return self.line[at : step.start] + option
        return option[at - step.start :] if self._agrees(step, option, at) else ""


def _compatible(spelled: str, text: str) -> bool:
    return text.startswith(spelled) or spelled.startswith(text)
