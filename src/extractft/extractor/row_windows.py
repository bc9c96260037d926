"""Windows for the long rows of a run: as large as `max_length` lets them be, and the same in training and extraction.

Knows lengths in tokens and decoding settings; knows no model and no records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from extractft.config import TrainingConfig
from extractft.data import Example
from extractft.errors import ConfigError
from extractft.extractor.data_split import DataSplit, length_of
from extractft.extractor.pipeline import Pipeline

__all__ = ["split_long_rows"]

T = TypeVar("T")
LEAST = 16
"""Tokens of text below which a window is no window."""
FIRST_TRY = 0.9
SHRINK = 0.75


def split_long_rows(rows: DataSplit[T], runner: Pipeline[T], config: TrainingConfig) -> DataSplit[T]:
    """Split the rows that the runner extracts in several windows, if its settings say that long texts are split.

    Where they leave `max_text_tokens` open and a row is over `max_length`, it is set to what lets every piece fit; the
    budget for answers is raised to what training will raise it to. The runner's settings are then those that belong
    with the trained model.

    Args:
        rows: The rows of the run.
        runner: Says which windows a text has; its settings are replaced.
        config: `max_length` and `overlong`.

    Raises:
        ConfigError: There is no room for a text beside the prompt and its record.
        DatasetError: Rows cannot be split without losing a value.
    """
    if not runner.generation.split_long_texts:
        return rows
    chosen = runner.generation.max_text_tokens is None and _choose_limit(rows, runner, config)
    while True:
        limit = runner.text_limit()
        if limit < LEAST:
            raise ConfigError(
                f"expected room for texts of at least {LEAST} tokens beside the prompt and the record, found {limit}"
            ).hint("Raise max_length, or take a base model with a longer window.")
        pieces = rows.in_pieces(runner.schema, runner.windows, config.overlong)
        lengths = [length_of(example, runner.schema, runner.chat) for example in pieces.train]
        if chosen and max(lengths, default=0) > config.max_length:
            _set_limit(runner, int(limit * SHRINK))
            continue
        answers = (_answer_length(example, runner) for example in pieces.train)
        least = max(runner.generation.min_budget, 2 * max(answers, default=0))
        runner.generation = runner.generation.replace(min_budget=least)
        if runner.text_limit() == limit:
            return pieces


def _choose_limit(rows: DataSplit[T], runner: Pipeline[T], config: TrainingConfig) -> bool:
    """Set the longest text of a window by the rows over `max_length`; False if there are none."""
    around = len(runner.chat.prompt_ids(""))
    shares = [
        _answer_length(example, runner) / max(1, runner.text_tokens(example.text))
        for example in _over(rows.train, runner, config.max_length)
    ]
    if not shares:
        return False
    _set_limit(runner, int(FIRST_TRY * (config.max_length - around) / (1 + max(shares))))
    return True


def _over(examples: Iterable[Example[T]], runner: Pipeline[T], most: int) -> Iterable[Example[T]]:
    return (example for example in examples if length_of(example, runner.schema, runner.chat) > most)


def _answer_length(example: Example[T], runner: Pipeline[T]) -> int:
    return len(runner.chat.completion_ids(runner.schema.canonical_json(example.output)))


def _set_limit(runner: Pipeline[T], limit: int) -> None:
    if limit < LEAST:
        raise ConfigError(f"expected a max_length with room for {LEAST} tokens of text, found room for {limit}").hint(
            "Raise max_length: the prompt and the records take up the rest."
        )
    runner.generation = runner.generation.replace(max_text_tokens=limit)
