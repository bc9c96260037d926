"""A mistyped column, key or field is answered with the name that was meant, before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_files import InputFiles
from extractft.data import iter_texts, load_examples
from extractft.errors import DatasetError


class Line(BaseModel):
    product: str
    amount: int | None = None


class Order(BaseModel):
    customer: str
    lines: list[Line] = []


def _file(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"custmer": "Ada"}, "row 1, customer: Field required; is 'custmer' meant for it?"),
        (
            {"customer": "Ada", "lines": [{"prodct": "tea"}]},
            "lines.0.product: Field required; is 'prodct' meant for it?",
        ),
        ({"customer": "Ada", "lnes": []}, "row 1, lnes: the schema has no key 'lnes'; is 'lines' meant?"),
    ],
)
def test_fields_of_a_record(tmp_path: Path, output: object, said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_examples(_file(tmp_path, {"text": "a", "output": output}), Order)
    assert said in str(caught.value)


@pytest.mark.parametrize("key", ["Ada Lovelace", "customer of Ada", "phone"])
def test_keys_that_resemble_no_field_are_data(tmp_path: Path, key: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_examples(_file(tmp_path, {"text": "a", "output": {key: "x"}}), Order)
    assert "Field required" in str(caught.value)
    assert key not in str(caught.value)


def test_the_column_of_texts(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected 'txet', found only 'text', 'id'; is 'text' it\\?"):
        list(iter_texts(_file(tmp_path, {"text": "a", "id": "1"}), column="txet"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"text_column": "txet"}, "found no such key; is 'text' it?"),
        ({"id_column": "di"}, "expected a name for the row under 'di', found none"),
        ({"id_column": "indx"}, "found none; is 'index' it?"),
    ],
)
def test_columns_of_a_bulk_run(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    files = InputFiles.find([str(_file(tmp_path, {"text": "a", "index": "1"}))], BulkConfig.checked(**settings))
    (row,) = files.rows()
    assert row.problem.endswith(said)


def test_a_column_to_keep_that_no_row_has(tmp_path: Path) -> None:
    path = _file(tmp_path, {"text": "a"}, {"text": "b", "customer": "Ada"})
    files = InputFiles.find([str(path)], BulkConfig(keep_columns=("custmer",)))
    with pytest.raises(
        DatasetError, match="expected a column 'custmer', found only 'text', 'customer'; is 'customer' it"
    ):
        list(files.rows())


def test_a_column_to_keep_may_be_missing_in_rows(tmp_path: Path) -> None:
    path = _file(tmp_path, {"text": "a"}, {"text": "b", "customer": "Ada"}, {"text": "c", "customer": None})
    rows = list(InputFiles.find([str(path)], BulkConfig(keep_columns=("customer",))).rows())
    assert [row.kept["customer"] for row in rows] == [None, "Ada", None]
