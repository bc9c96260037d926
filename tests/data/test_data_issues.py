"""Bad data: all of it reported at once, with row numbers, and none of it quoted."""

from __future__ import annotations

import gzip
import json
import traceback
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import AliasChoices, AnyUrl, BaseModel, ConfigDict, Field, field_validator, model_validator

from extractft.data import load_examples
from extractft.data.data_files import ENDINGS
from extractft.errors import DatasetError
from extractft.schema import Schema


class Sub(BaseModel):
    amount: int


class Record(BaseModel):
    name: str
    subs: list[Sub] = []
    nick: str | None = None


SCHEMA = Schema.of(Record)
GOOD = {"text": "ok", "output": {"name": "n"}}


def _refused(data: Any, schema: Schema[Any] = SCHEMA, **kwargs: Any) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load_examples(data, schema, **kwargs)
    return caught.value


def _kinds(error: DatasetError) -> list[tuple[int, str, str]]:
    return [(issue.row, issue.kind, issue.field) for issue in error.issues]


def _hints(error: DatasetError) -> str:
    return "\n".join(getattr(error, "__notes__", []))


class Scores(BaseModel):
    scores: dict[str, int]


@pytest.mark.parametrize("form", ["text in a list", "text in .jsonl", "object in .jsonl", "object in .json", "a cell"])
def test_a_key_that_stands_twice_is_quoted_only_if_it_is_a_name(form: str, tmp_path: Path) -> None:
    def refused(output: str) -> str:
        row = f'{{"text": "a", "output": {json.dumps(output) if form.startswith("text") else output}}}'
        path = tmp_path / ("a.json" if form.endswith(".json") else "a.jsonl")
        path.write_text(f"[{row}]" if form.endswith(".json") else row)
        source: Any = [json.loads(row)] if form == "text in a list" else path
        if form == "a cell":
            source = tmp_path / "a.csv"
            pd.DataFrame({"text": ["a"], "scores": [output]}).to_csv(source, index=False)
        error = _refused(source, Schema.of(Scores))
        return "".join(traceback.format_exception(error)) + _hints(error)

    said = refused('{"SECRET": 1, "SECRET": 2}' if form == "a cell" else '{"scores": {"SECRET": 1, "SECRET": 2}}')
    assert "the key <6 characters> stands twice in one object" in said
    assert "SECRET" not in said
    named = refused('{"scores": 1, "scores": 2}')
    assert ("'scores' stands twice" in named) == (form.startswith("text") or form == "a cell")


def test_every_bad_row_is_listed() -> None:
    rows = [
        GOOD,
        {"text": " \n", "output": {"name": "n"}},
        {"text": 5, "output": {"name": "n"}},
        {"text": None, "output": {"name": "n"}},
        {"text": "\ud800", "output": {"name": "n"}},
        {"text": "a", "output": {"name": "n", "subs": [{"amount": 1}, {"amount": "x"}, {}], "nick": 3}},
        {"text": "", "output": {}},
        {"text": "a", "output": "{'name': 'n'}"},
        {"text": "a", "output": '{"name": "n", "name": "m"}'},
        {"text": "a", "output": ""},
        {"text": "a"},
        {"body": "a", "output": {"name": "n"}},
        "just a text",
        ("a", {"name": "n"}, "b"),
        None,
        {"text": "a", "output": None},
        {"text": "a", "output": {"name": "n", "nikc": "x"}},
        {"messages": [{"role": "user", "content": "a"}]},
        {"text": "a", "name": "n", "nikc": "x"},
    ]
    error = _refused(rows)
    assert _kinds(error) == [
        (2, "empty_text", ""),
        (3, "invalid_text", ""),
        (4, "missing_text", ""),
        (5, "invalid_text", ""),
        (6, "invalid_output", "subs.1.amount"),
        (6, "invalid_output", "subs.2.amount"),
        (6, "invalid_output", "nick"),
        (7, "empty_text", ""),
        (7, "invalid_output", "name"),
        (8, "invalid_json", ""),
        (9, "invalid_json", ""),
        (10, "missing_output", ""),
        (11, "missing_column", ""),
        (12, "missing_column", ""),
        (13, "invalid_row", ""),
        (14, "invalid_row", ""),
        (15, "invalid_row", ""),
        (16, "invalid_output", ""),
        (17, "unknown_key", "nikc"),
        (18, "invalid_row", ""),
        (19, "unknown_key", "nikc"),
    ]
    assert str(error).startswith("the data: 18 of 19 rows cannot be used")
    assert "found only 'body', 'output'" in error.issues[13].message
    assert "Python dict" in error.issues[9].message
    assert 'columns={"text"' in _hints(error)
    assert 'extra="ignore"' in _hints(error)


def test_bad_lines_have_their_line_numbers(tmp_path: Path) -> None:
    good = json.dumps(GOOD).encode()
    lines = [good, b"", b"{broken", good, b"\xff\xfe\xb0", b'{"text": NaN}', good + b" x", b"[" * 100_000, b"[]", b'""']
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    error = _refused(tmp_path / "rows.jsonl")
    assert [(row, kind) for row, kind, _ in _kinds(error)] == [
        (3, "invalid_json"),
        (5, "encoding"),
        (6, "invalid_json"),
        (7, "invalid_json"),
        (8, "invalid_json"),
        (9, "invalid_row"),
        (10, "invalid_row"),
    ]
    assert str(error).startswith("rows.jsonl: 7 of 9 rows")


def test_broken_files(tmp_path: Path) -> None:
    def file(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    gb = "text,output\n好,名\n".encode("gb18030")
    good = json.dumps(GOOD).encode() + b"\n"
    cases: list[tuple[Path, str, str]] = [
        (file("a.csv", gb), "line 2 of the file is not UTF-8", "UTF-8"),
        (file("b.csv", "text,output\n".encode("utf-16-le")), "found UTF-16", "'utf-16-le'"),
        (file("c.csv", b""), "empty file", ""),
        (file("d.csv", b"text;name\na;b\n"), "no column for the fields 'subs', 'nick'", "columns="),
        (file("e.csv", b"text,output,text\na,b,c\n"), "'text'", ""),
        (file("f.csv", b'text,output\na,b\nc,"d\ne,f\n'), "from row 3 on", "quotes"),
        (file("g.csv", b"text,output\n"), "found none", ""),
        (file("h.csv", b"text\tname\n"), "no column for the fields 'subs', 'nick'", "columns="),
        (file("i.json", b"{" + good), "expected JSON", ".jsonl"),
        (file("j.json", b'{"rows": []}'), "'rows'", ""),
        (file("k.json", b"3"), "found int", ""),
        (file("l.json", b'["\xb0\xa1"]'), "line 1", "UTF-8"),
        (file("m.json", b"[]"), "found none", ""),
        (file("n.jsonl", b"[\n" + good + b"\n"), "expected JSON", ".jsonl"),
        (file("o.jsonl", b"\n\n"), "found none", ""),
        (file("p.jsonl.gz", gzip.compress(good)[:-9]), "cut short", ""),
        (file("q.jsonl.gz", good), "broken", ""),
        (file("r.parquet", good), "expected a Parquet file", ""),
        (file("s.xlsx", good), "expected an Excel workbook", "CSV"),
        (file("s.xls", good), "unknown file ending .xls", "read_excel"),
        (file("s.ods", good), "unknown file ending .ods", ".parquet"),
        (file("t", good), "unknown file ending (none)", ".jsonl"),
        (tmp_path / "missing.jsonl", "no such file: missing.jsonl", ".jsonl"),
        (tmp_path, "the directory", ".jsonl"),
    ]
    for path, message, hint in cases:
        error = _refused(path)
        assert message in str(error), path.name
        assert hint in _hints(error), path.name


def test_every_ending_is_named_in_the_hint(tmp_path: Path) -> None:
    hints = _hints(_refused(tmp_path / "missing"))
    assert all(ending in hints for ending in ENDINGS)


def test_rows_of_other_width_are_issues(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,output\na,b,c\n\nd\n", encoding="utf-8")
    assert _kinds(_refused(tmp_path / "rows.csv")) == [(2, "invalid_row", ""), (4, "invalid_row", "")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "found none"),
        ({"train": [GOOD]}, "'train'"),
        (b"bytes", "found bytes"),
        (3, "found int"),
        ("a long text of a customer " * 20, "no such file: <"),
        (pd.DataFrame({"body": ["a"], "name": ["b"]}), "expected 'text', found only 'body', 'name'"),
        (pd.DataFrame({"text": ["a"], "label": ["b"]}), "expected 'output', found only 'text', 'label'"),
        (pd.DataFrame({"text": ["a"], "name": ["b"], "subs": [[]]}), "no column for the fields 'nick'"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "several named 'text'"),
    ],
)
def test_no_rows_to_be_had(data: Any, message: str) -> None:
    assert message in str(_refused(data))


def test_a_table_without_the_columns_is_one_error(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(50))}), tmp_path / "rows.parquet")
    error = _refused(tmp_path / "rows.parquet")
    assert error.issues == ()
    assert 'columns={"text"' in _hints(error)


def test_nested_cells_have_to_be_json(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,name,subs,nick\na,n,5 apples,\nb,n,[],\n", encoding="utf-8")
    assert _kinds(_refused(tmp_path / "rows.csv")) == [(2, "invalid_json", "subs")]


class Believing(BaseModel):
    model_config = ConfigDict(extra="ignore")
    sub: Sub | None = None


def test_models_that_ignore_extra_keys_are_believed() -> None:
    schema = Schema.of(Believing)
    assert load_examples([("a", {"more": 1})], schema)[0].output == Believing()
    error = _refused([("a", {"more": 1, "sub": {"amount": 1, "ammount": 2}})], schema)
    assert _kinds(error) == [(1, "unknown_key", "sub.ammount")]


def test_instances_are_validated_again() -> None:
    broken = Record.model_construct(name=5)
    assert [kind for _, kind, _ in _kinds(_refused([("a", broken)]))] == ["invalid_output"]


SECRET = "绝密-Zx9"


class Strict(BaseModel):
    short: Annotated[str, Field(max_length=2)] | None = None
    letters: Annotated[str, Field(pattern="^[a-c]+$")] | None = None
    number: int | None = None
    amount: Decimal | None = None
    real: float | None = None
    flag: bool | None = None
    day: date | None = None
    ident: UUID | None = None
    link: AnyUrl | None = None
    mood: Literal["good", "bad"] | None = None
    checked: str | None = None
    asserted: str | None = None
    by_name: dict[str, int] | None = None
    either: int | list[int] | None = None
    tagged: Annotated[TagA | TagB, Field(discriminator="tag")] | None = None
    sub: Sub | None = None

    @field_validator("checked")
    @classmethod
    def refuse(cls, value: str) -> str:
        raise ValueError(f"bad value: {value}")

    @field_validator("asserted")
    @classmethod
    def assert_not(cls, value: str) -> str:
        assert value == "", f"not {value}"
        return value


class TagA(BaseModel):
    tag: Literal["a"]


class TagB(BaseModel):
    tag: Literal["b"]


Strict.model_rebuild()

BAD_VALUES: dict[str, Any] = {
    **dict.fromkeys(Strict.model_fields, SECRET),
    "tagged": {"tag": SECRET},
    "by_name": {SECRET: SECRET},
    "sub": {"amount": SECRET},
}


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize(
    "form", [lambda v: v, json.dumps, lambda v: {k: (i,) if k == "either" else i for k, i in v.items()}]
)
def test_no_message_quotes_the_record(name: str, form: Callable[[Any], Any]) -> None:
    error = _refused([(f"text {SECRET}", form({name: BAD_VALUES[name]}))], Schema.of(Strict))
    shown = "".join(traceback.format_exception(error)) + _hints(error)
    assert SECRET not in shown
    assert "Zx9" not in shown
    [issue, *_] = error.issues
    assert issue.field.split(".")[0] == name
    assert issue.kind == "invalid_output"


def test_no_message_quotes_a_file_without_header(tmp_path: Path) -> None:
    text = f"{SECRET} is my name and this is a long complaint about everything"
    (tmp_path / "rows.csv").write_text(f'{text},"{{}}"\n', encoding="utf-8")
    assert SECRET not in str(_refused(tmp_path / "rows.csv"))


def test_paths_hide_keys_that_are_data() -> None:
    error = _refused([("a", {"by_name": {SECRET: "x"}})], Schema.of(Strict))
    assert error.issues[0].field == "by_name.*"
    error = _refused([("a", {"sub": {"amount": "x"}, "tagged": {"tag": "c"}})], Schema.of(Strict))
    assert {issue.field for issue in error.issues} == {"sub.amount", "tagged"}


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


@pytest.mark.parametrize(
    ("pet", "unknown"),
    [
        ({"kind": "cat", "lives": 3, "x": 1}, ["pet.x"]),
        ({"kind": "cat", "tricks": []}, ["pet.tricks"]),
        ({"kind": "dog", "y": 1, "tricks": [], "x": 2}, ["pet.y", "pet.x"]),
    ],
)
def test_unknown_keys_in_unions_are_said_once(pet: dict[str, Any], unknown: list[str]) -> None:
    class Owner(BaseModel):
        pet: Cat | Dog

    error = _refused([("a", {"pet": pet})], Schema.of(Owner))
    assert _kinds(error) == [(1, "unknown_key", field) for field in unknown]


class Renamed(BaseModel):
    name: str = Field(validation_alias=AliasChoices("name", "title"))

    @model_validator(mode="before")
    @classmethod
    def unwrap(cls, value: Any) -> Any:
        return value.get("wrapped", value)


def test_keys_that_the_model_does_read_are_known() -> None:
    schema = Schema.of(Renamed)
    for output in ({"name": "n"}, {"title": "n"}, {"wrapped": {"title": "n"}}):
        assert load_examples([("a", output)], schema)[0].output.name == "n"
    assert _kinds(_refused([("a", {"wrapped": {"title": "n", "x": 1}})], schema))[0][1] == "unknown_key"


class Changing(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def grow(cls, value: str) -> str:
        return value + "!"


def test_records_that_change_each_time_they_are_parsed() -> None:
    error = _refused([("a", {"name": SECRET})], Schema.of(Changing))
    assert _kinds(error) == [(1, "invalid_output", "")]
    assert SECRET not in "".join(traceback.format_exception(error))


def test_missing_values_of_tables() -> None:
    frame = pd.DataFrame(
        {"text": ["a", None, float("nan"), pd.NA], "output": [{"name": "n", "nick": float("nan")}] * 4}
    )
    assert [kind for _, kind, _ in _kinds(_refused(frame))] == ["missing_text"] * 3
    assert load_examples(frame[:1], SCHEMA)[0].output == Record(name="n")


def test_objects_without_json_form() -> None:
    assert _kinds(_refused([("a", {"name": object()})])) == [(1, "invalid_output", "")]


def test_rows_are_lazy_and_can_fail() -> None:
    def rows() -> Any:
        yield GOOD
        raise RuntimeError("source went away")

    with pytest.raises(RuntimeError, match="went away"):
        load_examples(rows(), SCHEMA)
