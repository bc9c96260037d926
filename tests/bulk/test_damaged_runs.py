"""Runs whose input, directory, files or table is not what it was: noticed, mended, or refused in words."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bulk_doubles import InstantExtractor, lines_of, output_of, run_in_fork

from extractft import bulk
from extractft.errors import BulkRunError, ConfigError, DatasetError, ExtractFTError

ROWS = [{"id": f"r{number}", "text": f"tea {number}"} for number in range(6)]
SMALL: dict[str, Any] = {"id_column": "id", "shard_rows": 2}


@pytest.fixture
def rows(jsonl: Callable[..., Path]) -> Path:
    return jsonl(ROWS)


@pytest.mark.parametrize("change", ["append", "replace", "truncate"])
def test_input_that_changes_while_it_is_read_is_no_success(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, change: str
) -> None:
    whole = rows.read_text()
    other = {"append": whole + whole, "replace": whole.replace("tea", "gin"), "truncate": whole[: len(whole) // 2 + 3]}

    def changing(progress: bulk.RunProgress) -> None:
        if progress.done == 1:
            rows.write_text(other[change])

    with pytest.raises(BulkRunError, match="it changed while"):
        bulk.run(extractor, rows, tmp_path / "out", progress=changing, **SMALL)
    assert not (tmp_path / "out/summary.json").exists()
    rows.write_text(whole)
    with pytest.raises(BulkRunError, match="it changed while"):
        bulk.run(extractor, rows, tmp_path / "out", **SMALL)
    assert bulk.run(extractor, rows, tmp_path / "out", force=True, **SMALL).records == 6


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("least", [None, 0.99])
def test_shards_without_any_record_can_be_tried_again(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path, form: Any, least: float | None
) -> None:
    path = jsonl({"text": text} for text in ("ok", "long"))
    for again in (False, True, True):
        summary = bulk.run(
            extractor, path, tmp_path / "out", format=form, shard_rows=1, min_confidence=least, retry_failed=again
        )
        assert (summary.records + summary.review, summary.failed) == (1, 1)


def test_force_keeps_the_old_run_until_the_new_one_can_begin(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, jsonl: Callable[..., Path]
) -> None:
    bulk.run(extractor, rows, tmp_path / "out", **SMALL)
    before = output_of(tmp_path / "out")
    kept = jsonl(({**row, "k": 1} for row in ROWS), "kept.jsonl")
    twice = jsonl([ROWS[0], ROWS[0]], "twice.jsonl")
    with pytest.raises(DatasetError, match="twice"):
        bulk.run(extractor, twice, tmp_path / "out", force=True, **SMALL)
    with pytest.raises(ConfigError, match="'k' twice"):
        bulk.run(extractor, kept, tmp_path / "out", force=True, keep_columns=("k", "k"), **SMALL)
    with pytest.raises(DatasetError, match="'k'"):
        bulk.run(extractor, rows, tmp_path / "out", force=True, keep_columns=("k",), **SMALL)
    assert output_of(tmp_path / "out") == before


def test_settings_that_are_refused_leave_no_run_behind(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, jsonl: Callable[..., Path]
) -> None:
    kept = jsonl(({**row, "k": 1} for row in ROWS), "kept.jsonl")
    with pytest.raises(ConfigError, match="'k' twice"):
        bulk.run(extractor, kept, tmp_path / "out", keep_columns=("k", "k"), **SMALL)
    with pytest.raises(DatasetError, match="'k'"):
        bulk.run(extractor, rows, tmp_path / "out", keep_columns=("k",), **SMALL)
    assert bulk.run(extractor, kept, tmp_path / "out", keep_columns=("k",), **SMALL).records == 6


@pytest.mark.parametrize("name", ["state/notes.txt", "shards/mine.bin", "shards/part-00000.parquet", "summary.json"])
@pytest.mark.parametrize("force", [False, True])
def test_files_of_others_are_left_alone(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, name: str, force: bool
) -> None:
    mine = tmp_path / "proj" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(BulkRunError, match="Expected a new directory"):
        bulk.run(extractor, rows, tmp_path / "proj", force=force)
    assert mine.read_text() == "mine"


def test_force_removes_files_of_the_run_alone(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    bulk.run(extractor, rows, tmp_path / "out", **SMALL)
    (tmp_path / "out/shards/notes.txt").write_text("mine")
    bulk.run(extractor, rows, tmp_path / "out", force=True)
    found = sorted(path.name for path in (tmp_path / "out/shards").iterdir())
    assert found == ["notes.txt", "part-00000.parquet"]


def test_a_kill_while_a_new_run_takes_the_place_of_an_old_one(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the machine lives on

    def killed(step: int, folder: Path) -> None:
        left = step

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **settings: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **settings)

            return call

        os.replace, os.unlink, os.mkdir = counted(os.replace), counted(os.unlink), counted(os.mkdir)
        bulk.run(InstantExtractor(), rows, folder, force=True, format="jsonl", id_column="id")

    bulk.run(InstantExtractor(), rows, tmp_path / "old", id_column="id")
    bulk.run(InstantExtractor(), rows, tmp_path / "new", format="jsonl", id_column="id")
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        folder = tmp_path / f"killed-{step}"
        shutil.copytree(tmp_path / "old", folder)
        code = run_in_fork(partial(killed, step, folder))
        manifest = folder / "run.json"
        if manifest.exists() and "parquet" in manifest.read_text():
            shutil.copytree(folder, tmp_path / f"back-{step}")  # the old run is there still, or again
            bulk.run(InstantExtractor(), rows, tmp_path / f"back-{step}", id_column="id")
            assert output_of(tmp_path / f"back-{step}") == output_of(tmp_path / "old"), step
        bulk.run(InstantExtractor(), rows, folder, force=True, format="jsonl", id_column="id")
        assert output_of(folder) == output_of(tmp_path / "new"), step
        step += 2
    assert step > 10


def test_input_inside_of_the_output_is_refused(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    bulk.run(extractor, rows, tmp_path / "out", format="jsonl")
    inner = tmp_path / "out/shards/part-00000.jsonl"
    with pytest.raises(BulkRunError, match="outside of the output"):
        bulk.run(extractor, inner, tmp_path / "out", text_column="id", force=True)
    assert inner.exists()


@pytest.mark.parametrize("name", ["shards/part-00001.parquet", "failed/part-00001.jsonl", "state/part-00001.json"])
def test_a_damaged_shard_is_made_again(
    extractor: InstantExtractor, jsonl: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    path = jsonl([*ROWS[:3], {"id": "bad", "text": "long"}, *ROWS[3:]])
    bulk.run(extractor, path, tmp_path / "out", **SMALL)
    before = output_of(tmp_path / "out")
    damaged = tmp_path / "out" / name
    for content in (damaged.read_bytes()[:-5], b"", b"{}", b"[1]"):
        damaged.write_bytes(content)
        bulk.run(extractor, path, tmp_path / "out", retry_failed=content == b"", **SMALL)
        if content:
            assert output_of(tmp_path / "out") == before
    assert pq.read_table(tmp_path / "out/shards").num_rows == 6


def test_a_file_for_review_may_be_worked_on(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SMALL, "min_confidence": 0.99}
    bulk.run(extractor, rows, tmp_path / "out", **settings)
    reviewed = tmp_path / "out/review/part-00001.jsonl"
    reviewed.write_text("looked over\n")
    bulk.run(extractor, rows, tmp_path / "out", **settings)
    assert reviewed.read_text() == "looked over\n"


def test_half_characters_hurt_their_row_alone(extractor: InstantExtractor, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    lines = [
        r'{"id": "a\ud800", "text": "long"}',
        r'{"id": "b", "text": "tea", "k": "\udfff"}',
        '{"id": "c", "text": "ok"}',
    ]
    path.write_text("".join(line + "\n" for line in lines))
    for form in ("jsonl", "parquet"):
        settings: dict[str, Any] = {"id_column": "id", "keep_columns": ("k",), "format": form, "show_texts": True}
        summary = bulk.run(extractor, path, tmp_path / form, **settings)
        assert summary.records + summary.failed == 3
        assert summary.records >= 1
        assert len(lines_of(tmp_path / form, "failed")) == summary.failed


def test_a_damaged_index_of_texts_gives_way(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    def stopping(progress: bulk.RunProgress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.run(extractor, rows, tmp_path / "out", progress=stopping, **SMALL)
    (tmp_path / "out/state/texts.sqlite").write_bytes(b"no database " * 1000)
    assert bulk.run(extractor, rows, tmp_path / "out", **SMALL).records == 6


@pytest.mark.parametrize("content", ["[1]", "{}", "{"])
def test_a_damaged_manifest_is_refused_in_words(
    extractor: InstantExtractor, rows: Path, tmp_path: Path, content: str
) -> None:
    bulk.run(extractor, rows, tmp_path / "out")
    (tmp_path / "out/run.json").write_text(content)
    with pytest.raises(BulkRunError):
        bulk.run(extractor, rows, tmp_path / "out")


def test_names_of_others_in_the_state_are_passed_over(extractor: InstantExtractor, rows: Path, tmp_path: Path) -> None:
    bulk.run(extractor, rows, tmp_path / "out")
    (tmp_path / "out/state/pending-junk").mkdir()
    (tmp_path / "out/state/part-00000 (copy).json").write_text(json.dumps({}))
    assert bulk.run(extractor, rows, tmp_path / "out").records == 6


@pytest.mark.parametrize("number", ["3", float("nan"), True, 1.5])
def test_max_failures_is_a_whole_number(extractor: InstantExtractor, rows: Path, tmp_path: Path, number: Any) -> None:
    with pytest.raises(ConfigError, match="max_failures"):
        bulk.run(extractor, rows, tmp_path / "out", max_failures=number)


def test_a_path_that_cannot_be_is_refused_in_words(extractor: InstantExtractor, rows: Path) -> None:
    with pytest.raises(ExtractFTError, match="zero character"):
        bulk.run(extractor, rows, "a\0b")
