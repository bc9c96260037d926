"""From examples to token ids with labels: what the trainer eats.

The answer's ids (end token included) are the labels, decided by length; the prompt is never a target. Rows are never
cut: one that is too long is an error or a counted skip. Knows token ids and lengths, not models.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from extractft.config import TrainingConfig
from extractft.data import Example
from extractft.errors import DatasetError, RowIssue, TrainingError
from extractft.prompt import ChatRenderer, EncodedText
from extractft.schema import Schema

__all__ = [
    "IGNORED",
    "Features",
    "RowEncoder",
    "TrainingRow",
    "build_features",
    "partition_by_tokens",
    "shared_prefix_length",
]

IGNORED = -100
"""The label of positions that are no target, as PyTorch's cross-entropy has it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training row.

    Attributes:
        prompt_ids: Everything the model is given, up to the first token of the answer.
        completion_ids: The answer, its end token included: the only labels.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and completion together, what `max_length` counts."""
        return self.prompt_ids + self.completion_ids

    @property
    def labels(self) -> tuple[int, ...]:
        """One label a token: `IGNORED` over the prompt, the ids of the completion."""
        return (IGNORED,) * len(self.prompt_ids) + self.completion_ids

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True, slots=True)
class Features:
    """Rows ready for training.

    Attributes:
        rows: The rows, in the order of the examples.
        prefix_length: Tokens at the start that all rows have in common (the system prompt).
        skipped: Numbers of the rows that were left out because they were longer than `max_length`: those of the
            user's data where they are known, else the first is 1.
    """

    rows: tuple[TrainingRow, ...]
    prefix_length: int = 0
    skipped: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows that cannot be learned from or do not share the prefix.

        Raises:
            DatasetError: Rows without a prompt or a label, all of them listed.
            TrainingError: Rows do not start with the same `prefix_length` ids.
        """
        empty = [
            RowIssue(number, "no_label", "expected at least one prompt id and one completion id, found none")
            for number, row in enumerate(self.rows, start=1)
            if not (row.prompt_ids and row.completion_ids)
        ]
        if empty:
            raise DatasetError(f"{len(empty)} rows have nothing to learn from", issues=empty)
        if len({row.prompt_ids[: self.prefix_length] for row in self.rows}) > 1:
            raise TrainingError(f"expected all rows to start with the same {self.prefix_length} ids, found others")

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each row, prompt and completion together."""
        return tuple(len(row) for row in self.rows)

    @property
    def label_count(self) -> int:
        """Tokens that are targets, over all rows."""
        return sum(len(row.completion_ids) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[TrainingRow]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> TrainingRow:
        return self.rows[index]

    def fingerprint(self) -> str:
        """SHA-256 of all ids in their order: the same rows give the same hex digits."""
        digest = hashlib.sha256()
        for row in self.rows:
            for ids in (row.prompt_ids, row.completion_ids):
                digest.update(len(ids).to_bytes(8, "little"))
                digest.update(array("q", ids).tobytes())
        return digest.hexdigest()


class RowEncoder(Generic[T]):
    """Token ids of the rows of a run: each text and each answer is tokenized once, whoever asks for it.

    Args:
        schema: Writes the records as canonical JSON.
        chat: Renders prompts and answers; the same object as inference uses.
    """

    def __init__(self, schema: Schema[T], chat: ChatRenderer) -> None:
        self.schema = schema
        self.chat = chat
        self._texts: dict[str, EncodedText] = {}
        self._answers: dict[str, tuple[int, ...]] = {}

    def text(self, text: str) -> EncodedText:
        """A row's text, encoded."""
        found = self._texts.get(text)
        if found is None:
            found = self._texts[text] = self.chat.encode(text)
        return found

    def completion_ids(self, json_text: str) -> tuple[int, ...]:
        """Token ids of an answer, the end token included."""
        found = self._answers.get(json_text)
        if found is None:
            found = self._answers[json_text] = tuple(self.chat.completion_ids(json_text))
        return found

    def row(self, example: Example[T]) -> TrainingRow:
        """The row of an example."""
        answer = self.completion_ids(self.schema.canonical_json(example.output))
        return TrainingRow(tuple(self.chat.prompt_ids(self.text(example.text))), answer)

    def length(self, example: Example[T]) -> int:
        """Tokens of the row of an example, prompt and answer together."""
        around = len(self.chat.prefix_ids) + len(self.chat.suffix_ids)
        return around + len(self.text(example.text).ids) + self.answer_length(example)

    def answer_length(self, example: Example[T]) -> int:
        """Tokens of the answer of an example."""
        return len(self.completion_ids(self.schema.canonical_json(example.output)))


def build_features(
    examples: Iterable[Example[T]],
    schema: Schema[T],
    chat: ChatRenderer,
    config: TrainingConfig,
    *,
    encoder: RowEncoder[T] | None = None,
    numbers: Sequence[int] | None = None,
) -> Features:
    """Turn examples into rows of token ids.

    Args:
        examples: Texts with their records.
        schema: Writes the records as canonical JSON.
        chat: Renders prompts and answers; the same object as inference uses.
        config: `max_length` and `overlong` decide about long rows.
        encoder: Knows the ids of rows that were asked for before.
        numbers: The numbers of the examples in the user's data; counted from 1 if not given.

    Raises:
        DatasetError: Rows without a label, rows over `max_length` when `overlong` is `"error"`, or no row left.
        TrainingError: The chat renderer does not put its prefix in front of every prompt.
    """
    encoder = encoder or RowEncoder(schema, chat)
    rows = [encoder.row(example) for example in examples]
    too_long = [number for number, row in enumerate(rows, start=1) if len(row) > config.max_length]
    if too_long and config.overlong == "error":
        raise _overlong(rows, too_long, config.max_length, numbers)
    left_out = set(too_long)
    kept = tuple(row for number, row in enumerate(rows, start=1) if number not in left_out)
    if not kept:
        raise DatasetError(
            f"expected rows to train on, found {len(rows)} rows of which all are over max_length={config.max_length}"
            if rows
            else "expected rows to train on, found none"
        )
    prefix = tuple(chat.prefix_ids)
    if any(row.prompt_ids[: len(prefix)] != prefix for row in kept):
        raise TrainingError("expected every prompt to start with the chat's prefix ids, found one that does not")
    skipped = too_long if numbers is None else [numbers[number - 1] for number in too_long]
    return Features(rows=kept, prefix_length=len(prefix), skipped=tuple(skipped))


def shared_prefix_length(rows: Sequence[TrainingRow]) -> int:
    """Tokens that the prompts of these rows have in common at their start.

    Each row keeps at least its last prompt token for itself: the first answer token is predicted there.
    """
    limit = min(len(row.prompt_ids) for row in rows) - 1
    first = rows[0].prompt_ids
    for row in rows[1:]:
        if row.prompt_ids[:limit] != first[:limit]:
            limit = next(i for i in range(limit) if row.prompt_ids[i] != first[i])
    return limit


def partition_by_tokens(
    rows: Sequence[TrainingRow], num_bins: int, *, shared: int = 0, most: int | None = None
) -> list[list[TrainingRow]]:
    """Share rows out so that the bins have about as many tokens each: the longest first, to the one with fewest.

    Args:
        rows: The rows.
        num_bins: Number of bins; one is empty if there are fewer rows.
        shared: Tokens of each row that cost nothing.
        most: Rows in one bin at most; `num_bins * most` have to be enough.
    """
    bins: list[list[TrainingRow]] = [[] for _ in range(num_bins)]
    tokens = [0] * num_bins
    for row in sorted(rows, key=len, reverse=True):
        open_bins = [i for i in range(num_bins) if most is None or len(bins[i]) < most]
        emptiest = min(open_bins, key=tokens.__getitem__)
        bins[emptiest].append(row)
        tokens[emptiest] += len(row) - shared
    return bins


def _overlong(
    rows: Sequence[TrainingRow], too_long: Sequence[int], max_length: int, numbers: Sequence[int] | None
) -> DatasetError:
    """The error that lists every row over the limit with its length and its number in the data."""
    own = range(1, len(rows) + 1) if numbers is None else numbers
    issues = [
        RowIssue(own[place - 1], "overlong", f"expected at most {max_length} tokens, found {len(rows[place - 1])}")
        for place in too_long
    ]
    longest = max(len(rows[place - 1]) for place in too_long)
    error = DatasetError(f"{len(too_long)} of {len(rows)} rows are longer than max_length={max_length}", issues=issues)
    return error.hint(f"Set max_length to {longest} or more, or overlong='skip' to leave these rows out (counted).")
