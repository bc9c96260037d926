"""`extractft review`: what `run` puts aside and other rows go in, decisions come out as rows that `fit` reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import extractft.bulk
from extractft.cli import app
from extractft.data import load_examples
from extractft.errors import DatasetError
from extractft.review import ReviewStore, read_items
from extractft.testing import scripted_extractor

TEXTS = [f"Customer {i} 👍 orders tea\u0301" for i in range(6)]


class Order(BaseModel):
    customer: str
    note: str | None = None


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a bulk run that put all of its records aside."""
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"text": text, "name": f"order-{i}"}, ensure_ascii=False) for i, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    answers = {text: Order(customer=text.partition(" orders")[0]) for text in TEXTS}
    extractor: Any = scripted_extractor(Order, answers)
    for name, column in (("run", "name"), ("unnamed", None)):
        extractft.bulk.run(extractor, tmp_path / "texts.jsonl", tmp_path / name, min_confidence=1.0, id_column=column)
    return tmp_path / "run"


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["review", *arguments])


def test_from_a_run_to_rows(run: Path) -> None:
    found = call("add", "reviews.db", "run", "--extractor", "models/orders/")
    assert found.exit_code == 0, found.output
    assert "6 records added" in found.output
    assert "6 were there already" in call("add", "reviews.db", "run", "--extractor", "orders").output
    with ReviewStore("reviews.db") as store:
        item = store.claim_next("Ann", ["orders"])
        assert item is not None
        new = item.item
        assert (new.id, new.reason, new.proposed) == (
            "order-0",
            "low confidence",
            {"customer": "Customer 0 👍", "note": None},
        )
        assert new.confidence is not None
        assert new.text[slice(*[new.spans["customer"][0][end] for end in ("start", "end")])] == "Customer 0 👍"
        store.decide(item.number, "Ann", "correct", {"customer": "茶", "note": "x"}, version=0)
        item = store.claim_next("Ann", ["orders"])
        assert item is not None
        store.decide(item.number, "Ann", "accept", item.item.proposed, version=0)
    assert call("export", "reviews.db", "--output", "rows.jsonl").exit_code == 0
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["order-0", "order-1"]
    examples = load_examples("rows.jsonl", Order)
    assert examples[0].text == TEXTS[0]
    assert examples[0].output == Order(customer="茶", note="x")
    assert len(call("export", "reviews.db", "--changed-only").stdout.splitlines()) == 1
    assert call("export", "reviews.db", "--output", "rows.jsonl").exit_code == 2
    assert call("export", "reviews.db", "--output", "rows.jsonl", "--force").exit_code == 0
    status = call("status", "reviews.db")
    assert "2 of 6 records done: 1 right as proposed" in status.output
    numbers = json.loads(call("status", "reviews.db", "--json").stdout)
    assert numbers["reviewers"] == {"Ann": {"accepted": 1, "corrected": 1, "skipped": 0}}


def test_rows_that_run_named_by_their_numbers_are_named_by_their_texts(run: Path) -> None:
    assert call("add", "reviews.db", "unnamed", "--extractor", "orders").exit_code == 0
    with ReviewStore("reviews.db") as store:
        names = [item.item.id for item in store.items()]
    assert len({*names}) == 6
    assert all(len(name) == 16 for name in names)


def test_rows_of_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open("rows.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["complaint", "label"], ["tea, please", '{"customer": "x"}'], ["rice", ""]])
    arguments = ["--extractor", "o", "--column", "complaint", "--column", "output=label", "--reviewers", "2"]
    assert call("add", "reviews.db", "rows.csv", *arguments).exit_code == 0
    with ReviewStore("reviews.db") as store:
        first, second = (item.item for item in store.items())
    assert (first.text, first.proposed, first.reviewers) == ("tea, please", {"customer": "x"}, 2)
    assert second.proposed is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"output": {}}', "column 'text'"),
        ('{"text": " "}', "empty"),
        ("[1]", "expected an object"),
        ('{"text": "\\ud800"}', "surrogate"),
        ('{"text": 1}', "string"),
    ],
)
def test_bad_rows_are_all_named_and_nothing_is_added(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "private"}}\n{row}\n')
    with pytest.raises(DatasetError, match=message) as caught:
        list(read_items([path], extractor="o"))
    assert "private" not in str(caught.value)
    assert [issue.row for issue in caught.value.issues] == [2]


def test_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("empty/run.json").write_text("{}")
    Path("rows.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(DatasetError, match="found none") as caught:
        call("add", "r.db", "empty", "--extractor", "o").exception and list(read_items(["empty"], extractor="o"))
    assert "--min-confidence" in str(caught.value.__notes__)
    assert not Path("r.db").exists()
    assert call("add", "r.db", "rows.jsonl").exit_code == 2
    assert call("add", "r.db", "rows.jsonl", "--extractor", "o", "--column", "price=x").exit_code == 2
    assert call("status", "r.db").exit_code == 1
    assert call("export", "r.db").exit_code == 1


@pytest.mark.parametrize(
    ("written", "record", "fields"),
    [
        ("0.5", 0.5, {}),
        ("1e400", None, {}),
        ("-1", None, {}),
        ("87", None, {}),
        ("true", None, {}),
        ('"high"', None, {}),
        ('{"record": 2, "fields": {"a": 0.5, "b": "x", "c": null, "d": 1e400, "e": [1]}}', None, {"a": 0.5}),
        ('{"record": 0, "fields": "x", "calibrated": "no"}', 0.0, {}),
    ],
)
def test_what_is_no_confidence(tmp_path: Path, written: str, record: float | None, fields: dict[str, float]) -> None:
    """A page would show infinities and words as `NaN %`, and nobody knows what 87 is."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "output": {}, "confidence": ' + written + "}\n")
    (found,) = read_items([path], extractor="orders")
    assert (found.confidence, found.fields, found.calibrated) == (record, fields, False)
