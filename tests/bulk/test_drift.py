"""Rates of fields against those of the training data: what moved is named, and chance is not called drift."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bulk_doubles import InstantExtractor
from pydantic import BaseModel

from extractft import Extractor, LoRAConfig, TrainingConfig, bulk
from extractft.artifact import load_manifest
from extractft.bulk.field_counts import FieldCounts, RunCounts
from extractft.bulk.run_summary import summarize
from extractft.confidence.field_rates import field_rates
from extractft.confidence.token_confidence import Confidence
from extractft.schema import Schema


class Place(BaseModel):
    city: str | None = None
    street: str | None = None


class Call(BaseModel):
    item: str
    place: Place | None = None
    tags: list[str] = []


def counts(records: int, nulls: int, confidence: float = 0.9) -> RunCounts:
    found = FieldCounts(nulls, confidence * records, records)
    return RunCounts(rows=records, records=records, fields={"note": found})


@pytest.mark.parametrize(
    ("records", "nulls", "confidence", "moved"),
    [
        (1000, 200, 0.9, False),
        (1000, 250, 0.9, False),  # a twentieth harms nobody
        (1000, 400, 0.9, True),
        (10, 4, 0.9, False),  # few records
        (1000, 0, 0.9, True),
        (1000, 200, 0.75, True),
        (1000, 200, 0.85, False),
    ],
)
def test_what_moved_is_told_from_chance(records: int, nulls: int, confidence: float, moved: bool) -> None:
    trained = {"note": {"null_rate": 0.2, "rows": 500, "confidence": 0.9}}
    summary = summarize(Path("out"), counts(records, nulls, confidence), trained)
    assert summary.drifted == (["note"] if moved else [])
    assert ("moved: note" in summary.drift) is moved
    assert summary.fields["note"].trained_null_rate == 0.2


def test_rates_that_are_not_known_are_said_to_be_missing() -> None:
    summary = summarize(Path("out"), counts(10, 2), None)
    assert summary.drift.startswith("not known")
    assert summary.drifted == []
    assert json.loads(json.dumps(summary.to_dict()))["fields"]["note"]["trained_null_rate"] is None


def test_rates_of_fields_in_objects_and_none_of_lists() -> None:
    records = [Call(item="a", place=Place(city="x")), Call(item="b"), Call(item="c", tags=["t"])]
    sure = [Confidence(0.5, {"item": 0.5, "place.city": 0.25}), Confidence(0.5, {"item": 1.0})]
    assert field_rates(Schema.of(Call), records, sure) == {
        "item": {"null_rate": 0.0, "rows": 3, "confidence": 0.75},
        "place": {"null_rate": 0.6667, "rows": 3},
        "place.city": {"null_rate": 0.6667, "rows": 3, "confidence": 0.25},
        "place.street": {"null_rate": 1.0, "rows": 3},
        "tags": {"null_rate": 0.6667, "rows": 3},
    }


class Order(BaseModel):
    item: str
    note: str | None = None


def test_fit_keeps_the_rates_of_its_rows_and_a_run_is_held_against_them(
    tiny_base: Path, tmp_path: Path, jsonl: Callable[..., Path]
) -> None:
    rows: list[tuple[str, Any]] = [(f"tea {number}", Order(item=f"tea {number}")) for number in range(8)]
    rows += [(f"rice {number}", Order(item="rice", note=str(number))) for number in range(4)]
    config = TrainingConfig(num_train_epochs=1, max_eval_rows=2, lora=LoRAConfig(r=2))
    extractor = Extractor.fit(Order, rows, base_model=str(tiny_base), eval_data=rows[:2], config=config)
    rates = extractor.field_rates
    assert rates is not None
    assert rates["note"]["null_rate"] == 0.6667
    assert rates["note"]["rows"] == 12
    extractor.save_pretrained(tmp_path / "ext")
    assert load_manifest(tmp_path / "ext").field_rates == rates
    assert Extractor.from_pretrained(tmp_path / "ext").field_rates == rates
    summary = bulk.run(tmp_path / "ext", jsonl({"text": text} for text, _ in rows), tmp_path / "out")
    assert "not known" not in summary.drift
    assert summary.rows == 12


def test_an_extractor_in_memory_has_none_unless_it_was_trained(tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    summary = bulk.run(InstantExtractor(), jsonl([{"text": "tea"}]), tmp_path / "out")
    assert summary.drift.startswith("not known")
