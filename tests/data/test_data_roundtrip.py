"""Examples written in each format and read again are equal."""

from __future__ import annotations

import csv
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.data import Example, load_examples, write_jsonl
from extractft.schema import Schema
from extractft.text import is_blank


class Part(BaseModel):
    name: str
    size: int | None = None


class Record(BaseModel):
    title: str
    note: str | None = None
    count: int | None = None
    price: Decimal | None = None
    share: float = 0.5
    done: bool = False
    on: date | None = None
    at: datetime | None = None
    mood: Literal["good", "bad", "12"] | None = None
    parts: list[Part] = []
    tags: tuple[str, ...] = ()


SCHEMA = Schema.of(Record)
# Blank cells mean absence, so strings with something in them; some with a meaning in one of the formats.
STRINGS = st.one_of(
    st.text(min_size=1, max_size=12).filter(lambda text: not is_blank(text)),
    st.sampled_from(
        ["null", "true", "12", "[1]", '{"a": 1}', '"', "a,b\r\nc", "\ufeffx", "NaN", "\\", "🧾", "a\x00b", "nan"]
    ),
)
INTEGERS = st.integers(-(2**53), 2**53)
PARTS = st.builds(Part, name=STRINGS, size=st.none() | INTEGERS)
RECORDS = st.builds(
    Record,
    title=STRINGS,
    note=st.none() | STRINGS,
    count=st.none() | INTEGERS,
    price=st.none() | st.decimals(-10_000, 10_000, places=2),
    share=st.floats(allow_nan=False, allow_infinity=False),
    done=st.booleans(),
    on=st.none() | st.dates(),
    at=st.none() | st.datetimes(),
    mood=st.none() | st.sampled_from(["good", "bad", "12"]),
    parts=st.lists(PARTS, max_size=3),
    tags=st.lists(STRINGS, max_size=3).map(tuple),
)
EXAMPLES = st.lists(st.builds(Example, STRINGS, RECORDS), min_size=1, max_size=4)


def _rows(examples: list[Example[Record]]) -> list[dict[str, Any]]:
    return [{"text": e.text, "output": SCHEMA.canonical_value(e.output)} for e in examples]


def _flat_rows(examples: list[Example[Record]]) -> list[dict[str, Any]]:
    return [{"text": e.text, **SCHEMA.full_value(e.output)} for e in examples]


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write_csv(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return path


def write_jsonl_(folder: Path, examples: list[Example[Record]]) -> Any:
    write_jsonl(folder / "a.jsonl", examples, SCHEMA)
    return folder / "a.jsonl"


def write_json(folder: Path, examples: list[Example[Record]]) -> Any:
    (folder / "a.json").write_text(json.dumps(_rows(examples), indent=1), encoding="utf-8")
    return folder / "a.json"


def write_csv(folder: Path, examples: list[Example[Record]]) -> Any:
    return _write_csv(folder / "a.csv", _rows(examples))


def write_flat_csv(folder: Path, examples: list[Example[Record]]) -> Any:
    return _write_csv(folder / "b.csv", _flat_rows(examples))


def write_flat_tsv(folder: Path, examples: list[Example[Record]]) -> Any:
    return _write_csv(folder / "b.tsv", _flat_rows(examples), delimiter="\t", lineterminator="\n")


def write_pandas_csv(folder: Path, examples: list[Example[Record]]) -> Any:
    rows = [{key: _cell(value) for key, value in row.items()} for row in _rows(examples)]
    pd.DataFrame(rows).to_csv(folder / "c.csv", index=False)
    return folder / "c.csv"


def write_parquet(folder: Path, examples: list[Example[Record]]) -> Any:
    pq.write_table(pa.Table.from_pylist(_flat_rows(examples)), folder / "a.parquet")
    return folder / "a.parquet"


def write_nested_parquet(folder: Path, examples: list[Example[Record]]) -> Any:
    pq.write_table(pa.Table.from_pylist(_rows(examples)), folder / "b.parquet")
    return folder / "b.parquet"


def dataset(folder: Path, examples: list[Example[Record]]) -> Any:
    return datasets.Dataset.from_list(_rows(examples))


def frame(folder: Path, examples: list[Example[Record]]) -> Any:
    return pd.DataFrame({"text": [e.text for e in examples], "output": [SCHEMA.full_value(e.output) for e in examples]})


def python_values(folder: Path, examples: list[Example[Record]]) -> Any:
    return [(e.text, e.output.model_dump()) for e in examples]


@pytest.mark.parametrize(
    "write",
    [
        write_jsonl_,
        write_json,
        write_csv,
        write_flat_csv,
        write_flat_tsv,
        write_pandas_csv,
        write_parquet,
        write_nested_parquet,
        dataset,
        frame,
        python_values,
    ],
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(examples=EXAMPLES)
def test_roundtrip(tmp_path: Path, write: Any, examples: list[Example[Record]]) -> None:
    assert load_examples(write(tmp_path, examples), SCHEMA) == examples
