"""Rows that failed, decoded once more: their records take the places that they would have had; and servers that are gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bulk_doubles import InstantExtractor, lines_of, output_of, run_in_fork

from extractft import bulk
from extractft.errors import EngineError, ServerError

ROWS = [{"id": f"r{number}", "text": f"tea {number}" if number % 5 else ""} for number in range(30)]
SETTINGS: dict[str, Any] = {"id_column": "id", "shard_rows": 8, "explain": ("confidence",), "min_confidence": 0.12}


class Flaky(InstantExtractor):
    """A server that does not answer for some texts, as often as it is told."""

    def __init__(self, silent: Iterable[str] = (), times: int = 10**6) -> None:
        super().__init__()
        self.silent = dict.fromkeys(silent, times)
        self.dead = False

    def inspect_many(
        self, texts: Iterable[str], *, batch_size: int | None = None, explain: Sequence[str] = ()
    ) -> Iterator[Any]:
        for text in texts:
            (outcome,) = super().inspect_many([text], explain=explain)
            if self.dead or self.silent.get(text, 0) > 0:
                self.silent[text] = self.silent.get(text, 0) - 1
                yield ServerError("No answer.", text=text, retryable=True)
            else:
                yield outcome


def kinds_of(folder: Path) -> dict[str, Any]:
    """What a run wrote, without what says how often it was tried."""
    return {name: content for name, content in output_of(folder).items() if not name.startswith(("state", "summary"))}


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_rows_that_failed_take_their_places(jsonl: Callable[..., Path], tmp_path: Path, form: str) -> None:
    path = jsonl(ROWS)
    lost = ["tea 3", "tea 8", "tea 9", "tea 29"]
    first = bulk.run(Flaky(lost), path, tmp_path / "out", format=form, **SETTINGS)
    assert first.errors == {"EmptyTextError": 6, "ServerError": 4}
    sound = Flaky()
    second = bulk.run(sound, path, tmp_path / "out", format=form, retry_failed=True, **SETTINGS)
    whole = bulk.run(Flaky(), path, tmp_path / "whole", format=form, **SETTINGS)
    assert sorted(sound.asked) == sorted([*lost, *[""] * 6])
    assert (second.records, second.review, second.errors) == (whole.records, whole.review, whole.errors)
    assert second.fields == whole.fields
    if form == "jsonl":
        assert kinds_of(tmp_path / "out") == kinds_of(tmp_path / "whole")
    else:
        tables = [pq.read_table(tmp_path / name / "shards") for name in ("out", "whole")]
        assert tables[0].equals(tables[1])
    again = bulk.run(Flaky(), path, tmp_path / "out", format=form, retry_failed=True, **SETTINGS)
    assert (again.rows, again.records, again.errors) == (second.rows, second.records, second.errors)


def test_a_kill_while_rows_are_tried_again(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(ROWS[:16])

    def killed(step: int, folder: Path) -> None:
        left, real = step, os.replace

        def replace(*args: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*args)

        os.replace = replace
        bulk.run(Flaky(), path, folder, format="jsonl", retry_failed=True, **SETTINGS)

    bulk.run(Flaky(), path, tmp_path / "whole", format="jsonl", **SETTINGS)
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        folder = tmp_path / f"killed-{step}"
        bulk.run(Flaky(["tea 3", "tea 9", "tea 14"]), path, folder, format="jsonl", **SETTINGS)
        code = run_in_fork(partial(killed, step, folder))
        bulk.run(Flaky(), path, folder, format="jsonl", retry_failed=True, **SETTINGS)
        assert kinds_of(folder) == kinds_of(tmp_path / "whole"), step
        step += 1
    assert step > 6


def test_a_text_without_an_answer_is_asked_for_once_more(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(ROWS)
    summary = bulk.run(Flaky(["tea 3", "tea 9"], times=1), path, tmp_path / "out", **SETTINGS)
    bulk.run(Flaky(), path, tmp_path / "whole", **SETTINGS)
    assert summary.errors == {"EmptyTextError": 6}
    assert kinds_of(tmp_path / "out") == kinds_of(tmp_path / "whole")


def test_a_text_that_a_server_never_answers_fails_alone(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    summary = bulk.run(Flaky(["tea 3"]), jsonl(ROWS), tmp_path / "out", **SETTINGS)
    assert summary.errors == {"EmptyTextError": 6, "ServerError": 1}
    assert [line["id"] for line in lines_of(tmp_path / "out", "failed") if line["error"] == "ServerError"] == ["r3"]


@pytest.mark.parametrize("after", [0, 3, 11, 20])
def test_a_server_that_dies_ends_the_run_and_no_row_is_marked_as_failed(
    jsonl: Callable[..., Path], tmp_path: Path, after: int
) -> None:
    server = Flaky()

    def dying(progress: bulk.RunProgress) -> None:
        server.dead = progress.done > after

    path = jsonl({**row, "text": row["text"] or "milk"} for row in ROWS)
    server.dead = after == 0
    with pytest.raises(EngineError, match="does not answer") as caught:
        bulk.run(server, path, tmp_path / "out", progress=dying, **SETTINGS)
    assert any("goes on from there" in note for note in caught.value.__notes__)
    assert lines_of(tmp_path / "out", "failed") == []
    bulk.run(Flaky(), path, tmp_path / "out", **SETTINGS)
    bulk.run(Flaky(), path, tmp_path / "whole", **SETTINGS)
    assert output_of(tmp_path / "out") == output_of(tmp_path / "whole")


def test_a_dead_server_is_not_asked_for_every_row(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    server = Flaky()
    server.dead = True
    path = jsonl({"text": f"tea {number}"} for number in range(1000))
    with pytest.raises(EngineError, match="does not answer"):
        bulk.run(server, path, tmp_path / "out", shard_rows=1000)
    assert len(server.asked) < 200
