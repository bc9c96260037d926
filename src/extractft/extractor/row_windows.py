"""Windows for the long rows of a run: as large as `max_length` lets them be, and the same in training and extraction.

Knows lengths in tokens and decoding settings; knows no model and no records.
"""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from extractft.config import GenerationConfig, TrainingConfig
from extractft.errors import ConfigError, PromptError
from extractft.extractor.data_split import DataSplit
from extractft.extractor.pipeline import Pipeline
from extractft.grounding import Window
from extractft.training.training_rows import RowEncoder

__all__ = ["split_long_rows"]

T = TypeVar("T")
LEAST = 16
"""Tokens of text below which a window is no window."""
FIRST_TRY = 0.9
SHRINK = 0.75


def split_long_rows(
    rows: DataSplit[T], runner: Pipeline[T], config: TrainingConfig, encoder: RowEncoder[T]
) -> tuple[DataSplit[T], GenerationConfig]:
    """Split the rows that are extracted in several windows, if the settings say that long texts are split.

    Where they leave `max_text_tokens` open and a row is over `max_length`, it is set to what lets every piece fit; the
    budget for answers is raised to what training will raise it to.

    Args:
        rows: The rows of the run.
        runner: Says which windows a text has.
        config: `max_length` and `overlong`.
        encoder: Knows the ids of the rows.

    Returns:
        The rows, and the decoding settings that belong with a model trained on them.

    Raises:
        ConfigError: There is no room for a text beside the prompt and its record.
        DatasetError: Rows cannot be split without losing a value.
    """
    if not runner.generation.split_long_texts:
        return rows, runner.generation
    share = _longest_share(rows, config, encoder) if runner.generation.max_text_tokens is None else None
    if share is not None:
        around = len(runner.chat.prompt_ids(""))
        runner = _with_limit(runner, int(FIRST_TRY * (config.max_length - around) / (1 + share)))
    while True:
        limit = runner.text_limit
        if limit < LEAST:
            raise ConfigError(
                f"expected room for texts of at least {LEAST} tokens beside the prompt and the record, found {limit}"
            ).hint("Raise max_length, or take a base model with a longer window.")
        pieces = rows.in_pieces(runner.schema, partial(_windows, runner, encoder), config.overlong)
        lengths = [encoder.length(example) for example in pieces.train]
        if share is not None and max(lengths, default=0) > config.max_length:
            runner = _with_limit(runner, int(limit * SHRINK))
            continue
        answers = (encoder.answer_length(example) for example in pieces.train)
        least = max(runner.generation.min_budget, 2 * max(answers, default=0))
        runner = runner.with_generation(runner.generation.replace(min_budget=least))
        if runner.text_limit == limit:
            return pieces, runner.generation


def _windows(runner: Pipeline[T], encoder: RowEncoder[T], text: str) -> list[Window]:
    try:
        encoded = encoder.text(text)
    except PromptError:
        encoded = None  # the check of the rows says what is wrong
    return runner.windows(text, encoded)


def _longest_share(rows: DataSplit[T], config: TrainingConfig, encoder: RowEncoder[T]) -> float | None:
    """Most tokens of an answer for each of its text, among the rows over `max_length`; `None` if there are none."""
    over = (example for example in rows.train if encoder.length(example) > config.max_length)
    shares = [encoder.answer_length(example) / max(1, len(encoder.text(example.text).ids)) for example in over]
    return max(shares, default=None)


def _with_limit(runner: Pipeline[T], limit: int) -> Pipeline[T]:
    """The same with another longest text of a window."""
    if limit < LEAST:
        raise ConfigError(f"expected a max_length with room for {LEAST} tokens of text, found room for {limit}").hint(
            "Raise max_length: the prompt and the records take up the rest."
        )
    return runner.with_generation(runner.generation.replace(max_text_tokens=limit))
