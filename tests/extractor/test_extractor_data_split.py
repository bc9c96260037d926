"""The rows of a run: which are added, and the numbers they go by."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Schema, TrainingConfig
from extractft.extractor.data_split import DataSplit


class Visit(BaseModel):
    name: str
    city: str | None = None


DATA = [(f"Guest{i} from Town{i}", {"name": f"Guest{i}", "city": f"Town{i}"}) for i in range(10)]
SCHEMA: Schema[Visit] = Schema.of(Visit)


def load(**settings: Any) -> tuple[DataSplit[Visit], DataSplit[Visit]]:
    config = TrainingConfig(**settings)
    rows = DataSplit.load(DATA, None, SCHEMA, None, config)
    return rows, rows.with_absences(SCHEMA, config)


def test_nothing_is_added_unless_asked_for() -> None:
    rows, same = load()
    assert same is rows


def test_examples_of_absence_are_trained_on_and_not_held_out() -> None:
    rows, more = load(absence_examples=0.5, eval_fraction=0.2)
    assert more.train[:8] == rows.train
    assert more.held_out == rows.held_out
    added = more.train[8:]
    assert len(added) == 4
    for example, number in zip(added, list(more.train_numbers)[8:], strict=True):
        assert example.output.city is None
        assert example.text == f"{example.output.name} from"
        assert DATA[number - 1][0].startswith(example.text)


def test_it_is_said_when_there_is_nothing_to_cut(caplog: pytest.LogCaptureFixture) -> None:
    rows = DataSplit.load([("Kim", {"name": "Kim"})] * 4, [("Li", {"name": "Li"})], SCHEMA, None, TrainingConfig())
    with caplog.at_level(logging.WARNING):
        assert rows.with_absences(SCHEMA, TrainingConfig(absence_examples=1.0)).train == rows.train
    assert "0 of 4 examples of absence" in caplog.text
