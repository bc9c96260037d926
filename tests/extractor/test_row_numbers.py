"""Errors name the rows of a list by numbers that say what they count from, wherever a row turns out to be bad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, LoRAConfig, TrainingConfig
from extractft.data import load_examples
from extractft.errors import DatasetError
from extractft.testing import scripted_extractor


class Order(BaseModel):
    item: str


CONFIG = TrainingConfig(num_train_epochs=1, per_device_train_batch_size=4, lora=LoRAConfig(r=2), max_length=400)
BAD = {2, 7, 11}
"""Places in the list, as Python counts them."""


def rows(bad: Any) -> list[Any]:
    return [(f"tea {place}", {"item": "tea"}) if place not in BAD else bad(place) for place in range(14)]


def said(error: DatasetError) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def test_rows_that_cannot_be_read() -> None:
    for data in (rows(lambda _: ("x", {"item": 5})), iter(rows(lambda _: (" ", {"item": "x"})))):
        with pytest.raises(DatasetError) as caught:
            load_examples(data, Order)
        assert {issue.row - 1 for issue in caught.value.issues} == BAD
        assert "3 of 14 rows cannot be used (the first row is 1)" in str(caught.value)


def test_rows_of_a_table_go_by_their_place_and_not_by_its_index() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"text": ["a", " ", "c"], "item": ["a", "b", "c"]}, index=[10, 20, 30])
    with pytest.raises(DatasetError, match="the first row is 1") as caught:
        load_examples(table, Order)
    assert [issue.row for issue in caught.value.issues] == [2]


def test_a_file_has_its_own_numbers(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,item\na,a\n ,b\n")
    with pytest.raises(DatasetError) as caught:
        load_examples(file, Order)
    assert [issue.row for issue in caught.value.issues] == [3]
    assert "the first row" not in said(caught.value)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("fraction", [0.0, 0.3])
def test_rows_that_are_too_long(tiny_base: Path, split: bool, fraction: float) -> None:
    length = 3000
    data = rows(lambda place: ("x" * length + str(place), {"item": "nowhere"}))
    generation = GenerationConfig(split_long_texts=split, max_text_tokens=60, overlap_tokens=8)
    config = CONFIG.replace(eval_fraction=fraction, generation=generation)
    with pytest.raises(DatasetError) as caught:
        Extractor.fit(Order, data, base_model=str(tiny_base), config=config)
    found = {issue.row - 1 for issue in caught.value.issues}
    assert found <= BAD
    assert found == BAD or (split and fraction), "held-out rows that cannot be split are scored whole"
    assert "counted from 1" in said(caught.value)


def test_rows_that_are_left_out(tiny_base: Path) -> None:
    data = rows(lambda place: ("x" * 3000 + str(place), {"item": "x"}))
    config = CONFIG.replace(overlong="skip", eval_fraction=0.3)
    result = Extractor.fit(Order, data, base_model=str(tiny_base), config=config).training_result
    assert result is not None
    assert {number - 1 for number in result.skipped} <= BAD
    assert result.skipped


def test_records_of_an_evaluation() -> None:
    double = scripted_extractor(
        Order, {f"tea {place}": Order(item="t" if place in BAD else "tea") for place in range(14)}
    )
    report = double.evaluate(rows(lambda place: (f"tea {place}", {"item": "tea"})), keep_records=True)
    assert {difference.row - 1 for difference in report.errors or ()} == BAD
