"""The rows of a run: loaded, split and looked over before a model is trained on them.

Knows examples, prompts and grammars by their interfaces; knows no model and no training.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from extractft.config import TrainingConfig
from extractft.constraints import GrammarCompiler, accepts
from extractft.data import (
    CheckReport,
    Example,
    HeldOutRule,
    check_examples,
    load_numbered_examples,
    split_examples,
)
from extractft.errors import DatasetError, RowIssue
from extractft.extractor.long_rows import ROW_NUMBERS, in_pieces
from extractft.grounding import Window, absence_examples
from extractft.schema import Schema
from extractft.training.training_rows import RowEncoder

__all__ = ["DataSplit"]

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False, slots=True)
class DataSplit(Generic[T]):
    """Training and held-out rows, with the numbers that they have in the user's data.

    Attributes:
        train: Rows to train on.
        held_out: Rows to choose the best checkpoint on; there may be none.
        train_numbers: For each training row its number in the data: a file's own, see `LoadedExamples`.
        held_out_numbers: The same for the held-out rows, in the data that they come from.
        scored: The held-out rows as they are extracted: long ones whole, where `held_out` has their pieces.
        rule: The rule that they are held out by; `None` if there are none.
    """

    train: Sequence[Example[T]]
    held_out: Sequence[Example[T]]
    train_numbers: Sequence[int]
    held_out_numbers: Sequence[int]
    scored: Sequence[Example[T]]
    rule: HeldOutRule | None = None

    def __repr__(self) -> str:
        return f"DataSplit({len(self.train)} rows to train on, {len(self.held_out)} held out)"

    @classmethod
    def load(
        cls,
        data: Any,
        eval_data: Any,
        schema: Schema[T],
        columns: Mapping[str, str] | None,
        config: TrainingConfig,
        rule: HeldOutRule | None = None,
    ) -> DataSplit[T]:
        """Load the data; without `eval_data` hold out what `rule` says, or else a share of it.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
        """
        loaded = load_numbered_examples(data, schema, columns=columns)
        rows, numbers = loaded.examples, loaded.numbers
        if eval_data is not None:
            other = load_numbered_examples(eval_data, schema, columns=columns)
            own = HeldOutRule.of_own(other.examples)
            return cls(rows, other.examples, numbers, other.numbers, other.examples, own)
        train, held_out, rule = _split(rows, config, rule)
        if config.eval_fraction and not held_out:
            logger.warning("nothing could be held out: all texts are the same. The last weights are kept, unscored.")
        places = _numbers(train, rows, numbers), _numbers(held_out, rows, numbers)
        return cls(train, held_out, *places, held_out, rule)

    def in_pieces(
        self, schema: Schema[T], windows_of: Callable[[str], Sequence[Window]], overlong: Literal["error", "skip"]
    ) -> DataSplit[T]:
        """The rows with long ones split into the windows that they are extracted in.

        Raises:
            DatasetError: Rows cannot be split without losing a value; all of them are in `.issues`.
        """
        train = in_pieces(self.train, self.train_numbers, schema, windows_of, overlong=overlong)
        held_out = in_pieces(self.held_out, self.held_out_numbers, schema, windows_of, overlong="skip")
        return DataSplit(train.examples, held_out.examples, train.numbers, held_out.numbers, self.held_out, self.rule)

    def with_absences(self, schema: Schema[T], config: TrainingConfig) -> DataSplit[T]:
        """The rows with examples of absence among those to train on, if the config asks for them."""
        wanted = round(config.absence_examples * len(self.train))
        if not wanted:
            return self
        made = absence_examples(self.train, schema, count=wanted, seed=config.seed)
        if len(made) < wanted:
            logger.warning(
                "made %d of %d examples of absence: no other row has an optional field whose place is certain",
                len(made),
                wanted,
            )
        return replace(
            self,
            train=[*self.train, *(example for _, example in made)],
            train_numbers=[*self.train_numbers, *(self.train_numbers[index] for index, _ in made)],
        )

    def check(self, encoder: RowEncoder[T], compiler: GrammarCompiler, config: TrainingConfig) -> CheckReport:
        """Refuse rows that cannot be learned, and log what else is suspicious. Neither quotes the data.

        Raises:
            DatasetError: Rows are too long or refused by the grammar; all of them are in `.issues`.
        """
        lengths: dict[int, int] = {}

        def token_count(example: Example[T]) -> int:
            lengths[id(example)] = encoder.length(example)
            return lengths[id(example)]

        grammar = compiler.compile(encoder.schema)
        report = check_examples(
            self.train,
            encoder.schema,
            eval_examples=self.held_out,
            token_count=token_count,
            max_length=config.max_length,
            overlong=config.overlong,
            accepts=lambda json_text: accepts(grammar, encoder.completion_ids(json_text)),
            train_sources=self.train_numbers,
            eval_sources=self.held_out_numbers,
        )
        self._require_short_rows(report, config.max_length)
        too_long = self._too_long(report, lengths, config.max_length)
        report = report.renumbered(self.train_numbers, self.held_out_numbers)
        if not report.ok:
            issues = [*too_long, *(issue for issue in report.issues() if issue.kind != "too_long")]
            error = DatasetError("The training data has rows that cannot be learned.", issues=issues)
            if too_long:
                error.hint(_about_lengths(lengths, config))
            raise error.hint(ROW_NUMBERS)
        for finding in report.warnings:
            logger.warning("%s", finding)
        return report

    def _require_short_rows(self, report: CheckReport, most: int) -> None:
        """Refuse rows that are all too long, where too long ones would be left out."""
        for kind, rows in (("train", self.train), ("eval", self.held_out)):
            left_out = sum(found.count for found in report.of_kind("too_long") if found.split == kind)
            if rows and left_out == len(rows) and report.ok:
                what = "training" if kind == "train" else "held-out"
                raise DatasetError(
                    f"expected {what} rows of at most max_length={most} tokens, found {len(rows)}, all longer"
                ).hint("Raise max_length, or shorten the texts.")

    def _too_long(self, report: CheckReport, lengths: Mapping[int, int], most: int) -> list[RowIssue]:
        """An issue for each row that is too long, with its length."""
        issues: list[RowIssue] = []
        for finding in report.of_kind("too_long"):
            if finding.severity != "error":
                continue
            held_out = finding.split == "eval"
            rows, numbers = (self.held_out, self.held_out_numbers) if held_out else (self.train, self.train_numbers)
            for row in finding.rows:
                message = f"more than max_length={most} tokens: {lengths[id(rows[row - 1])]}"
                message += " (held out)" if held_out else ""
                issues.append(RowIssue(numbers[row - 1], finding.kind, message))
        return issues


def _split(
    rows: Sequence[Example[T]], config: TrainingConfig, rule: HeldOutRule | None
) -> tuple[Sequence[Example[T]], Sequence[Example[T]], HeldOutRule | None]:
    """Training rows, held-out rows and the rule that says which is which."""
    if not config.eval_fraction:
        return rows, [], None
    if rule is not None and rule.ranges:
        train, held_out = rule.split(rows)
        if train and held_out:
            return train, held_out, HeldOutRule.of_own(held_out)._replace(ranges=rule.ranges)
    train, held_out = split_examples(rows, fraction=config.eval_fraction, seed=config.seed)
    made = HeldOutRule.of_split(train, held_out, config.seed)
    if rule is not None:
        logger.warning("none of the rows that the extractor was scored on is in the data: others are held out.")
        made = made.joined(rule)
    return train, held_out, made


def _about_lengths(lengths: Mapping[int, int], config: TrainingConfig) -> str:
    """Advice about rows that are too long."""
    longest = f"Raise max_length (the longest row has {max(lengths.values())} tokens), set overlong='skip'"
    if config.generation.split_long_texts:
        return f"{longest}, or lower GenerationConfig.max_text_tokens: long texts are split by it."
    return f"{longest}, or set GenerationConfig.split_long_texts: long rows are then trained on in pieces."


def _numbers(part: Sequence[Example[T]], whole: Sequence[Example[T]], numbers: Sequence[int]) -> list[int]:
    """The numbers of the rows of a part of the whole; they stand in the same order."""
    numbered = iter(zip(numbers, whole, strict=True))
    return [next(number for number, row in numbered if row is example) for example in part]
