"""`--engine` of the commands that decode: the same lines as without it, and what cannot be is said in flags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from loopback_vllm import fake_for, served
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from extractft import Extractor
from extractft.cli import app
from extractft.cli.error_messages import error_text
from extractft.errors import ExtractFTError

ROWS = [{"text": text, "output": {"item": text[:4]}} for text in ("tea for b", "rice now", "one 茶", "salt b")]


class Parcel(BaseModel):
    """A parcel, short enough for a model that never ends a string by itself."""

    item: str = Field(max_length=6)
    kind: Literal["a", "b"] = "a"


@pytest.fixture(scope="module")
def here(tiny_base: Path) -> Extractor[Parcel]:
    return Extractor.from_base(Parcel, base_model=str(tiny_base))


@pytest.fixture
def folder(here: Extractor[Parcel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here.save_pretrained(tmp_path / "ext")
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def address(here: Extractor[Parcel]) -> Iterator[str]:
    with served(fake_for(here)) as address:
        yield address


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("kind", ["", "vllm+"])
def test_extract_and_evaluate_give_what_they_give_here(folder: Path, address: str, kind: str) -> None:
    engine = ("--engine", kind + address)
    here, there = (run("extract", "ext", "rows.jsonl", *more) for more in ((), engine))
    assert here.exit_code == there.exit_code == 0, there.output
    assert there.stdout == here.stdout
    for more in ((), engine):
        assert run("evaluate", "ext", "rows.jsonl", "-o", f"report{len(more)}.json", *more).exit_code == 0
    reports = [json.loads((folder / f"report{n}.json").read_text(encoding="utf-8")) for n in (0, 2)]
    assert reports[0]["fields"] == reports[1]["fields"]


def test_calibrate_keeps_the_curve_beside_the_same_files(folder: Path, address: str) -> None:
    before = {file.name: file.read_bytes() for file in (folder / "ext").iterdir() if file.name != "manifest.json"}
    done = run("calibrate", "ext", "rows.jsonl", "--engine", address)
    assert done.exit_code == 0, done.output
    after = {file.name: file.read_bytes() for file in (folder / "ext").iterdir() if file.name != "manifest.json"}
    assert after == before
    assert Extractor.from_pretrained(folder / "ext", engine=address)._explainer.calibration is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "vllmm"), ("found 'vllmm'", "http://localhost:8000")),
        (("--engine", "http://127.0.0.1:1", "--base-model", "x"), ("no --base-model for an engine elsewhere",)),
    ],
)
def test_what_cannot_be_is_said_in_flags(folder: Path, arguments: tuple[str, ...], said: tuple[str, ...]) -> None:
    done = run("extract", "ext", "rows.jsonl", *arguments)
    told = error_text(done.exception) if isinstance(done.exception, ExtractFTError) else done.output
    assert done.exit_code != 0
    for words in said:
        assert words in told


def test_verify_holds_a_server_against_the_extractor(folder: Path, address: str) -> None:
    done = run("verify", address, "--extractor", "ext", "--data", "rows.jsonl", "--output", "report.json")
    assert done.exit_code == 0, done.output
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (report["rows"], report["prompts_equal"], report["records_equal"], report["tokens_equal"]) == (4, 4, 4, 4)
    assert report["widest_gap"] < 1e-3
