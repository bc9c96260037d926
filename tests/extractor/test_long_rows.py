"""Rows longer than the window: split for training as for extraction, or refused by number and length."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, LoRAConfig, Schema, TrainingConfig
from extractft.data import Example
from extractft.errors import ConfigError, DatasetError
from extractft.extractor.data_split import DataSplit
from extractft.extractor.long_rows import in_pieces
from extractft.extractor.row_windows import split_long_rows
from extractft.grounding import split_text
from extractft.training import RowEncoder

SECRET = "SECRETXYZ"
FILLER = "Nothing to see in this line, go on.\n"


class Order(BaseModel):
    number: str | None = None
    codes: list[str] = []


class Strict(BaseModel):
    number: str
    codes: list[str] = []


SCHEMA: Schema[Order] = Schema.of(Order)


def row(index: int, *, codes: int = 6, filler: int = 3) -> Example[Order]:
    found = [f"K-{index}{n}X" for n in range(codes)]
    body = "".join(FILLER * filler + f"code {code}\n" for code in found)
    return Example(f"Order N-{index}77\n{body}", Order(number=f"N-{index}77", codes=found))


def windows(text: str, limit: int = 200) -> Any:
    return split_text(text, size=len, limit=limit, overlap=40)


def config(**changes: Any) -> TrainingConfig:
    generation = GenerationConfig(split_long_texts=True, **changes.pop("generation", {}))
    settings: dict[str, Any] = {
        "num_train_epochs": 1,
        "eval_fraction": 0,
        "lora": LoRAConfig(r=2, lora_dropout=0),
        "max_length": 700,
        "generation": generation,
    }
    return TrainingConfig(**{**settings, **changes})


def test_pieces_have_what_is_in_them_and_the_number_of_their_row() -> None:
    short, long = Example("Order N-1", Order(number="N-1")), row(4)
    made = in_pieces([short, long], [7, 9], SCHEMA, windows, overlong="error")
    assert made.examples[0] is short
    assert list(made.numbers) == [7] + [9] * (len(made.examples) - 1)
    assert len(made.examples) > 4
    for piece in made.examples[1:]:
        assert piece.text in long.text
        assert piece.output.codes == [code for code in long.output.codes if f"code {code}\n" in piece.text]
        assert (piece.output.number is None) == ("N-477" not in piece.text)


@pytest.mark.parametrize("overlong", ["error", "skip"])
def test_values_that_stand_nowhere_are_not_invented(overlong: Any, caplog: pytest.LogCaptureFixture) -> None:
    bad = Example(row(4).text, Order(number=SECRET))
    if overlong == "error":
        with pytest.raises(DatasetError, match="row 9: no window holds the value of number") as caught:
            in_pieces([row(1), bad], [7, 9], SCHEMA, windows, overlong="error")
        assert SECRET not in str(caught.value)
        assert "overlong='skip'" in caught.value.__notes__[0]
        return
    with caplog.at_level(logging.WARNING):
        made = in_pieces([row(1), bad], [7, 9], SCHEMA, windows, overlong="skip")
    assert set(made.numbers) == {7}
    assert "left out 1 long rows" in caplog.text
    assert SECRET not in caplog.text


def test_a_required_field_elsewhere_leaves_pieces_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    strict: Schema[Strict] = Schema.of(Strict)
    example = Example(row(4).text, Strict(number="N-477", codes=row(4).output.codes))
    with caplog.at_level(logging.WARNING):
        made = in_pieces([example], [1], strict, windows, overlong="error")
    assert len(made.examples) == 1
    assert "a required field stands in another piece" in caplog.text.replace("\n", " ")


def untrained(tiny_base: Path, settings: TrainingConfig) -> Extractor[Order]:
    return Extractor.from_base(Order, base_model=str(tiny_base), generation=settings.generation)


def rows_of(examples: list[Example[Order]], settings: TrainingConfig, eval_data: Any = None) -> DataSplit[Order]:
    return DataSplit.load(examples, eval_data, SCHEMA, None, settings)


@pytest.mark.parametrize("generation", [{}, {"max_text_tokens": 150}, {"overlap_tokens": 0}])
def test_training_and_extraction_have_the_same_windows(tiny_base: Path, generation: dict[str, Any]) -> None:
    settings = config(generation=generation)
    extractor = untrained(tiny_base, settings)
    examples = [row(n, filler=4) for n in range(3)] + [Example("Order N-1", Order(number="N-1"))]
    runner = extractor._pipeline
    encoder = RowEncoder(SCHEMA, runner.chat)
    rows, generation = split_long_rows(rows_of(examples, settings, eval_data=examples[:1]), runner, settings, encoder)
    runner = runner.with_generation(generation)
    assert len(rows.train) > len(examples)
    assert max(encoder.length(piece) for piece in rows.train) <= 700
    assert rows.scored == examples[:1]
    assert len(rows.held_out) > 1
    pieces = [example.text[w.start : w.end] for example in examples for w in runner.windows(example.text)]
    assert [piece.text for piece in rows.train] == pieces
    assert (runner.generation.max_text_tokens or 0) >= 16


def test_short_rows_and_settings_without_splitting_stay_as_they_are(tiny_base: Path) -> None:
    for settings in (config(), config().replace(generation=GenerationConfig())):
        extractor = untrained(tiny_base, settings)
        rows = rows_of([Example("Order N-1", Order(number="N-1"))], settings)
        encoder = RowEncoder(SCHEMA, extractor._pipeline.chat)
        split, generation = split_long_rows(rows, extractor._pipeline, settings, encoder)
        assert [example.text for example in split.train] == ["Order N-1"]
        assert generation.max_text_tokens is None


def test_fit_on_long_texts(tiny_base: Path, tmp_path: Path) -> None:
    settings = config(eval_fraction=0.4, max_eval_rows=1)
    extractor = Extractor.fit(Order, [row(n) for n in range(4)], base_model=str(tiny_base), config=settings)
    assert extractor.generation.max_text_tokens
    assert extractor.config.generation == extractor.generation == extractor._pipeline.generation
    assert extractor.training_result is not None
    assert extractor.training_result.steps > 1
    assert "loss" in extractor.metrics
    assert "field_f1" in extractor.metrics
    extractor.save_pretrained(tmp_path / "extractor")
    loaded = Extractor.from_pretrained(tmp_path / "extractor")
    text = row(8).text
    assert loaded._pipeline.windows(text) == extractor._pipeline.windows(text)
    assert len(loaded._pipeline.windows(text)) > 1


def test_without_the_setting_rows_are_named_with_their_lengths(tiny_base: Path) -> None:
    settings = config().replace(generation=GenerationConfig())
    examples = [Example("Order N-1", Order(number="N-1")), row(1), row(2, codes=9)]
    with pytest.raises(DatasetError) as caught:
        Extractor.fit(Order, examples, base_model=str(tiny_base), config=settings)
    lengths = {issue.row: int(issue.message.rsplit(" ", 1)[1]) for issue in caught.value.issues}
    assert lengths.keys() == {2, 3}
    assert 700 < lengths[2] < lengths[3]
    assert "row 2: more than max_length=700 tokens" in str(caught.value)
    assert "split_long_texts" in caught.value.__notes__[0]
    assert str(lengths[3]) in caught.value.__notes__[0]


def test_windows_that_are_too_large_are_said_to_be(tiny_base: Path) -> None:
    settings = config(generation={"max_text_tokens": 900}, max_length=600)
    with pytest.raises(DatasetError, match="row 1: more than max_length=600") as caught:
        Extractor.fit(Order, [row(1, codes=9)], base_model=str(tiny_base), config=settings)
    assert "max_text_tokens" in caught.value.__notes__[0]


def test_no_room_for_a_text(tiny_base: Path) -> None:
    settings = config(max_length=240)
    extractor = untrained(tiny_base, settings)
    encoder = RowEncoder(SCHEMA, extractor._pipeline.chat)
    with pytest.raises(ConfigError, match="room"):
        split_long_rows(rows_of([row(1, codes=20)], settings), extractor._pipeline, settings, encoder)
