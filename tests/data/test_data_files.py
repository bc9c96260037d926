"""Files as people have them: encodings, spreadsheets, lists and folders of files, JSON under the wrong name, bombs."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import datasets
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, field_validator

from extractft.data import (
    Example,
    check_examples,
    iter_text_rows,
    iter_texts,
    load_examples,
    load_numbered_examples,
    text_encoding,
)
from extractft.errors import DatasetError, MissingDependencyError, RowIssue
from extractft.schema import Schema
from timing import assert_within


class Person(BaseModel):
    name: str | None = None


SCHEMA = Schema.of(Person)
LONG_LIN = [Example("龙琳来电", Person(name="龙琳"))]


def _file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _refused(data: Any, schema: Schema[Any] = SCHEMA, **kwargs: Any) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load_examples(data, schema, **kwargs)
    return caught.value


def _said(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


# Encodings

FORMS: dict[str, Callable[[str, str], str]] = {
    "rows.csv": lambda text, name: f"text,name\r\n{text},{name}\r\n",
    "rows.tsv": lambda text, name: f"text\tname\n{text}\t{name}\n",
    "rows.jsonl": lambda text, name: json.dumps({"text": text, "name": name}, ensure_ascii=False) + "\n",
    "rows.json": lambda text, name: json.dumps([{"text": text, "name": name}], ensure_ascii=False),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["gb18030", "GBK", "big5", "utf-16", "utf-16-le", "utf_32", "utf-8-sig", "utf-8"])
def test_encodings(form: str, encoding: str, tmp_path: Path) -> None:
    content = FORMS[form]("龍琳來電", "龍琳").encode(encoding)
    for name in (form, f"{form}.gz"):
        path = _file(tmp_path, name, gzip.compress(content) if name.endswith(".gz") else content)
        expected = [Example("龍琳來電", Person(name="龍琳"))]
        assert load_examples(path, SCHEMA, encoding=encoding) == expected
        assert list(iter_texts(path, encoding=encoding)) == ["龍琳來電"]
        if encoding in ("utf-16", "utf_32", "utf-8-sig"):  # with a mark nobody has to say it, or may say another
            assert load_examples(path, SCHEMA) == expected
            assert load_examples(path, SCHEMA, encoding="gb18030") == expected


SAMPLES = {
    "gb18030": "龙琳来电，说快递还没有收到，要求退款",
    "big5": "龍琳來電，說快遞還沒有收到，要求退款",
    "shift_jis": "お問い合わせありがとうございます。返金をお願いします",
    "euc_kr": "안녕하세요 환불을 요청합니다",
    "cp1252": "Müller möchte sein Geld zurück, très déçu",
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_an_encoding_is_guessed_and_said_but_never_taken(encoding: str, tmp_path: Path) -> None:
    text = SAMPLES[encoding]
    for form, write in FORMS.items():
        error = _refused(_file(tmp_path, form, write(text, "x").encode(encoding)))
        assert encoding in _said(error).lower()
        assert "encoding=" in _said(error)
        assert text[:2] not in _said(error)
    found = list(iter_text_rows(io.BytesIO(text.encode(encoding))))
    assert [issue.kind for _, issue in found if isinstance(issue, RowIssue)] == ["encoding"]


def test_bytes_of_no_known_encoding_are_not_guessed() -> None:
    assert text_encoding.guess_encoding(bytes(range(128, 256))) is None
    assert text_encoding.guess_encoding(b"plain") is None


def test_a_wrong_encoding_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "text,name\nx,y\n")
    for name in ("gb1803", "base64", "", "a text of a customer"):
        error = _refused(path, encoding=name)
        assert "expected the name of an encoding" in str(error)
        assert "customer" not in str(error)
    assert "in the first line" in str(_refused(_file(tmp_path, "b.csv", b"text,name\nx"), encoding="utf-16-le"))


@pytest.mark.parametrize("form", [*FORMS, "rows.txt"])
def test_bytes_in_another_encoding_than_the_one_that_was_given(form: str, tmp_path: Path) -> None:
    write = FORMS.get(form, lambda text, _: f"{text}\n")
    path = _file(tmp_path, form, write(SAMPLES["gb18030"], "x").encode("gb18030"))
    for encoding in ("ascii", "utf-8", "utf-16", "utf-16-be", "shift_jis"):
        reads = [lambda encoding=encoding: list(iter_texts(path, encoding=encoding))]
        if form in FORMS:
            reads.append(lambda encoding=encoding: load_examples(path, SCHEMA, encoding=encoding))
        for read in reads:
            with pytest.raises(DatasetError) as caught:
                read()
            assert "encoding" in _said(caught.value)
            assert "load_examples(path, schema, encoding=" in _said(caught.value) or "garbled" in _said(caught.value)


GARBLED = {
    "rows.csv": lambda text: f"文本,name\r\n{text},x\r\n",
    "rows.tsv": lambda text: f"文本\tname\n{text}\tx\n",
    "rows.jsonl": lambda text: json.dumps({"文本": text, "name": "x"}, ensure_ascii=False) + "\n",
    "rows.json": lambda text: json.dumps([{"文本": text, "name": "x"}], ensure_ascii=False),
}


@pytest.mark.parametrize("form", GARBLED)
@pytest.mark.parametrize(("real", "given"), [("gb18030", "cp1252"), ("utf-8", "latin-1"), ("big5", "cp437")])
def test_a_wrong_encoding_that_decodes_is_suspected_where_columns_are_missing(
    form: str, real: str, given: str, tmp_path: Path
) -> None:
    text = SAMPLES.get(real, SAMPLES["gb18030"])
    path = _file(tmp_path, form, GARBLED[form](text).encode(real))
    looks = f"it looks like {real.upper()} rather than "
    error = _refused(path, encoding=given, columns={"text": "文本"})
    assert looks in _said(error)
    with pytest.raises(DatasetError) as caught:
        list(iter_texts(path, "文本", encoding=given))
    assert looks in _said(caught.value)
    assert len(list(iter_texts(path, "文本", encoding=real))) == 1


@pytest.mark.parametrize(("real", "given"), [("gb18030", "gbk"), ("big5", "cp950"), ("utf-8", None), ("utf-8", "utf8")])
def test_the_right_encoding_is_not_suspected(real: str, given: str | None, tmp_path: Path) -> None:
    for form, write in GARBLED.items():
        path = _file(tmp_path, form, write(SAMPLES.get(real, SAMPLES["gb18030"])).encode(real))
        assert "garbled" not in _said(_refused(path, encoding=given, columns={"text": "content"}))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30), min_size=1, max_size=5))
def test_wide_lines_are_those_of_the_same_text_in_utf_8(lines: list[str]) -> None:
    text = "x" + "\n".join(lines)
    expected = list(text_encoding.decode_lines(io.BytesIO(text.encode()), "a", "utf-8"))
    for encoding in ("utf-16", "utf-16-be", "utf-32", "utf-7", "gb18030"):
        assert list(text_encoding.decode_lines(io.BytesIO(text.encode(encoding)), "a", encoding)) == expected


# CSV as Excel and databases write it


@pytest.mark.parametrize(
    "content",
    [
        "text;name\nNeu; alt\n",
        '\ufefftext;name\r\n"Neu";" alt"\r\n',
        "sep=;\r\ntext;name\r\nNeu; alt\r\n",
        "\n\ntext|name\nNeu| alt\n",
        "text\tname\nNeu\t alt\n",
        "text,name\rNeu, alt\r",
        "text,name\r\r\nNeu, alt\r\r\n",
        "text,name,,\nNeu, alt,,\n,,,\n , ,,\n\n",
        ",text,name\n0,Neu, alt\n",
    ],
)
def test_tables_of_other_programs(content: str, tmp_path: Path) -> None:
    assert load_examples(_file(tmp_path, "a.csv", content), SCHEMA) == [Example("Neu", Person(name=" alt"))]


def test_a_row_has_the_number_of_its_first_line(tmp_path: Path) -> None:
    content = '\ntext,name\n"a\nb",x\n\n,y\n"c\n\nd",z\n,"1\n2"\n'
    path = _file(tmp_path, "a.csv", content)
    assert [issue.row for issue in _refused(path).issues] == [6, 10]
    assert [number for number, text in iter_text_rows(path) if isinstance(text, str)] == [3, 7]
    good = _file(tmp_path, "b.csv", 'text,name\n"a\nb",x\nc,y\n')
    assert load_numbered_examples(good, SCHEMA).numbers == [2, 4]


def test_loaded_examples_are_data_and_keep_their_numbers(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.csv", "text,name\n龙琳来电,龙琳\n".encode("gb18030"))
    loaded = load_numbered_examples(path, SCHEMA, encoding="gb18030")
    assert load_numbered_examples(loaded, SCHEMA) == loaded
    assert load_examples(loaded, SCHEMA) == LONG_LIN
    assert loaded.numbers == [2]


def test_findings_have_the_numbers_of_the_file(tmp_path: Path) -> None:
    loaded = load_numbered_examples(_file(tmp_path, "a.csv", "text,name\na,x\n\na,y\n"), SCHEMA)
    report = check_examples(loaded.examples, SCHEMA).renumbered(loaded.numbers, [])
    assert report.of_kind("conflict")[0].rows == (2, 4)


# Excel


class Booking(BaseModel):
    name: str
    phone: str | None = None
    amount: float | None = None
    count: int | None = None
    on: date | None = None
    at: datetime | None = None
    paid: bool | None = None
    tags: list[str] = []


BOOKING = Schema.of(Booking)


def _workbook(path: Path, *sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for number, rows in enumerate(sheets):
        sheet = book.worksheets[0] if number == 0 else book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


HEADER = ["text", "name", "phone", "amount", "count", "on", "at", "paid", "tags"]


def test_excel(tmp_path: Path) -> None:
    at = datetime(2024, 3, 1, 12, 30)
    rows = [
        ["青山 10086", 77, 10086, 12.5, 3, at.date(), at, True, '["a"]'],
        ["b", "x", None, 0.1 + 0.2, 3.0, datetime(2024, 3, 1), datetime(2024, 3, 1), False, None],
        [None] * 9,
        ["c\nd", "y", "007", 1e-7],
    ]
    path = _workbook(tmp_path / "a.xlsx", [HEADER, *rows], [])
    loaded = load_numbered_examples(path, BOOKING)
    assert [example.text for example in loaded.examples] == ["青山 10086", "b", "c\nd"]
    assert loaded.numbers == [2, 3, 5]
    assert [example.output for example in loaded.examples] == [
        Booking(name="77", phone="10086", amount=12.5, count=3, on=at.date(), at=at, paid=True, tags=["a"]),
        Booking(name="x", amount=0.3, count=3, on=at.date(), at=datetime(2024, 3, 1), paid=False),
        Booking(name="y", phone="007", amount=1e-7),
    ]
    assert list(iter_texts(path)) == ["青山 10086", "b", "c\nd"]
    assert [number for number, _ in iter_text_rows(path, "name")] == [2, 3, 5]


def test_excel_cells_as_they_are_shown(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "a.xlsx", [["text", "name"], [1234, 1234], [timedelta(hours=2), "a"]])
    book = openpyxl.load_workbook(path)
    book.active["B2"].number_format = "000000"
    book.save(path)
    first, second = load_examples(path, SCHEMA)
    assert (first.text, first.output.name) == ("1234", "001234")
    assert second.text == "PT2H"


def test_excel_sheets_with_a_wrong_size_and_hidden_ones(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "a.xlsx", [["text", "name"], ["a_x000D_\nb", "x"], ["c", "y"]], [["lists"]])
    book = openpyxl.load_workbook(path)
    book.worksheets[1].sheet_state = "hidden"
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert b'<dimension ref="A1:B3"' in parts["xl/worksheets/sheet1.xml"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"'))
    assert [example.text for example in load_examples(path, SCHEMA)] == ["a\r\nb", "c"]


def test_excel_rows_have_the_numbers_of_the_sheet(tmp_path: Path) -> None:
    path = _workbook(tmp_path / "a.xlsx", [[], ["text", "name"], ["a", "x"], [], ["\u3000", "y"], ["b", "=1+1"]])
    error = _refused(path)
    assert [(issue.row, issue.kind) for issue in error.issues] == [(5, "empty_text"), (6, "invalid_row")]
    assert "formula" in error.issues[1].message


def test_excel_files_that_are_no_table(tmp_path: Path) -> None:
    good = [["text", "name"], ["a", "x"]]
    assert "found 2" in str(_refused(_workbook(tmp_path / "a.xlsx", good, good)))
    assert "empty workbook" in str(_refused(_workbook(tmp_path / "b.xlsx", [])))
    assert "several named" in str(_refused(_workbook(tmp_path / "c.xlsx", [["text", "text"]])))
    book = openpyxl.load_workbook(_workbook(tmp_path / "d.xlsx", [*good, ["b", "y"]]))
    book.active.merge_cells("B2:B3")
    book.save(tmp_path / "d.xlsx")
    assert "merged cells" in str(_refused(tmp_path / "d.xlsx"))
    for name, content in {"e.xlsx": b"PK\x03\x04", "f.xlsx": b"text,name\n", "g.xlsx": b""}.items():
        error = _refused(_file(tmp_path, name, content))
        assert "expected an Excel workbook" in str(error)
    assert "read_excel" in _said(_refused(_file(tmp_path, "h.xls", b"\xd0\xcf\x11\xe0")))


def test_excel_without_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _workbook(tmp_path / "a.xlsx", [["text", "name"], ["a", "x"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match="openpyxl") as caught:
        load_examples(path, SCHEMA)
    assert "pip install" in _said(caught.value)


CELLS = st.one_of(
    st.integers(-(10**14), 10**14),
    st.floats(-1e12, 1e12).map(lambda number: round(number, 3) + 0.0),
    st.booleans(),
    st.dates(date(1950, 1, 1), date(2100, 1, 1)),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x9FFF, exclude_categories=["C", "M"]), min_size=1).filter(
        lambda text: not text.startswith("=")
    ),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=5))
def test_excel_and_csv_of_the_same_cells_agree(cells: list[Any], tmp_path: Path) -> None:
    rows = [["text", "name"], *[[f"row {number}", cell] for number, cell in enumerate(cells)]]
    path = _workbook(tmp_path / "a.xlsx", rows)
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[_written(cell) for cell in row] for row in rows])
    assert load_examples(path, SCHEMA) == load_examples(tmp_path / "a.csv", SCHEMA)


def _written(cell: Any) -> Any:
    if isinstance(cell, bool):
        return str(cell).upper()
    return format(cell, ".15g") if isinstance(cell, float) else cell


# Several files


def _rows(*names: str) -> str:
    return "".join(json.dumps({"text": f"{name} called", "name": name}) + "\n" for name in names)


def test_lists_patterns_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _file(tmp_path, "a.jsonl", _rows("Ann", "Bo"))
    second = _file(tmp_path, "b.jsonl.gz", gzip.compress(_rows("Cleo").encode()))
    _file(tmp_path, ".hidden.jsonl", "broken")
    _file(tmp_path, "notes.md", "broken")
    monkeypatch.chdir(tmp_path)
    names = ["Ann", "Bo", "Cleo"]
    for data in (
        tmp_path,
        str(tmp_path),
        f"{tmp_path}/*.jsonl*",
        "*.jsonl*",
        [first, second],
        ("a.jsonl", str(second)),
        ["."],
    ):
        assert [example.output.name for example in load_examples(data, SCHEMA)] == names
        assert load_numbered_examples(data, SCHEMA).numbers == [1, 2, 3]
        assert list(iter_texts(data)) == [f"{name} called" for name in names]  # type: ignore[arg-type]
        assert [number for number, _ in iter_text_rows(data)] == [1, 2, 3]  # type: ignore[arg-type]
    assert [example.output.name for example in load_examples([second, first], SCHEMA)] == ["Cleo", "Ann", "Bo"]


def test_files_of_different_formats_in_one_list(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["Bo called"], "name": ["Bo"]}), tmp_path / "b.parquet")
    files = [
        _file(tmp_path, "a.csv", "text,name\nAnn called,Ann\n"),
        tmp_path / "b.parquet",
        _file(tmp_path, "c.txt", "Cleo called\n"),
    ]
    assert [example.output.name for example in load_examples(files[:2], SCHEMA)] == ["Ann", "Bo"]
    assert list(iter_texts(files)) == ["Ann called", "Bo called", "Cleo called"]


def test_issues_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    files = [_file(tmp_path / "x", "a.csv", "text,name\n,Ann\n"), _file(tmp_path / "y", "a.csv", "text,name\n,Ann\n")]
    error = _refused(files)
    assert [(Path(issue.file), issue.row) for issue in error.issues] == [(files[0], 2), (files[1], 2)]
    assert str(error).startswith("2 files: 2 of 2 rows cannot be used")
    assert f"{files[1].as_posix()}, row 2: the text is empty" in str(error)
    found = [issue for _, issue in iter_text_rows(files)]
    assert [issue.file for issue in found if isinstance(issue, RowIssue)] == [file.as_posix() for file in files]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train.jsonl", "test.jsonl"], "several splits"),
        (["data.jsonl", "test.jsonl"], "several splits"),
        (["a.jsonl", "b.csv"], "several formats"),
        (["notes.md"], "no .jsonl"),
        (["dataset_info.json", "data.jsonl"], "saved dataset"),
    ],
)
def test_folders_that_do_not_say_which_files(names: list[str], message: str, tmp_path: Path) -> None:
    for name in names:
        _file(tmp_path, name, _rows("Ann"))
    assert message in str(_refused(tmp_path))


def test_a_folder_of_shards_of_one_split(tmp_path: Path) -> None:
    for number in range(3):
        _file(tmp_path, f"train-0000{number}-of-00003.jsonl", _rows(f"Ann{number}"))
    assert len(load_examples(tmp_path, SCHEMA)) == 3


def test_a_folder_that_datasets_saved(tmp_path: Path) -> None:
    rows = [{"text": f"a bill of {name}", "name": name} for name in ("Ann", "Ben")]
    dataset = datasets.Dataset.from_list(rows)
    dataset.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": dataset, "test": dataset}).save_to_disk(tmp_path / "splits")
    expected = load_examples(dataset, SCHEMA)
    assert len(expected) == 2
    for folder in (tmp_path / "one", str(tmp_path / "one"), tmp_path / "splits" / "train", [tmp_path / "one"]):
        assert load_examples(folder, SCHEMA) == expected
    assert list(iter_texts(tmp_path / "one")) == [row["text"] for row in rows]
    error = _refused(tmp_path / "splits")
    assert "saved dataset" in str(error)
    assert "splits/train" in _said(error)
    next((tmp_path / "one").glob("*.arrow")).write_bytes(b"no arrow")
    assert "cannot be read" in str(_refused(tmp_path / "one"))


def test_paths_that_name_nothing(tmp_path: Path) -> None:
    for data in (tmp_path / "no.jsonl", f"{tmp_path}/*.csv", [tmp_path / "no.jsonl"], ["no.jsonl"], ""):
        assert "no such file" in str(_refused(data))
    assert [issue.kind for issue in _refused(["a text", "another"]).issues] == ["invalid_row"] * 2


def test_objects_that_are_no_rows(tmp_path: Path) -> None:
    split = datasets.DatasetDict({"train": datasets.Dataset.from_list([{"text": "a", "name": "b"}])})
    error = _refused(split)
    assert "'train'" in str(error)
    assert '["train"]' in _said(error)
    assert "DataFrame(data)" in _said(_refused({"text": ["a"], "name": ["b"]}))
    with _file(tmp_path, "a.jsonl", _rows("Ann")).open() as file:
        assert "open file" in str(_refused(file))
    with pytest.raises(DatasetError, match="expected a path"):
        iter_texts(7)  # type: ignore[arg-type]


def test_numbers_where_a_frame_should_have_text() -> None:
    error = _refused(pd.DataFrame({"text": ["a"], "name": [10086]}))
    assert "dtype=str" in _said(error)


def test_values_of_numpy_pandas_and_arrow(tmp_path: Path) -> None:
    class Nested(BaseModel):
        name: str | None = None
        scores: list[float] = []
        part: Person | None = None

    rows = [
        {"text": "a", "name": "x", "scores": [1.5, 2.0], "part": {"name": "y"}},
        {"text": "b", "name": None, "scores": [], "part": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    expected = load_examples(rows, Schema.of(Nested))
    for data in (tmp_path / "a.parquet", pd.read_parquet(tmp_path / "a.parquet"), (row for row in rows)):
        assert load_examples(data, Schema.of(Nested)) == expected
    frame = pd.DataFrame(rows).convert_dtypes()
    frame["name"] = pd.array(["x", pd.NA], dtype="string")
    assert load_examples(frame, Schema.of(Nested)) == expected
    assert type(load_examples(pd.DataFrame(rows), Schema.of(Nested))[0].text) is str


# JSON under another name


LAYOUTS: dict[str, Callable[[list[Any]], str]] = {
    "one line": json.dumps,
    "indented": lambda rows: json.dumps(rows, indent=2),
    "a row a line": lambda rows: "[" + ",\n".join(map(json.dumps, rows)) + "]",
    "brackets alone": lambda rows: "\n[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
    "compact": lambda rows: json.dumps(rows, separators=(",", ":")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_json_list_is_read_wherever_it_stands(layout: str, count: int, tmp_path: Path) -> None:
    rows = [{"text": f"Person {i}", "output": {"name": f"Person {i}"}} for i in range(count)]
    expected = load_examples(rows, SCHEMA)
    content = LAYOUTS[layout](rows)
    texts = LAYOUTS[layout]([row["text"] for row in rows])
    for name in ("a.jsonl", "a.json", "a.ndjson"):
        path = _file(tmp_path, name, content)
        assert load_examples(path, SCHEMA) == expected
        assert list(iter_texts(path)) == [row["text"] for row in rows]
        assert list(iter_texts(_file(tmp_path, f"texts-{name}", texts))) == [row["text"] for row in rows]
    for stream in (content, texts, "\n" + content):
        assert list(iter_text_rows(io.BytesIO(stream.encode()))) == [(i + 1, row["text"]) for i, row in enumerate(rows)]


def test_pairs_in_json_lines_stay_pairs(tmp_path: Path) -> None:
    for line in ('["龙琳来电", {"name": "龙琳"}]', '["龙琳来电", "{\\"name\\": \\"龙琳\\"}"]'):
        assert load_examples(_file(tmp_path, "a.jsonl", line), SCHEMA) == LONG_LIN
        assert load_examples(_file(tmp_path, "a.jsonl", f"{line}\n{line}\n"), SCHEMA) == LONG_LIN * 2
        assert load_examples(_file(tmp_path, "a.jsonl", f"[{line}]"), SCHEMA) == LONG_LIN
    error = _refused(_file(tmp_path, "a.jsonl", '["a", {broken]\n["b", {}]\n'))
    assert [(issue.row, issue.kind) for issue in error.issues] == [(1, "invalid_json")]


def test_json_lines_in_a_json_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.json", _rows("Ann", "Bo") + "\n{broken\n")
    assert [(issue.row, issue.kind) for issue in _refused(path).issues] == [(4, "invalid_json")]
    assert len(load_examples(_file(tmp_path, "b.json", _rows("Ann", "Bo")), SCHEMA)) == 2


@pytest.mark.parametrize("orient", ["split", "records"])
def test_json_of_pandas(orient: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["龙琳"], "text": ["龙琳来电"]})
    frame.to_json(tmp_path / "a.json", orient=orient)
    assert load_examples(tmp_path / "a.json", SCHEMA) == LONG_LIN


@pytest.mark.parametrize("other", ["other", "rows"])
def test_rows_beside_data_do_not_vanish(other: str, tmp_path: Path) -> None:
    rows = [{"text": "a", "name": "x"}]
    path = _file(tmp_path, "a.json", json.dumps({"data": rows, other: rows}))
    assert "1 more list beside it" in str(_refused(path))
    whole = {"data": rows, "tags": ["a"], "version": 1, other: []}
    assert len(load_examples(_file(tmp_path, "b.json", json.dumps(whole)), SCHEMA)) == 1


@pytest.mark.parametrize("error", ["#N/A", "#DIV/0!"])
def test_errors_of_excel_are_issues_of_their_rows(error: str, tmp_path: Path) -> None:
    rows = [["text", "name"], ["a", "x"], ["b", error], [error, "y"], ["c", "z"]]
    path = _workbook(tmp_path / "a.xlsx", rows)
    assert openpyxl.load_workbook(path).worksheets[0]["B3"].data_type == "e"
    assert [(issue.row, issue.kind) for issue in _refused(path).issues] == [(3, "invalid_row"), (4, "invalid_row")]


def test_objects_over_several_lines(tmp_path: Path) -> None:
    path = _file(tmp_path, "a.jsonl", json.dumps({"text": "a", "name": "b"}, indent=1) * 2)
    assert "objects over several lines" in str(_refused(path))


def test_lines_of_text_that_begin_with_a_bracket() -> None:
    for text in ("[2024-05-01] started", "[1]", "[a] [b]"):
        assert list(iter_texts(io.BytesIO(f"{text}\nmore\n".encode()))) == [text, "more"]
    with pytest.raises(DatasetError, match="JSON"):
        list(iter_texts(io.BytesIO(b'[{"text": "a"},\n{"text"')))


# Blank texts


@pytest.mark.parametrize("blank", ["", " ", "\u3000", "\u200b", "\ufeff \u2060", "\x00"])
def test_blank_texts_are_one_kind_of_issue_everywhere(blank: str, tmp_path: Path) -> None:
    rows = [{"text": "a", "name": "x"}, {"text": blank, "name": "y"}]
    path = _file(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    for data in (rows, path, pd.DataFrame(rows), [("a", {}), (blank, {}), (None, {})][:2]):
        assert [(issue.row, issue.kind) for issue in _refused(data).issues] == [(2, "empty_text")]
    found = dict(iter_text_rows(path))
    assert isinstance(found[2], RowIssue)
    assert found[2].kind == "empty_text"


# Privacy

SECRETS = ["Zyxwuth Qvorple", "zyx@qvorple.example", "8137402956", "王小明"]


def test_a_file_without_a_header_is_not_quoted(tmp_path: Path) -> None:
    line = ",".join(SECRETS)
    files = [_file(tmp_path, name, f"{line}\nAnna,a@b.example,5551234,x\n") for name in ("a.csv", "a.tsv")]
    files.append(_file(tmp_path, "twice.csv", f"{line},{line}\n"))
    files.append(_workbook(tmp_path / "a.xlsx", [SECRETS, ["x"] * 4]))
    pq.write_table(pa.table({secret: ["x"] for secret in SECRETS}), tmp_path / "a.parquet")
    frame = pd.DataFrame([["x"] * 4], columns=SECRETS)
    mapping = dict.fromkeys(SECRETS, "x")
    for data in (
        *files,
        tmp_path / "a.parquet",
        frame,
        mapping,
        [mapping],
        [{**mapping, "text": "a", "output": mapping}],
    ):
        error = _refused(data)
        assert not any(secret in _said(error) for secret in SECRETS[:3]), _said(error)
    for data in (files[0], frame, [mapping]):
        assert "is there a header?" in _said(_refused(data))
        assert "王小明" not in _said(_refused(data))
    with pytest.raises(DatasetError) as caught:
        iter_texts(files[0])
    assert not any(secret in _said(caught.value) for secret in SECRETS)


def test_chinese_column_names_are_named_and_persons_are_not(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        iter_texts(_file(tmp_path, "a.csv", "编号,消息\n1,你好\n"))
    assert "found only '编号', '消息'; is '消息' it?" in _said(caught.value)
    with pytest.raises(DatasetError) as caught:
        iter_texts(_file(tmp_path, "b.csv", "王小明,李四\n1,你好\n"))
    assert "found only 2 others (is there a header?)" in _said(caught.value)


@pytest.mark.parametrize(
    "text",
    ["Zyxwuth wants his money back", "Zyxwuth", "zyxwuth@qvorple.example", "Zyxwuth?", "*Zyxwuth*", "Zyxwuth\n.csv", "Zyxwuth Ltd. Co"],
)  # fmt: skip
def test_a_text_instead_of_a_path_is_not_quoted(text: str) -> None:
    for data in (text, text * 50, [text]):
        assert "yxwuth" not in _said(_refused(data))
    with pytest.raises(DatasetError) as caught:
        iter_texts(text)
    assert "yxwuth" not in _said(caught.value)


def test_keys_of_records_that_are_no_names_are_not_quoted() -> None:
    error = _refused([("a", dict.fromkeys(SECRETS[:3], 1))])
    assert not any(secret in _said(error) for secret in SECRETS[:3])
    assert [issue.kind for issue in error.issues] == ["unknown_key"] * 3


# Bombs


def test_deep_nesting_spoils_its_row_alone(tmp_path: Path) -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    rows = [("a", {"name": deep}), ("b", {"name": "Bo"}), {"messages": deep}]
    assert [issue.row for issue in _refused(rows).issues] == [1, 3]
    path = _file(tmp_path, "a.jsonl", f'{{"text": "a", "output": {"[" * 900}{"]" * 900}}}\n' + _rows("Bo"))
    assert {issue.row for issue in _refused(path).issues} == {1}


def test_a_validator_that_fails_spoils_its_row_alone() -> None:
    class Fragile(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def first(cls, value: str) -> str:
            return value if value != "Zyxwuth" else [][0]

    error = _refused(
        [("a", {"name": "Zyxwuth"}), ("b", {"name": "Bo"}), ("c", '{"name": "Zyxwuth"}')], Schema.of(Fragile)
    )
    assert [(issue.row, issue.kind) for issue in error.issues] == [(1, "invalid_output"), (3, "invalid_output")]
    assert "IndexError" in str(error)
    assert "Zyxwuth" not in str(error)


def test_many_unknown_keys_and_columns_are_quick_and_told_in_short(tmp_path: Path) -> None:
    row = {"text": "t", "output": {"name": "a", **{f"k{j}": 1 for j in range(50_000)}}}
    error = _refused([row])
    assert len(error.issues) == 21
    assert "and 49980 more" in error.issues[-1].message
    assert_within(lambda: _refused([row]), 5)
    path = _file(tmp_path, "w.csv", ",".join(f"c{i}" for i in range(50_000)) + "\n1\n")
    assert_within(lambda: _refused(path), 5)
    bad = {"text": "t", "output": {"name": "a", **{f"k{j}": {"x": 1} for j in range(2_000)}}}
    assert len(str(_refused([bad] * 50))) < 4_000


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(text_encoding, "LONGEST_LINE", 2**20)
    return 2**20


def test_lines_are_bounded(short_lines: int, tmp_path: Path) -> None:
    bomb = b'{"text": "' + b"a" * (64 * short_lines) + b'", "output": {}}\n' + _rows("Bo").encode()
    for encoding in (None, "utf-16"):
        content = bomb if encoding is None else bomb.decode().encode("utf-16")
        path = _file(tmp_path, "a.jsonl.gz", gzip.compress(content))
        assert path.stat().st_size < short_lines
        del content
        tracemalloc.start()
        error = _refused(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "longer than" in str(error)
        assert peak < 16 * short_lines
    path = _file(tmp_path, "b.jsonl.gz", gzip.compress(bomb))
    assert [(n, t if isinstance(t, str) else t.kind) for n, t in iter_text_rows(path)] == [
        (1, "too_long"),
        (2, "Bo called"),
    ]
    path = _file(tmp_path, "a.csv.gz", gzip.compress(b"text,name\n" + b"a" * (64 * short_lines)))
    assert "line 2" in str(_refused(path))


def test_texts_with_many_brackets_are_checked_quickly() -> None:
    texts = ["{" * 20_000, '{"name":' * 2_500, "[" * 20_000 + '{"name": "x"}', '{"name": "y"} ' * 1_500]
    rows = [Example(text, Person(name="z")) for text in texts]
    assert_within(lambda: check_examples(rows, SCHEMA), 2)
