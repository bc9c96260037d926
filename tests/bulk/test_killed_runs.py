"""kill -9 at any moment, and the same call again: the output is that of a run that nobody killed, byte for byte."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bulk_doubles import InstantExtractor, output_of, run_in_fork
from pydantic import BaseModel

from extractft import bulk
from extractft.testing import scripted_extractor

ROWS = [
    {"id": f"row {number}", "text": ["tea 1", "rice 22", "", "long", "salt of the earth", f"item {number}"][number % 6]}
    for number in range(40)
]
SETTINGS: dict[str, Any] = {
    "id_column": "id",
    "shard_rows": 11,
    "explain": ("confidence",),
    "min_confidence": 0.1,
}
STEPS = ("replace", "rename", "fsync", "unlink", "rmdir", "mkdir")
"""Calls that change what is on the disk for good: a kill right before each of them."""


def killed_at(step: int, work: Callable[[], Any]) -> Callable[[], Any]:
    """`work` in a process that is killed right before its n-th change of the disk."""

    def function() -> Any:
        left = step

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return call

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        real_connect = sqlite3.connect

        class Counted(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> Any:  # commits of the index are steps as well
                return (
                    counted(super().execute)(sql, *args)
                    if sql in ("COMMIT", "BEGIN IMMEDIATE")
                    else super().execute(sql, *args)
                )

        sqlite3.connect = lambda *args, **kwargs: real_connect(*args, factory=Counted, **kwargs)  # type: ignore[assignment]
        return work()

    return function


def test_a_kill_before_any_change_of_the_disk(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(ROWS[:22])

    def work(folder: Path) -> None:
        bulk.run(InstantExtractor(), path, folder, **SETTINGS)

    work(tmp_path / "whole")
    expected = output_of(tmp_path / "whole")
    steps = 0
    while run_in_fork(killed_at(steps, partial(work, tmp_path / f"killed-{steps}"))) == -signal.SIGKILL:
        folder = tmp_path / f"killed-{steps}"
        work(folder)
        assert output_of(folder) == expected, f"killed before step {steps}"
        steps += 1
    assert steps > 2 * 15  # two shards of several files each
    assert output_of(tmp_path / f"killed-{steps}") == expected


class Note(BaseModel):
    item: str
    number: int


def test_ten_kills_of_two_thousand_rows(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    chance = random.Random(16)
    answers = {f"note {number}": Note(item=f"note {number}", number=number) for number in range(700)}
    texts = [*answers] * 3
    path = jsonl({"text": text} for text in texts[:2000])
    extractor = scripted_extractor(Note, answers)

    def work(folder: Path) -> None:
        bulk.run(extractor, path, folder, format="jsonl", shard_rows=100, explain=("confidence", "spans"))

    work(tmp_path / "whole")
    folder, kills = tmp_path / "killed", 0
    while kills < 10:
        code = run_in_fork(partial(work, folder), kill_after=chance.uniform(0.02, 0.35))
        if code == 0:  # too fast: begin again, for as many kills as were promised
            assert output_of(folder) == output_of(tmp_path / "whole")
            folder = tmp_path / f"killed-{kills}"
            continue
        assert code == -signal.SIGKILL
        kills += 1
    work(folder)
    assert output_of(folder) == output_of(tmp_path / "whole")


def test_a_shard_that_is_gone_is_made_again(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path, folder = jsonl(ROWS), tmp_path / "out"
    bulk.run(InstantExtractor(), path, folder, **SETTINGS)
    expected = output_of(folder)
    (folder / "shards/part-00001.parquet").unlink()
    again = InstantExtractor()
    bulk.run(again, path, folder, **SETTINGS)
    assert len(again.asked) < 12
    assert {name: content for name, content in output_of(folder).items() if name.startswith("shards")} == {
        name: content for name, content in expected.items() if name.startswith("shards")
    }
