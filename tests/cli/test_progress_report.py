"""Progress of commands: lines in a log when it is time, a bar on a terminal and never between records."""

from __future__ import annotations

import io
import logging
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from extractft.bulk.run_progress import rate_words
from extractft.cli import app, progress_report
from extractft.cli.progress_report import reporting, show_log_lines


class Terminal(io.StringIO):
    """A terminal that remembers what was printed."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_when_it_is_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with reporting() as report:
        assert not report.is_due
    monkeypatch.setattr(progress_report, "LOG_SECONDS", 0.0)
    with reporting() as report:
        assert report.is_due
        report.show("3 of 4", 3, 4)
    assert capsys.readouterr().err == "3 of 4\n"


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with reporting() as report:
        assert report.is_due
        report.show("3 of 4 [b]", 3, 4)
        assert not report.is_due
    assert "3 of 4 [b]" in terminal.getvalue()
    with reporting(beside_records=True) as report:
        assert not report.is_due


def test_a_log_gets_lines_on_time_before_the_first_piece(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_report, "LOG_SECONDS", 0.05)
    with reporting() as report:
        report.begin("loading the model")
        time.sleep(0.5)
        report.follow(lambda: "0/4 rows")
        time.sleep(0.5)
    shown = capsys.readouterr().err
    assert shown.startswith("loading the model ...\nloading the model ... 0:00:00\n")
    assert shown.endswith("0/4 rows\n")
    time.sleep(0.3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("count", "seconds", "words"),
    [(0, 30.0, "0.0 rows/s"), (10, 4.0, "2.5 rows/s"), (3, 60.0, "20.0 s/row"), (1, 1.0, "1.0 rows/s")],
)
def test_slow_rates_are_seconds_for_a_row(count: int, seconds: float, words: str) -> None:
    assert rate_words(count, seconds, "row") == words


def test_what_training_logs_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    show_log_lines("extractft.test_progress")
    show_log_lines("extractft.test_progress")
    logging.getLogger("extractft.test_progress").info("step %d", 3)
    assert capsys.readouterr().err == "step 3\n"


def test_extract_and_run_tell_how_far_they_are(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_report, "LOG_SECONDS", 0.0)
    done = CliRunner().invoke(app, ["extract", "ext", "rows.jsonl", "-o", "out.jsonl"])
    assert done.stderr.startswith("loading the model ...\n")
    assert "4/4 texts, " in done.stderr
    assert ", 0:00:00 left" in done.stderr
    done = CliRunner().invoke(app, ["run", "ext", "rows.jsonl", "-o", "records"])
    assert "4/4 rows, " in done.stderr
    assert done.stderr.startswith("reading the input and loading the model ...\n")
    assert "Output in" in done.stderr
    assert (shop / "records/summary.json").exists()
