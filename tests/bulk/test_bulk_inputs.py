"""Files as people have them: other encodings, spreadsheets, nested columns, compressed, cut off; and their row numbers."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_doubles import InstantExtractor, lines_of

from extractft import bulk
from extractft.errors import DatasetError


def rows_of(folder: Path) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(folder / "shards").to_pylist()
    return table


def test_a_gbk_csv_with_line_breaks_in_cells(extractor: InstantExtractor, tmp_path: Path) -> None:
    path = tmp_path / "投诉.csv"
    path.write_bytes('编号,消息\r\n001,"茶 1\r\n第二行"\r\n002,米 22\r\n'.encode("gbk"))
    with pytest.raises(DatasetError, match="UTF-8") as caught:
        bulk.run(extractor, path, tmp_path / "out", text_column="消息")
    assert any("gb18030" in note for note in caught.value.__notes__)
    bulk.run(extractor, path, tmp_path / "out", text_column="消息", id_column="编号", encoding="gb18030")
    assert extractor.asked == ["茶 1\r\n第二行", "米 22"]
    assert [(row["id"], row["row"], row["name"]) for row in rows_of(tmp_path / "out")] == [
        ("001", 2, "茶"),
        ("002", 4, "米"),
    ]


def test_a_workbook_with_numbers_as_text_and_dates_as_dates(extractor: InstantExtractor, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (
        ["code", "day", "text"],
        ["007", date(2024, 3, 1), "tea 1"],
        [None, None, None],
        ["12", date(2024, 3, 2), "rice"],
    ):
        sheet.append(row)
    book.save(tmp_path / "calls.xlsx")
    bulk.run(extractor, tmp_path / "calls.xlsx", tmp_path / "out", id_column="code", keep_columns=("day",))
    assert [(row["id"], row["row"], row["day"]) for row in rows_of(tmp_path / "out")] == [
        ("007", 2, "2024-03-01"),
        ("12", 4, "2024-03-02"),
    ]


def test_a_parquet_file_with_nested_columns(extractor: InstantExtractor, tmp_path: Path) -> None:
    rows = [
        {"id": 5, "message": {"body": "tea 1", "lang": "en"}, "seen": [{"at": date(2024, 3, 1)}], "score": 0.5},
        {"id": 6, "message": {"body": "rice", "lang": None}, "seen": [], "score": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "calls.parquet")
    settings: dict[str, Any] = {"id_column": "id", "text_column": "message.body"}
    kept = ("message", "seen", "score", "message.lang")
    bulk.run(extractor, tmp_path / "calls.parquet", tmp_path / "out", keep_columns=kept, **settings)
    found = rows_of(tmp_path / "out")
    assert [row["id"] for row in found] == ["5", "6"]
    assert [{name: row[name] for name in ("message", "seen", "score")} for row in found] == [
        {name: row[name] for name in ("message", "seen", "score")} for row in rows
    ]
    assert [row["message.lang"] for row in found] == ["en", None]
    bulk.run(
        extractor, tmp_path / "calls.parquet", tmp_path / "lines", keep_columns=("seen",), format="jsonl", **settings
    )
    assert lines_of(tmp_path / "lines", "shards")[0]["input"] == {"seen": [{"at": "2024-03-01"}]}


def _zst(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


PACKED = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": _zst}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("form", ["texts.jsonl", "texts.csv", "texts.txt"])
def test_compressed_files(extractor: InstantExtractor, tmp_path: Path, form: str, ending: str) -> None:
    content = {"texts.jsonl": b'{"text": "tea 1"}\n\n{"text": "rice"}\n', "texts.csv": b"text\ntea 1\nrice\n"}
    path = tmp_path / f"{form}{ending}"
    path.write_bytes(PACKED[ending](content.get(form, b"tea 1\nrice\n")))
    bulk.run(extractor, path, tmp_path / "out")
    numbers = {"texts.jsonl": [1, 3], "texts.csv": [2, 3], "texts.txt": [1, 2]}
    assert [row["row"] for row in rows_of(tmp_path / "out")] == numbers[form]
    assert extractor.asked == ["tea 1", "rice"]


@pytest.mark.parametrize("ending", PACKED)
def test_a_compressed_file_that_is_cut_off_is_refused_at_once(
    extractor: InstantExtractor, tmp_path: Path, ending: str
) -> None:
    content = "".join(f'{{"text": "tea {number * 7919 % 10007}"}}\n' for number in range(5000)).encode()
    path = tmp_path / f"texts.jsonl{ending}"
    packed = PACKED[ending](content)
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DatasetError, match="cut short"):
        bulk.run(extractor, path, tmp_path / "out")
    assert extractor.asked == []


def test_a_last_line_that_is_cut_off_fails_alone(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl([{"text": "tea 1"}, {"text": "rice"}], end='{"text": "sal')
    summary = bulk.run(extractor, path, tmp_path / "out")
    assert (summary.records, summary.failed) == (2, 1)
    (line,) = lines_of(tmp_path / "out", "failed")
    assert (line["id"], line["row"], line["error"]) == ("3", 3, "DatasetError")
    assert "sal" not in line["message"]


def test_a_csv_that_is_cut_off_within_quotes_is_refused_at_once(extractor: InstantExtractor, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text('text\ntea\n"rice and')
    with pytest.raises(DatasetError, match="row 3"):
        bulk.run(extractor, path, tmp_path / "out")
    assert extractor.asked == []


def test_a_row_of_a_csv_that_is_cut_off_fails_alone(extractor: InstantExtractor, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,shop\ntea,1\nrice")
    assert bulk.run(extractor, path, tmp_path / "out").records == 1
    assert lines_of(tmp_path / "out", "failed")[0]["row"] == 3


def test_folders_and_patterns_name_the_files_of_their_rows(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    for month in ("january", "march"):
        (tmp_path / "in" / month).mkdir(parents=True)
        jsonl([{"text": f"tea {month}"}, {"text": ""}], f"in/{month}/calls.jsonl")
    bulk.run(extractor, str(tmp_path / "in/*/*.jsonl"), tmp_path / "out")
    assert [(row["id"], row["file"], row["row"]) for row in rows_of(tmp_path / "out")] == [
        ("january/calls.jsonl:1", "january/calls.jsonl", 1),
        ("march/calls.jsonl:1", "march/calls.jsonl", 1),
    ]
    assert [line["file"] for line in lines_of(tmp_path / "out", "failed")] == [
        "january/calls.jsonl",
        "march/calls.jsonl",
    ]
    bulk.run(extractor, tmp_path / "in/march", tmp_path / "folder")
    assert [row["id"] for row in rows_of(tmp_path / "folder")] == ["1"]
    with pytest.raises(DatasetError, match="twice"):
        bulk.run(extractor, [tmp_path / "in/march", tmp_path / "in/march/calls.jsonl"], tmp_path / "twice")


def test_a_column_that_is_not_there_is_named(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "texts.csv").write_text("texte,shop\ntea,1\n")
    with pytest.raises(DatasetError, match="is 'texte' it"):
        bulk.run(extractor, tmp_path / "texts.csv", tmp_path / "out")
    with pytest.raises(DatasetError, match="none of them with a text"):
        bulk.run(extractor, jsonl([{"body": "tea"}, {"body": "rice"}]), tmp_path / "out")
    with pytest.raises(DatasetError, match="found none"):
        bulk.run(extractor, jsonl([], "empty.jsonl"), tmp_path / "out")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 3], pa.int64()),
        ([1, 2.5, None], pa.float64()),
        ([True, False, None], pa.bool_()),
        (["a", None, "b"], pa.string()),
        ([None, None, None], pa.string()),
        ([1, "a", None], pa.string()),
        ([{"a": 1}, [2], None], pa.string()),
        ([2**70, 1, None], pa.string()),
    ],
)
def test_columns_that_are_kept_have_the_type_of_all_their_values(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path, values: list[Any], kind: Any
) -> None:
    path = jsonl({"text": f"tea {number}", "kept": value} for number, value in enumerate(values))
    bulk.run(extractor, path, tmp_path / "out", keep_columns=("kept",), shard_rows=1)
    table = pq.read_table(tmp_path / "out/shards")
    assert table.schema.field("kept").type == kind
    if {type(value) for value in values} - {type(None)} <= {int, float} and 2**70 not in values:
        assert table.column("kept").to_pylist() == values


def test_the_output_does_not_depend_on_how_long_texts_share_shards(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl({"text": "tea " + "x" * 100 + str(number)} for number in range(10))
    bulk.run(extractor, path, tmp_path / "out", shard_characters=250)
    assert len(list((tmp_path / "out/shards").iterdir())) == 4
    assert [row["row"] for row in rows_of(tmp_path / "out")] == list(range(1, 11))
