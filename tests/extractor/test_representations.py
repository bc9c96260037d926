"""`repr` of what users hold is short, says what it is, and quotes no text."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extraction, Extractor, Schema, Span, TrainingConfig
from extractft.completion import Completion
from extractft.data import check_examples, load_numbered_examples
from extractft.errors import ExtractionError
from extractft.extractor.data_split import DataSplit
from extractft.testing import scripted_extractor
from extractft.training import TrainingResult

SECRET = "SECRETXYZ"
MOST = 400


class Order(BaseModel):
    item: str
    note: str | None = None


ROWS = [(f"{SECRET} {number}", Order(item=str(number))) for number in range(30)]


@pytest.fixture(scope="module")
def extractor() -> Extractor[Order]:
    return scripted_extractor(Order, dict(ROWS))


def test_an_extractor(extractor: Extractor[Order], tiny_base: Path) -> None:
    assert repr(extractor) == "Extractor(Order, engine=ScriptedEngine)"
    untrained = Extractor.from_base(Order, base_model=str(tiny_base))
    assert repr(untrained) == f"Extractor(Order, base_model={str(tiny_base)!r})"
    untrained._provenance = replace(untrained._provenance, metrics={"field_f1": 0.9126})
    assert repr(untrained).endswith(", field_f1=0.913)")


def test_an_extraction_is_its_record(extractor: Extractor[Order]) -> None:
    found = extractor.inspect(ROWS[3][0])
    assert repr(found).startswith("Extraction(output=Order(item='3', note=None), confidence=0.")
    assert repr(found).endswith(", 1 of 1 values with places)")
    assert repr(found.completion) == f"Completion({len(found.completion.steps)} tokens, finish_reason='stop')"


def test_a_printed_extraction_has_places_and_confidences(extractor: Extractor[Order]) -> None:
    first, *lines = str(extractor.inspect(ROWS[3][0])).split("\n")
    assert first.startswith("Extraction(output=Order(item='3'")
    assert lines[0].startswith("  item: '3' at 10-11 (exact), confidence ")
    assert SECRET not in "".join(lines)


def test_a_long_record_is_cut() -> None:
    text = "x" * 1000
    found = scripted_extractor(Order, {text: Order(item=text)}).inspect(text)
    assert "xxx..." in repr(found)
    assert len(repr(found)) < MOST


def test_everything_else(extractor: Extractor[Order]) -> None:
    schema = Schema.of(Order)
    report = extractor.evaluate(ROWS, keep_records=True, keep_texts=True)
    loaded = load_numbered_examples(ROWS, schema)
    errors: list[Any] = list(extractor.extract_many([" ", ROWS[0][0]], min_confidence=1.0))
    shown: dict[str, Any] = {
        "Schema(Order": schema,
        "DataSplit(27 rows to train on, 3 held out)": DataSplit.load(ROWS, None, schema, None, TrainingConfig()),
        "LoadedExamples(30 examples)": loaded,
        "CheckReport(train_rows=30, eval_rows=0, errors=0": check_examples(loaded.examples, schema),
        "EvaluationReport(Order, 30 records, field_f1=1.000, exact_rate=1.000, valid_rate=1.000)": report,
        "Comparison(baseline -> this, 30 records: field_f1 1.000 -> 1.000": report.compare(report),
        "CalibrationReport(count=": (report.calibration or {})["values"],
        "TrainingResult(steps=3, best_step=2, seconds=1, field_f1=0.500)": TrainingResult(
            {"field_f1": 0.5}, 2, ({"loss": 1.0},) * 1000, 3, 1.2, 0.5, 100, (), "packed", False
        ),
        "EmptyTextError(": errors[0],
        "LowConfidenceError(": errors[1],
    }
    assert all(isinstance(error, ExtractionError) for error in errors)
    for beginning, value in shown.items():
        assert repr(value).startswith(beginning)
        assert SECRET not in repr(value)
        assert len(repr(value)) < MOST


def test_an_extraction_in_a_notebook_marks_places_and_escapes_everything() -> None:
    text = "<script>alert(1)</script> wants 龙 & a 👩\u200d👧 cup"
    found = scripted_extractor(Order, {text: Order(item="龙 & a 👩\u200d👧 cup", note="<b>")}).inspect(text)
    source = found._repr_html_()
    assert "<script" not in source
    assert "<b>Order</b>" in source
    assert '<mark title="item"' in source
    assert "龙 &amp; a 👩\u200d👧 cup</mark>" in source
    assert "&lt;script&gt;" in source
    assert "&lt;b&gt;" in source
    assert "nowhere" in source, "the note"
    assert source.count("<tr>") == source.count("</tr>") == 3


def test_a_long_text_in_a_notebook_is_cut() -> None:
    text = "cup " + "龙 " * 3000
    found = scripted_extractor(Order, {text: Order(item="cup")}).inspect(text)
    assert "龙 " * 1900 in found._repr_html_()
    assert len(found._repr_html_()) < 6000
    assert "…" in found._repr_html_()


def test_overlapping_places_in_a_notebook_give_back_the_text() -> None:
    text = "a tea cup for tea"
    found = scripted_extractor(Order, {text: Order(item="tea cup", note="tea")}).inspect(text)
    shown = found._repr_html_().split("</p>")[0]
    assert re.sub("<[^>]*>", "", shown) == text


def test_a_long_value_in_a_notebook_is_cut_with_its_text() -> None:
    text = "龙" * 50_000
    source = _extraction_of(text)._repr_html_()
    assert "龙" * 4000 in source
    assert len(source) < 6000


def _extraction_of(text: str) -> Extraction[Order]:
    """A record whose value is the whole text."""
    spans = {"item": (Span(0, len(text), "exact"),)}
    return Extraction(Order(item=text), text, "", Completion((), "stop"), spans=spans)


class Basket(BaseModel):
    items: list[str]


def test_lists_of_chinese_values_are_shown_in_chinese() -> None:
    record = Basket(items=["梨", "苹果👩‍💻"])
    source = scripted_extractor(Basket, {"请寄梨和苹果👩‍💻": record}).inspect("请寄梨和苹果👩‍💻")._repr_html_()
    assert escape('["梨","苹果👩‍💻"]') in source
    assert "\\u" not in source
