"""Every shape of data gives the same examples."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NotRequired

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from extractft.data import Example, load_examples
from extractft.errors import DatasetError, SchemaError
from extractft.schema import Schema


class Line(BaseModel):
    item: str
    total: Decimal


class Receipt(BaseModel):
    company: str
    on: date | None = None
    paid: bool = False
    lines: list[Line] = []


SCHEMA = Schema.of(Receipt)
TEXTS = ["青山超市 2024-03-01 苹果 3.50", 'Bäcker "Müller"\r\nBrot, 2.10\n', "nothing here 🧾"]
RECORDS: list[dict[str, Any]] = [
    {"company": "青山超市", "on": "2024-03-01", "paid": True, "lines": [{"item": "苹果", "total": "3.50"}]},
    {"company": 'Bäcker "Müller"', "lines": [{"item": "Brot", "total": "2.10"}, {"item": "Ei", "total": "1"}]},
    {"company": "nothing"},
]
EXAMPLES = [
    Example(text, Receipt.model_validate_json(json.dumps(record))) for text, record in zip(TEXTS, RECORDS, strict=True)
]
ROWS = [{"text": text, "output": record} for text, record in zip(TEXTS, RECORDS, strict=True)]


def _jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


IN_MEMORY: dict[str, Callable[[], Any]] = {
    "examples": lambda: EXAMPLES,
    "pairs of instances": lambda: [(e.text, e.output) for e in EXAMPLES],
    "pairs of dicts": lambda: list(zip(TEXTS, RECORDS, strict=True)),
    "pairs of JSON": lambda: [[t, json.dumps(r)] for t, r in zip(TEXTS, RECORDS, strict=True)],
    "rows": lambda: ROWS,
    "generator": lambda: (row for row in ROWS),
    "rows with JSON": lambda: [{"text": t, "output": json.dumps(r)} for t, r in zip(TEXTS, RECORDS, strict=True)],
    "rows with instances": lambda: [{"text": e.text, "output": e.output} for e in EXAMPLES],
    "rows of fields": lambda: [{"text": t, **r} for t, r in zip(TEXTS, RECORDS, strict=True)],
    "instructions": lambda: [
        {"system": "Extract.", "instruction": "Read it.", "input": t, "output": json.dumps(r)}
        for t, r in zip(TEXTS, RECORDS, strict=True)
    ],
    "instructions alone": lambda: [
        {"instruction": t, "input": " ", "output": json.dumps(r)} for t, r in zip(TEXTS, RECORDS, strict=True)
    ],
    "chats": lambda: [
        {
            "messages": [
                {"role": "system", "content": "Extract."},
                {"role": "user", "content": t},
                {"role": "assistant", "content": [{"type": "text", "text": json.dumps(r)}]},
            ]
        }
        for t, r in zip(TEXTS, RECORDS, strict=True)
    ],
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with JSON": lambda: pd.DataFrame({"text": TEXTS, "output": [json.dumps(r) for r in RECORDS]}),
    "pandas with instances": lambda: pd.DataFrame({"text": TEXTS, "output": [e.output for e in EXAMPLES]}),
    "pandas with fields": lambda: pd.DataFrame(
        [{"id": 7, "text": t, **r} for t, r in zip(TEXTS, RECORDS, strict=True)]
    ),
    "pandas with dates": lambda: pd.DataFrame(
        {
            "text": TEXTS,
            "company": [r["company"] for r in RECORDS],
            "on": pd.to_datetime([r.get("on") for r in RECORDS]),
            "paid": pd.array([True, None, None], dtype="boolean"),
            "lines": [r.get("lines") for r in RECORDS],
        }
    ),
    "dataset": lambda: datasets.Dataset.from_list(ROWS),
    "dataset as numpy": lambda: datasets.Dataset.from_list(ROWS).with_format("numpy"),
    "streamed dataset": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "arrow table": lambda: pa.Table.from_pylist(ROWS),
}


@pytest.mark.parametrize("name", IN_MEMORY)
def test_in_memory(name: str) -> None:
    assert load_examples(IN_MEMORY[name](), SCHEMA) == EXAMPLES


class Frame:
    """What polars offers."""

    columns = ("text", "output")

    def to_dicts(self) -> list[dict[str, Any]]:
        return ROWS


def test_polars_like() -> None:
    assert load_examples(Frame(), SCHEMA) == EXAMPLES


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "ROWS.JSONL", "rows.v2.jsonl", "rows.jsonl.gz"])
def test_jsonl(tmp_path: Path, name: str, mark: bytes) -> None:
    content = mark + ("\n" + _jsonl(ROWS[:2]) + "\r\n" + _jsonl(ROWS[2:]).rstrip()).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert load_examples(tmp_path / name, SCHEMA) == EXAMPLES
    assert load_examples(str(tmp_path / name), SCHEMA) == EXAMPLES


def test_jsonl_lines_end_with_line_feeds_alone(tmp_path: Path) -> None:
    rows = [{"text": f"a{separator}b", "output": {"company": "a"}} for separator in "\u2028\u2029\x85\x0b\x0c\x1c"]
    (tmp_path / "rows.jsonl").write_text(_jsonl(rows), encoding="utf-8")
    assert [e.text for e in load_examples(tmp_path / "rows.jsonl", SCHEMA)] == [row["text"] for row in rows]


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"data": rows, "version": 1}])
def test_json(tmp_path: Path, wrap: Callable[[Any], Any]) -> None:
    path = tmp_path / "rows.json"
    path.write_text("\ufeff" + json.dumps(wrap(ROWS), indent=2), encoding="utf-8")
    assert load_examples(path, SCHEMA) == EXAMPLES


def test_csv_with_output_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "text": TEXTS, "output": [json.dumps(r) for r in RECORDS]})
    frame.to_csv(tmp_path / "rows.csv", index=True, encoding="utf-8-sig")
    assert load_examples(tmp_path / "rows.csv", SCHEMA) == EXAMPLES


@pytest.mark.parametrize(("name", "separator"), [("rows.csv", ","), ("rows.tsv", "\t"), ("rows.csv.gz", ",")])
def test_csv_with_field_columns(tmp_path: Path, name: str, separator: str) -> None:
    rows = [
        {"id": 1, "text": t, **{k: r.get(k) for k in Receipt.model_fields}} for t, r in zip(TEXTS, RECORDS, strict=True)
    ]
    for row in rows:
        row["lines"] = json.dumps(row["lines"]) if row["lines"] else " "
    pd.DataFrame(rows).to_csv(tmp_path / name, index=False, sep=separator)
    assert load_examples(tmp_path / name, SCHEMA) == EXAMPLES


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    assert load_examples(tmp_path / "rows.parquet", SCHEMA) == EXAMPLES


def test_long_cells(tmp_path: Path) -> None:
    text = "长" * 200_000
    pd.DataFrame({"text": [text], "output": ['{"company": "长"}']}).to_csv(tmp_path / "rows.csv", index=False)
    assert load_examples(tmp_path / "rows.csv", SCHEMA)[0].text == text


def test_columns_map_our_names_to_theirs(tmp_path: Path) -> None:
    rows = [{"complaint": t, "label": r, "text": "another"} for t, r in zip(TEXTS, RECORDS, strict=True)]
    assert load_examples(rows, SCHEMA, columns={"text": "complaint", "output": "label"}) == EXAMPLES
    (tmp_path / "rows.csv").write_text("body,Firma,when,paid,lines\n青山超市,青山,2024-03-01,TRUE,\n", encoding="utf-8")
    columns = {"text": "body", "company": "Firma", "on": "when"}
    [example] = load_examples(tmp_path / "rows.csv", SCHEMA, columns=columns)
    assert example == Example("青山超市", Receipt(company="青山", on=date(2024, 3, 1), paid=True))
    [example] = load_examples(
        [{"body": "x", "Firma": "y", "paid": True}], SCHEMA, columns={"text": "body", "company": "Firma"}
    )
    assert example == Example("x", Receipt(company="y", paid=True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"texts": "a"}, "'texts'"),
        ({"complaint": "text"}, "our name -> your column"),
        ({"output": "a", "company": "b"}, "expected one of the two"),
    ],
)
def test_columns_are_checked(columns: dict[str, str], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        load_examples(ROWS, SCHEMA, columns=columns)
    assert message in "".join([str(caught.value), *caught.value.__notes__])


def test_lists_and_scalars_as_schema() -> None:
    many = Schema.of(list[Line])
    lines = [Line(item="苹果", total=Decimal("3.50"))]
    for output in (lines, [{"item": "苹果", "total": "3.50"}], '[{"item": "苹果", "total": "3.50"}]'):
        assert load_examples([("苹果 3.50", output)], many) == [Example("苹果 3.50", lines)]
    mood = Schema.of(Literal["good", "bad"])
    assert load_examples([("great", "good"), {"text": "awful", "output": "bad"}], mood) == [
        Example("great", "good"),
        Example("awful", "bad"),
    ]


class Colour(str, Enum):  # noqa: UP042
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    colour: Colour


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int | None = None
    name: str = "Mia"


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []
    name: str = "Rex"


class Pets(BaseModel):
    pets: list[Cat | Dog]
    scores: dict[str, int] = {}
    favourite: Cat | None


def test_python_objects_as_outputs() -> None:
    schema = Schema.of(Point)
    for output in (Point(1, Colour.RED), {"x": 1, "colour": Colour.RED}, {"x": 1, "colour": "red"}):
        assert load_examples([("a", output)], schema) == [Example("a", Point(1, Colour.RED))]
    row = {"company": "a", "on": date(2024, 3, 1), "lines": (Line(item="b", total=Decimal(1)),)}
    assert load_examples([("a", row)], SCHEMA)[0].output == Receipt(**row)


def test_nulls_that_only_pad_tables() -> None:
    rows = [
        {"text": "a", "output": {"pets": [{"kind": "dog", "tricks": ["sit"]}], "favourite": None}},
        {"text": "b", "output": {"pets": [{"kind": "cat", "lives": 9}, {"kind": "dog"}], "favourite": {"kind": "cat"}}},
        {"text": "c", "output": {"pets": [{"kind": "cat", "name": "Tom"}], "scores": {"x": 1}, "favourite": None}},
    ]
    schema = Schema.of(Pets)
    expected = load_examples(rows, schema)
    assert load_examples(pa.Table.from_pylist(rows), schema) == expected
    assert load_examples(datasets.Dataset.from_list(rows), schema) == expected
    flat = [{"text": row["text"], "scores": None, **row["output"]} for row in rows]
    assert load_examples(pa.Table.from_pylist(flat), schema) == expected


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    full_name: str = Field(alias="fullName")
    age: int | None = Field(alias="Age")
    note: int | str = ""


def test_columns_by_alias_or_name(tmp_path: Path) -> None:
    schema = Schema.of(Aliased)
    for header in ("text,fullName,Age,note", "text,full_name,age,note"):
        (tmp_path / "rows.csv").write_text(header + "\nabc,007,,12\nabc,true,42,\n", encoding="utf-8")
        assert [e.output for e in load_examples(tmp_path / "rows.csv", schema)] == [
            Aliased(fullName="007", Age=None, note="12"),
            Aliased(fullName="true", Age=42),
        ]


def test_texts_stay_as_they_are() -> None:
    texts = ["  e\u0301 \t", "\ufeffmark", "a\x00b", "<|im_end|></think>"]
    assert [e.text for e in load_examples([(t, {"company": "a"}) for t in texts], SCHEMA)] == texts


class Movie(TypedDict):
    title: str
    on: NotRequired[date]


def test_typed_dicts() -> None:
    schema = Schema.of(Movie)
    expected = [Example("a", {"title": "t", "on": date(2024, 3, 1)})]
    assert load_examples([("a", {"title": "t", "on": "2024-03-01"})], schema) == expected
    assert load_examples([("a", {"title": "t", "on": date(2024, 3, 1)})], schema) == expected


class Scored(BaseModel):
    scores: dict[str, int | None]
    nick: str | None = "none given"
    count: int = 3


def test_maps_and_nulls_of_arrow(tmp_path: Path) -> None:
    columns = {
        "text": pa.array(["a", "b"]),
        "scores": pa.array([[("x", 1), ("y", None)], []], pa.map_(pa.string(), pa.int64())),
        "nick": pa.array([None, "Bo"]),
        "count": pa.array([None, 4]),
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    assert [e.output for e in load_examples(tmp_path / "rows.parquet", Schema.of(Scored))] == [
        Scored(scores={"x": 1, "y": None}, nick=None),
        Scored(scores={}, nick="Bo", count=4),
    ]


def test_blank_cells_take_the_default(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('text,scores,nick,count\na,"{""x"": null}",,\n', encoding="utf-8")
    assert load_examples(tmp_path / "rows.csv", Schema.of(Scored))[0].output == Scored(scores={"x": None})


def test_a_class_does_for_its_schema() -> None:
    rows = [{"text": "a", "output": {"company": "A"}}]
    assert load_examples(rows, Receipt) == load_examples(rows, SCHEMA)
    assert load_examples(rows, Receipt)[0].output == Receipt(company="A")


@pytest.mark.parametrize("schema", [{"type": "object"}, Receipt(company="A"), "Receipt"], ids=repr)
def test_what_is_no_type_is_no_schema(schema: Any) -> None:
    with pytest.raises(SchemaError, match="expected a type"):
        load_examples([("a", Receipt(company="A"))], schema)
