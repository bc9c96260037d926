"""The command `documents`, and `extract --documents`."""

from __future__ import annotations

import json
from pathlib import Path

import docx
import pytest
from fpdf import FPDF
from typer.testing import CliRunner

from extractft.cli import app

RUNNER = CliRunner()


@pytest.fixture
def letters(shop: Path) -> Path:
    folder = shop / "letters"
    (folder / "new").mkdir(parents=True)
    made = docx.Document()
    made.add_paragraph("tea 🍵")
    made.save(str(folder / "a.docx"))
    (folder / "new" / "b.html").write_text("<p>rice</p>", "utf-8")
    pdf = FPDF()
    pdf.add_page()
    pdf.output(str(folder / "c.pdf"))
    (folder / "old.doc").write_text("words")
    return folder


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_documents_become_rows_and_a_bad_one_is_told(letters: Path, shop: Path) -> None:
    done = RUNNER.invoke(app, ["documents", "letters", "--output", "letters.jsonl"])
    assert done.exit_code == 3, done.output
    assert "c.pdf: expected text, found none. Is it the right file?" in done.output
    assert "2 documents read, 1 failed" in done.output
    assert "left aside in folders: 1 .doc" in done.output
    assert lines(shop / "letters.jsonl") == [
        {"id": "letters/a.docx", "text": "tea 🍵", "places": [[0, 5, "paragraph 1"]]},
        {"id": "letters/new/b.html", "text": "rice", "places": [[0, 4, "paragraph 1"]]},
    ]


def test_extract_says_the_document_and_the_place(letters: Path, shop: Path) -> None:
    arguments = ["extract", "ext", "letters", "--documents", "--explain", "--output", "records.jsonl"]
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 3, done.output
    first, failed, second = lines(shop / "records.jsonl")
    assert [line["document"] for line in (first, failed, second)] == [
        "letters/a.docx",
        "letters/c.pdf",
        "letters/new/b.html",
    ]
    assert failed["error"] == "DocumentError"
    for line in (first, second):
        assert isinstance(line["spans"], dict)
        for places in line["spans"].values():
            assert all(place["place"] == "paragraph 1" for place in places)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extract", "ext", "letters", "--documents", "--column", "a"], "--documents reads whole files"),
        (["documents", "none.pdf"], "no such file: none.pdf"),
        (["documents", "schema.py"], "Invalid value for FILES: schema.py: expected a document, found the ending .py"),
        (["documents", "letters", "--output", "letters/a.docx"], "letters/a.docx is FILES as well"),
    ],
)
def test_wrong_usage(letters: Path, arguments: list[str], message: str) -> None:
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 2
    assert message in done.output
