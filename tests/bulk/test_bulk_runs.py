"""Runs as a whole: what they write, what they refuse, and that one bad row takes no other along."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bulk_doubles import InstantExtractor, lines_of, output_of, run_in_fork
from pydantic import BaseModel

from extractft import bulk
from extractft.errors import BulkRunError, ConfigError, DatasetError, EngineError
from extractft.storage import lock_directory

TEXTS = ["tea 1", "", "rice 22", "a long one", "tea 1", "salt of the earth"]


@pytest.fixture
def rows(jsonl: Callable[..., Path]) -> Path:
    return jsonl({"id": f"r{number}", "text": text, "shop": number} for number, text in enumerate(TEXTS))


def test_each_row_is_in_one_place_and_in_order(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    summary = bulk.run(extractor, rows, tmp_path / "out", id_column="id", keep_columns=("shop",), shard_rows=4)
    table = pq.read_table(tmp_path / "out/shards").to_pylist()
    assert table == [
        {"id": "r0", "row": 1, "shop": 0, "name": "tea", "age": 1, "tags": ["1"]},
        {"id": "r2", "row": 3, "shop": 2, "name": "rice", "age": 22, "tags": ["22"]},
        {"id": "r4", "row": 5, "shop": 4, "name": "tea", "age": 1, "tags": ["1"]},
        {"id": "r5", "row": 6, "shop": 5, "name": "salt", "age": None, "tags": ["of", "the", "earth"]},
    ]
    failed = lines_of(tmp_path / "out", "failed")
    assert [(line["id"], line["row"], line["error"]) for line in failed] == [
        ("r1", 2, "EmptyTextError"),
        ("r3", 4, "InputTooLongError"),
    ]
    assert not any("long one" in str(line.values()) for line in failed)
    assert (summary.rows, summary.records, summary.failed, summary.reused) == (6, 4, 2, 1)
    assert summary.fields["age"].null_rate == 0.25
    assert json.loads((tmp_path / "out/summary.json").read_text())["errors"] == {
        "EmptyTextError": 1,
        "InputTooLongError": 1,
    }


def test_equal_texts_are_decoded_once_in_the_whole_run(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    bulk.run(extractor, rows, tmp_path / "out", shard_rows=2)
    assert sorted(extractor.asked) == sorted(set(TEXTS))
    extractor.asked.clear()
    bulk.run(extractor, rows, tmp_path / "all", shard_rows=2, reuse_equal=False)
    assert extractor.asked == TEXTS
    once, all_of_them = output_of(tmp_path / "out"), output_of(tmp_path / "all")
    assert once["shards/part-00002.parquet"] == all_of_them["shards/part-00002.parquet"]


def test_a_finished_run_asks_nothing(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    first = bulk.run(extractor, rows, tmp_path / "out")
    again = InstantExtractor()
    assert bulk.run(again, rows, tmp_path / "out") == first
    assert again.asked == []
    assert not list((tmp_path / "out/state").glob("*.sqlite*"))


def test_records_below_the_threshold_go_to_review_with_their_texts(
    extractor: InstantExtractor, rows: Path, tmp_path: Path
) -> None:
    summary = bulk.run(extractor, rows, tmp_path / "out", id_column="id", min_confidence=0.12, keep_columns=("shop",))
    (line,) = [line for line in lines_of(tmp_path / "out", "review") if line["id"] == "r5"]
    assert line["text"] == "salt of the earth"
    assert line["output"] == {"name": "salt", "age": None, "tags": ["of", "the", "earth"]}
    assert line["confidence"] == {"record": 0.0556, "fields": {"name": 0.0556, "age": 0.1235}, "calibrated": False}
    assert line["spans"]["name"] == [{"start": 0, "end": 4, "method": "exact"}]
    assert line["input"] == {"shop": 5}
    assert (summary.records, summary.review) == (3, 1)
    assert pq.read_table(tmp_path / "out/shards").column("id").to_pylist() == ["r0", "r2", "r4"]


def test_jsonl_has_confidences_and_spans_if_asked(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    bulk.run(extractor, rows, tmp_path / "out", format="jsonl", explain=("confidence", "spans"))
    first = lines_of(tmp_path / "out", "shards")[0]
    assert first["output"] == {"name": "tea", "age": 1, "tags": ["1"]}
    assert first["confidence"]["fields"] == {"name": 0.1667, "age": 0.1235}
    assert first["spans"] == {}
    bulk.run(extractor, rows, tmp_path / "bare", format="jsonl")
    assert set(lines_of(tmp_path / "bare", "shards")[0]) == {"id", "row", "output"}


def test_texts_of_failed_rows_are_written_if_asked(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    bulk.run(extractor, rows, tmp_path / "out", show_texts=True)
    assert [line["text"] for line in lines_of(tmp_path / "out", "failed")] == ["", "a long one"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_confidence": 0.5}, "settings.min_confidence: expected None, found 0.5"),
        ({"text_column": "id"}, "settings.text_column: expected text, found id"),
    ],
)
def test_another_run_is_refused_with_what_differs(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    bulk.run(extractor, rows, tmp_path / "out")
    before = output_of(tmp_path / "out")
    with pytest.raises(BulkRunError, match=message):
        bulk.run(extractor, rows, tmp_path / "out", **changed)
    assert output_of(tmp_path / "out") == before
    bulk.run(extractor, rows, tmp_path / "out", force=True, **changed)


def test_another_input_schema_or_extractor_is_refused(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    class Other(BaseModel):
        name: str

    bulk.run(extractor, rows, tmp_path / "out")
    with pytest.raises(BulkRunError, match=r"extractor\.schema_fingerprint"):
        bulk.run(InstantExtractor(Other), rows, tmp_path / "out")
    extractor.system_prompt = "another"
    with pytest.raises(BulkRunError, match=r"extractor\.settings_sha256"):
        bulk.run(extractor, rows, tmp_path / "out")
    rows.write_text(rows.read_text().replace("salt", "malt"))
    with pytest.raises(BulkRunError, match=r"input.1.sha256"):
        bulk.run(InstantExtractor(), rows, tmp_path / "out")


def test_a_directory_with_other_files_is_left_alone(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(BulkRunError, match=r"found texts\.jsonl in"):
        bulk.run(extractor, rows, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["texts.jsonl"]


def test_the_second_run_is_told_who_holds_the_directory(
    extractor: InstantExtractor, rows: Path, tmp_path: Path
) -> None:
    with lock_directory(tmp_path / "out"), pytest.raises(BulkRunError, match=f"process {os.getpid()}"):
        bulk.run(extractor, rows, tmp_path / "out")


def test_names_that_stand_twice_are_refused_before_anything(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl({"id": number % 3, "text": f"tea {number}"} for number in range(4))
    with pytest.raises(DatasetError, match="row 4"):
        bulk.run(extractor, path, tmp_path / "out", id_column="id")
    assert extractor.asked == []
    bulk.run(extractor, path, tmp_path / "out")


def test_a_row_without_a_name_or_a_text_fails_alone(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl([{"id": "a", "text": "tea"}, {"id": None, "text": "tea"}, {"id": "c"}, {"id": "d", "text": 5}])
    summary = bulk.run(extractor, path, tmp_path / "out", id_column="id")
    assert (summary.records, summary.failed) == (1, 3)
    messages = [line["message"] for line in lines_of(tmp_path / "out", "failed")]
    assert "a name for the row" in messages[0]
    assert "no such key" in messages[1]
    assert "found int" in messages[2]


def test_too_many_failures_stop_the_run_and_it_goes_on(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(BulkRunError, match="max_failures=1"):
        bulk.run(extractor, rows, tmp_path / "out", shard_rows=2, max_failures=1)
    assert len(list((tmp_path / "out/shards").iterdir())) == 1
    bulk.run(extractor, rows, tmp_path / "out", shard_rows=2, max_failures=2)
    bulk.run(extractor, rows, tmp_path / "whole", shard_rows=2)
    assert output_of(tmp_path / "out") == output_of(tmp_path / "whole")
    with pytest.raises(ConfigError, match="max_failures"):
        bulk.run(extractor, rows, tmp_path / "out", shard_rows=2, max_failures=-1)


def test_a_dead_server_ends_the_run_and_loses_nothing(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    def dying(progress: bulk.RunProgress) -> None:
        if progress.done == 3:
            extractor.broken = EngineError("The server is gone.")

    with pytest.raises(EngineError) as caught:
        bulk.run(extractor, rows, tmp_path / "out", shard_rows=2, progress=dying)
    assert any("goes on from there" in note for note in caught.value.__notes__)
    extractor.broken = None
    bulk.run(extractor, rows, tmp_path / "out", shard_rows=2)
    bulk.run(extractor, rows, tmp_path / "whole", shard_rows=2)
    assert output_of(tmp_path / "out") == output_of(tmp_path / "whole")


@pytest.mark.parametrize("after", [0, 1, 5, 12])
def test_a_full_disk_ends_the_run_and_loses_nothing(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    real, left = os.fsync, after

    def fsync(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(BulkRunError, match="No space left") as caught:
            bulk.run(extractor, rows, tmp_path / "out", shard_rows=2)
    assert any("Make room" in note for note in caught.value.__notes__)
    bulk.run(extractor, rows, tmp_path / "out", shard_rows=2)
    bulk.run(extractor, rows, tmp_path / "whole", shard_rows=2)
    assert output_of(tmp_path / "out") == output_of(tmp_path / "whole")


def test_a_number_too_large_for_a_column_fails_alone(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    path = jsonl({"text": text} for text in ("tea 1", "star " + "9" * 30, "salt 2"))
    summary = bulk.run(extractor, path, tmp_path / "out")
    assert (summary.records, summary.failed) == (2, 1)
    (line,) = lines_of(tmp_path / "out", "failed")
    assert (line["row"], line["error"]) == (2, "OutputInvalidError")
    assert "'age'" in line["message"]
    assert bulk.run(extractor, path, tmp_path / "lines", format="jsonl").failed == 0


def test_a_field_and_a_column_of_one_name_are_told_apart(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    class Named(BaseModel):
        name: str
        id: str | None = None

    path = jsonl([{"text": "tea", "name": "from the input"}])
    bulk.run(InstantExtractor(Named), path, tmp_path / "out", keep_columns=("name",))
    (row,) = pq.read_table(tmp_path / "out/shards").to_pylist()
    assert row == {"input_id": "1", "row": 1, "input_name": "from the input", "name": "tea", "id": None}


def test_batch_requests_give_batch_responses(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    def request(name: str, content: Any) -> dict[str, Any]:
        messages = [{"role": "system", "content": "ignored"}, {"role": "user", "content": content}]
        body = {"model": "m", "messages": messages}
        return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}

    parts = [{"type": "text", "text": "rice"}, {"type": "text", "text": "22"}]
    path = jsonl([request("one", "tea 1"), request("two", parts), request("three", ""), {"custom_id": "four"}])
    bulk.run(extractor, path, tmp_path / "out", format="batch")
    first, second = lines_of(tmp_path / "out", "shards")
    assert (first["custom_id"], first["error"], first["response"]["status_code"]) == ("one", None, 200)
    content = first["response"]["body"]["choices"][0]["message"]["content"]
    assert json.loads(content) == {"name": "tea", "age": 1, "tags": ["1"]}
    assert json.loads(second["response"]["body"]["choices"][0]["message"]["content"])["age"] == 22
    third, fourth = lines_of(tmp_path / "out", "failed")
    assert (third["custom_id"], third["response"], third["error"]["code"]) == ("three", None, "EmptyTextError")
    assert fourth["error"]["code"] == "DatasetError"


def test_unknown_settings_are_refused_with_the_one_that_was_meant(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="id_column"):
        bulk.run(InstantExtractor(), rows, tmp_path / "out", idcolumn="id")


def test_importing_the_room_loads_nothing_heavy() -> None:
    def imported() -> None:
        import subprocess
        import sys

        code = "import sys, extractft.bulk; sys.exit(any(m in sys.modules for m in ('torch', 'pyarrow', 'sqlalchemy')))"
        subprocess.run([sys.executable, "-c", code], check=True)

    assert run_in_fork(imported) == 0
