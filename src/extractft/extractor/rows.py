"""The rows of a run: loaded, split and looked over before a model is trained on them.

Knows examples, prompts and grammars by their interfaces; knows no model and no training.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from extractft.config import TrainingConfig
from extractft.constraints import GrammarCompiler, accepts
from extractft.data import CheckReport, Example, check_examples, load_numbered_examples, split_examples
from extractft.errors import DatasetError
from extractft.grounding import absence_examples
from extractft.prompt import ChatRenderer
from extractft.schema import Schema

__all__ = ["Rows"]

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """Training and held-out rows, with the numbers that they have in the user's data.

    Attributes:
        train: Rows to train on.
        held_out: Rows to choose the best checkpoint on; there may be none.
        train_numbers: For each training row its number in the data: a file's own, see `LoadedExamples`.
        held_out_numbers: The same for the held-out rows, in the data that they come from.
    """

    train: Sequence[Example[T]]
    held_out: Sequence[Example[T]]
    train_numbers: Sequence[int]
    held_out_numbers: Sequence[int]

    @classmethod
    def load(
        cls, data: Any, eval_data: Any, schema: Schema[T], columns: Mapping[str, str] | None, config: TrainingConfig
    ) -> Rows[T]:
        """Load the data; without `eval_data` hold out a share of it.

        Raises:
            DatasetError: Rows are bad; all of them are in `.issues`.
        """
        loaded = load_numbered_examples(data, schema, columns=columns)
        rows, numbers = loaded.examples, loaded.numbers
        if eval_data is not None:
            other = load_numbered_examples(eval_data, schema, columns=columns)
            return cls(rows, other.examples, numbers, other.numbers)
        train, held_out = split_examples(rows, fraction=config.eval_fraction, seed=config.seed)
        if config.eval_fraction and not held_out:
            logger.warning("nothing could be held out: all texts are the same. The last weights are kept, unscored.")
        return cls(train, held_out, _numbers(train, rows, numbers), _numbers(held_out, rows, numbers))

    def with_absences(self, schema: Schema[T], config: TrainingConfig) -> Rows[T]:
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
        return Rows(
            [*self.train, *(example for _, example in made)],
            self.held_out,
            [*self.train_numbers, *(self.train_numbers[index] for index, _ in made)],
            self.held_out_numbers,
        )

    def check(
        self, schema: Schema[T], chat: ChatRenderer, compiler: GrammarCompiler, config: TrainingConfig
    ) -> CheckReport:
        """Refuse rows that cannot be learned, and log what else is suspicious. Neither quotes the data.

        Raises:
            DatasetError: Rows are too long or refused by the grammar; all of them are in `.issues`.
        """

        def token_count(example: Example[T]) -> int:
            answer = chat.completion_ids(schema.canonical_json(example.output))
            return len(chat.prompt_ids(example.text)) + len(answer)

        grammar = compiler.compile(schema)
        report = check_examples(
            self.train,
            schema,
            eval_examples=self.held_out,
            token_count=token_count,
            max_length=config.max_length,
            overlong=config.overlong,
            accepts=lambda json_text: accepts(grammar, chat.completion_ids(json_text)),
        )
        for kind, rows in (("train", self.train), ("eval", self.held_out)):
            left_out = sum(found.count for found in report.of_kind("too_long") if found.split == kind)
            if rows and left_out == len(rows) and report.ok:
                what = "training" if kind == "train" else "held-out"
                raise DatasetError(
                    f"expected {what} rows of at most max_length={config.max_length} tokens, found {len(rows)}, "
                    "all longer"
                ).hint("Raise max_length, or shorten the texts.")
        report = report.renumbered(self.train_numbers, self.held_out_numbers)
        if not report.ok:
            raise DatasetError("The training data has rows that cannot be learned.", issues=report.issues())
        for finding in report.warnings:
            logger.warning("%s", finding)
        return report


def _numbers(part: Sequence[Example[T]], whole: Sequence[Example[T]], numbers: Sequence[int]) -> list[int]:
    """The numbers of the rows of a part of the whole; they stand in the same order."""
    numbered = iter(zip(numbers, whole, strict=True))
    return [next(number for number, row in numbered if row is example) for example in part]
