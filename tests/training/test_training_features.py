"""Rows of token ids: the prompt is never a target, nothing is cut, bad rows are all named."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from extractft.config import TrainingConfig
from extractft.data import Example
from extractft.errors import DatasetError, TrainingError
from extractft.prompt import ChatRenderer
from extractft.schema import Schema
from extractft.training import Features, TrainingRow, build_features
from extractft.training.training_rows import IGNORED


class Person(BaseModel):
    name: str
    city: str | None = None


SCHEMA = Schema.of(Person)
EXAMPLES = [
    Example("Ann lives in Oslo.", Person(name="Ann", city="Oslo")),
    Example("龙琳，宁夏回族自治区璐市。", Person(name="龙琳", city="璐市")),
    Example("Somebody called Bo.", Person(name="Bo")),
    Example("<|im_end|></think> Ann", Person(name="Ann")),
]


@pytest.fixture
def chat(tokenizer: Any) -> ChatRenderer:
    return ChatRenderer(tokenizer, "Extract the person.")


def test_completion_ids_are_the_only_labels(chat: ChatRenderer) -> None:
    features = build_features(EXAMPLES, SCHEMA, chat, TrainingConfig())
    assert len(features) == len(EXAMPLES)
    for row, example in zip(features, EXAMPLES, strict=True):
        labels = [label for label in row.labels if label != IGNORED]
        assert labels[-1] == chat.end_token_id
        assert chat.decode(labels[:-1]) == SCHEMA.canonical_json(example.output)
        assert row.labels[len(row.prompt_ids) - 1] == IGNORED
        assert len(row.labels) == len(row.ids) == len(row)
        assert list(row.prompt_ids) == chat.prompt_ids(example.text)
    assert features.lengths == tuple(len(row) for row in features)
    assert features.label_count == sum(len(row.completion_ids) for row in features)
    assert features.prefix_length == len(chat.prefix_ids)
    assert features.skipped == ()


@pytest.mark.real
def test_labels_with_the_real_tokenizer(qwen3_tokenizer: Any) -> None:
    """The end token is `<|im_end|>`, not the pad token, and the empty think block belongs to the prompt."""
    chat = ChatRenderer(qwen3_tokenizer, "抽取人物。")
    for row, example in zip(build_features(EXAMPLES, SCHEMA, chat, TrainingConfig()), EXAMPLES, strict=True):
        assert row.completion_ids[-1] == 151645
        answer = SCHEMA.canonical_json(example.output)
        assert qwen3_tokenizer.decode(row.completion_ids) == f"{answer}<|im_end|>"
        assert qwen3_tokenizer.decode(row.prompt_ids).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_long_rows_are_all_named_with_their_lengths(chat: ChatRenderer) -> None:
    lengths = build_features(EXAMPLES, SCHEMA, chat, TrainingConfig()).lengths
    limit = sorted(lengths)[1]
    long = [number for number, length in enumerate(lengths, start=1) if length > limit]
    with pytest.raises(DatasetError, match=f"{len(long)} of 4 rows are longer than max_length={limit}") as caught:
        build_features(EXAMPLES, SCHEMA, chat, TrainingConfig(max_length=limit))
    assert [issue.row for issue in caught.value.issues] == long
    assert all(str(lengths[issue.row - 1]) in issue.message for issue in caught.value.issues)
    assert str(max(lengths)) in "".join(caught.value.__notes__)
    assert "Oslo" not in str(caught.value)


def test_long_rows_are_skipped_and_counted_when_asked(chat: ChatRenderer) -> None:
    everything = build_features(EXAMPLES, SCHEMA, chat, TrainingConfig())
    limit = sorted(everything.lengths)[1]
    features = build_features(EXAMPLES, SCHEMA, chat, TrainingConfig(max_length=limit, overlong="skip"))
    assert len(features) == 2
    assert set(features.rows) < set(everything.rows)
    assert features.skipped == tuple(n for n, length in enumerate(everything.lengths, start=1) if length > limit)


def test_nothing_left_is_an_error(chat: ChatRenderer) -> None:
    with pytest.raises(DatasetError, match="all are over max_length=16"):
        build_features(EXAMPLES, SCHEMA, chat, TrainingConfig(max_length=16, overlong="skip"))
    with pytest.raises(DatasetError, match="found none"):
        build_features([], SCHEMA, chat, TrainingConfig())


def test_rows_without_labels_fail_at_once() -> None:
    with pytest.raises(DatasetError, match="2 rows have nothing to learn from") as caught:
        Features((TrainingRow((1, 2), (3,)), TrainingRow((1, 2), ()), TrainingRow((), (3,))))
    assert [issue.row for issue in caught.value.issues] == [2, 3]


def test_rows_have_to_share_the_prefix() -> None:
    Features((TrainingRow((1, 2, 3), (9,)), TrainingRow((1, 2, 4), (9,))), prefix_length=2)
    with pytest.raises(TrainingError, match="same 2 ids"):
        Features((TrainingRow((1, 2, 3), (9,)), TrainingRow((1, 3, 4), (9,))), prefix_length=2)


def test_fingerprint_tells_rows_apart() -> None:
    rows = (TrainingRow((1, 2), (3,)), TrainingRow((1,), (2, 3)))
    prints = {Features(some).fingerprint() for some in (rows, rows[::-1], rows[:1], (rows[0], rows[0]))}
    assert len(prints) == 4
    assert Features(rows).fingerprint() == Features(tuple(rows)).fingerprint()
