"""Names and numbers of the input as they come: none is altered in silence, and one bad value costs one row."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_doubles import InstantExtractor, lines_of
from pydantic import BaseModel

from extractft import bulk
from extractft.errors import DatasetError

LARGE = 2**53 + 1


class Priced(BaseModel):
    """A record with a number of either kind."""

    name: str
    age: int | float | None = None
    confidence: str = "none"


def test_a_row_without_a_name_takes_none_of_another_row(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl([{"id": "2", "text": "tea"}, {"id": None, "text": "rice"}, {"id": "3", "text": "ok"}], end="{\n")
    bulk.run(extractor, path, tmp_path / "out", id_column="id")
    assert [line["id"] for line in lines_of(tmp_path / "out", "failed")] == ["row 2", "row 4"]


def test_names_of_rows_without_a_text_are_different_as_well(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl([{"id": "2", "text": "tea"}, {"id": "2", "text": None}])
    with pytest.raises(DatasetError, match="twice"):
        bulk.run(extractor, path, tmp_path / "out", id_column="id")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1.5, 2.0, float("nan")], ["1.5", "2.0"]),
        ([Decimal("1.50"), Decimal("2.00"), None], ["1.50", "2.00"]),
        (
            [datetime.datetime(2026, 1, 2, 3), datetime.datetime(2026, 1, 2, 4), None],
            ["2026-01-02T03:00:00", "2026-01-02T04:00:00"],
        ),
        ([datetime.date(2026, 1, 2), datetime.date(2026, 1, 3), None], ["2026-01-02", "2026-01-03"]),
    ],
)
def test_names_of_any_plain_type(
    extractor: InstantExtractor, tmp_path: Path, values: list[Any], names: list[str]
) -> None:
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"id": values, "text": ["tea", "rice", "ok"]}), path)
    summary = bulk.run(extractor, path, tmp_path / "out", id_column="id")
    assert pq.read_table(tmp_path / "out/shards").column("id").to_pylist() == names
    assert summary.failed == 1


def test_an_integer_that_no_float_holds_is_not_rounded(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl({"text": text} for text in (f"tea {LARGE}", f"rice {LARGE - 1}"))
    summary = bulk.run(InstantExtractor(Priced), path, tmp_path / "out")
    assert pq.read_table(tmp_path / "out/shards").column("age").to_pylist() == [LARGE - 1]
    assert "'age'" in lines_of(tmp_path / "out", "failed")[0]["message"]
    assert summary.failed == 1
    assert bulk.run(InstantExtractor(Priced), path, tmp_path / "lines", format="jsonl").failed == 0
    assert lines_of(tmp_path / "lines", "shards")[0]["output"]["age"] == LARGE


@pytest.mark.parametrize(("other", "read"), [(1.5, ["1.5", str(LARGE)]), (7, [7, LARGE])])
def test_kept_columns_of_large_integers(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path, other: Any, read: list[Any]
) -> None:
    path = jsonl([{"text": "tea", "k": other}, {"text": "rice", "k": LARGE}])
    assert bulk.run(extractor, path, tmp_path / "out", keep_columns=("k",)).failed == 0
    assert pq.read_table(tmp_path / "out/shards").column("k").to_pylist() == read


def test_what_is_written_can_be_read_again(extractor: InstantExtractor, tmp_path: Path) -> None:
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": ["tea", "rice"], "k": [float("nan"), float("inf")]}), path)
    bulk.run(extractor, path, tmp_path / "out", keep_columns=("k",), format="jsonl")
    (part,) = (tmp_path / "out/shards").iterdir()

    kept = [json.loads(line, parse_constant=pytest.fail)["input"]["k"] for line in part.read_text().splitlines()]
    assert kept == ["NaN", "Infinity"]
    assert bulk.run(extractor, part, tmp_path / "again", text_column="id").records == 2


def test_lines_do_not_care_what_columns_would_hold(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    bad = '{"text": "milk", "k": "\\ud800"}\n'
    path = jsonl(({"text": text} for text in ("tea " + "9" * 30, "rice 2")), end=bad)
    extractor = InstantExtractor()
    summary = bulk.run(extractor, path, tmp_path / "out", keep_columns=("k",), format="jsonl")
    assert [line["output"]["name"] for line in lines_of(tmp_path / "out", "shards")][:2] == ["tea", "rice"]
    assert summary.records >= 2


def test_a_field_named_like_an_explanation_has_no_place_in_a_table_alone(
    jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl([{"text": "tea 1"}])
    bulk.run(InstantExtractor(Priced), path, tmp_path / "out", format="jsonl", explain=("confidence",))
    (line,) = lines_of(tmp_path / "out", "shards")
    assert line["output"]["confidence"] == "none"
    assert set(line["confidence"]) == {"record", "fields", "calibrated"}


NANOSECONDS = 1_700_000_000_123_456_789
SEEN = {
    "moment": pa.array([NANOSECONDS, None], pa.timestamp("ns")),
    "there": pa.array([NANOSECONDS, None], pa.timestamp("ns", "Asia/Shanghai")),
    "length": pa.array([1_234_567_891, None], pa.duration("ns")),
    "inside": pa.array([{"seen": [NANOSECONDS]}, None], pa.struct([("seen", pa.list_(pa.timestamp("ns")))])),
}


def seen_at(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({"text": ["tea", "rice"], **columns}), path)
    return path


def test_nanoseconds_stay_whole(extractor: InstantExtractor, tmp_path: Path) -> None:
    path = seen_at(tmp_path / "seen.parquet", **SEEN)
    bulk.run(extractor, path, tmp_path / "columns", keep_columns=tuple(SEEN))
    found = pq.read_table(tmp_path / "columns/shards")
    assert {name: found[name].combine_chunks() for name in SEEN} == SEEN
    bulk.run(extractor, path, tmp_path / "lines", keep_columns=tuple(SEEN), format="jsonl")
    first, second = lines_of(tmp_path / "lines", "shards")
    assert first["input"] == {
        "moment": "2023-11-14T22:13:20.123456789",
        "there": "2023-11-15T06:13:20.123456789+08:00",
        "length": "P0DT0H0M1.234567891S",
        "inside": {"seen": ["2023-11-14T22:13:20.123456789"]},
    }
    assert second["input"] == dict.fromkeys(SEEN)


@pytest.mark.parametrize("kind", [pa.time64("ns"), pa.list_(pa.time64("ns")), pa.struct([("at", pa.time64("ns"))])])
def test_times_of_day_are_cut_by_nobody(extractor: InstantExtractor, tmp_path: Path, kind: Any) -> None:
    def clock(number: int) -> Any:
        value = [number] if pa.types.is_list(kind) else {"at": number} if pa.types.is_struct(kind) else number
        return pa.array([value] * 2, kind)

    whole = seen_at(tmp_path / "whole.parquet", clock=clock(5_000))
    bulk.run(extractor, whole, tmp_path / "whole", keep_columns=("clock",))
    assert pq.read_table(tmp_path / "whole/shards")["clock"].combine_chunks() == clock(5_000)
    cut = seen_at(tmp_path / "cut.parquet", clock=clock(5_001))
    with pytest.raises(DatasetError, match=r"cut\.parquet: expected times of whole microseconds in the column 'clock'"):
        bulk.run(extractor, cut, tmp_path / "cut", keep_columns=("clock",))
    bulk.run(extractor, cut, tmp_path / "without")
    assert pq.read_table(tmp_path / "without/shards").num_rows == 2


def test_times_that_python_has_not_cost_only_who_asks_for_them(extractor: InstantExtractor, tmp_path: Path) -> None:
    far = seen_at(tmp_path / "far.parquet", at=pa.array([10**15, None], pa.timestamp("ms")))
    assert bulk.run(extractor, far, tmp_path / "without").records == 2
    with pytest.raises(
        DatasetError, match=r"far\.parquet: expected values that Python has in the column 'at'"
    ) as found:
        bulk.run(extractor, far, tmp_path / "with", keep_columns=("at",))
    assert "year 9999" in found.value.__notes__[0]


def test_a_nested_text_beside_other_columns(extractor: InstantExtractor, tmp_path: Path) -> None:
    table = pa.table({"message": [{"body": "tea"}, None], "message.body": ["rice", "oil"], "x": [1, 2]})
    pq.write_table(table, tmp_path / "in.parquet")
    bulk.run(extractor, tmp_path / "in.parquet", tmp_path / "out", text_column="message.body", format="jsonl")
    assert [line["output"]["name"] for line in lines_of(tmp_path / "out", "shards")] == ["rice", "oil"]
    pq.write_table(table.drop_columns(["message.body"]), tmp_path / "nested.parquet")
    bulk.run(extractor, tmp_path / "nested.parquet", tmp_path / "nested", text_column="message.body", format="jsonl")
    assert [line["output"]["name"] for line in lines_of(tmp_path / "nested", "shards")] == ["tea"]
    assert lines_of(tmp_path / "nested", "failed")[0]["error"] == "DatasetError"
