"""Pictures of the report, the review page, the page for people and the notebook view, for the documentation.

    python tests/release/screenshots.py docs/images

Needs a Chromium and fonts with Chinese characters. The texts are the invented complaints of the demo, the records those of
a scripted extractor: a picture shows what a page looks like, and no score of any model.
"""

from __future__ import annotations

import dataclasses
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chromium import Browser, find_browser
from extractft import Confidence
from extractft.demo.complaints import Complaint, load_complaints
from extractft.evaluation import evaluate_records, measure_calibration
from extractft.grounding import ground
from extractft.pages import create_app_with_pages
from extractft.review import NewItem, ReviewStore
from extractft.schema import Schema
from extractft.serving import ServerConfig
from extractft.testing import scripted_extractor

SCHEMA: Schema[Any] = Schema.of(Complaint)
ROWS = load_complaints()[:60]
LOOKS = {"light": False, "dark": True}
DOUBTS = {"address": 0.58, "question": 0.83, "name": 0.97, "email": 0.99}
"""Confidences of a record that a person should look at."""


def make_screenshots(folder: Path) -> list[Path]:
    """Take all pictures; their files."""
    binary = find_browser()
    if binary is None:
        raise SystemExit("expected a Chromium on the PATH, found none")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        browser = Browser(binary, Path(work) / "profile")
        try:
            return [
                *_report(browser, folder, Path(work)),
                *_pages(browser, folder, Path(work)),
                *_notebook(browser, folder, Path(work)),
            ]
        finally:
            browser.close()


def _report(browser: Browser, folder: Path, work: Path) -> Iterator[Path]:
    """A report with what goes wrong in practice: cut, invented, missed."""
    choice = random.Random(1)
    predictions: list[Any] = [_spoiled(row.output, choice) for row in ROWS]
    texts = [row.text for row in ROWS]
    golds = [row.output for row in ROWS]
    report = evaluate_records(SCHEMA, golds, predictions, texts=texts, keep_records=True, keep_texts=True)
    confidences = [0.5 + 0.5 * choice.random() for _ in range(200)]
    measured = measure_calibration(confidences, [choice.random() < value for value in confidences])
    report.with_calibration({"values": measured, "records": measured}).save_html(work / "report.html")
    for look, dark in LOOKS.items():
        browser.look(width=1200, height=1000, dark=dark)
        browser.open(work / "report.html")
        yield _shot(browser, folder / f"report-{look}.png")


def _spoiled(record: Complaint, choice: random.Random) -> Complaint:
    """A record in which one value in four is cut short or left out."""
    changes: dict[str, Any] = {}
    for name, value in record.model_dump().items():
        if value is not None and choice.random() < 0.25:
            changes[name] = None if choice.random() < 0.4 else value[: max(1, len(value) // 2)]
    return record.model_copy(update=changes)


def _pages(browser: Browser, folder: Path, work: Path) -> Iterator[Path]:
    with _served(work / "reviews.db") as address:
        for look, dark in LOOKS.items():
            browser.look(width=1200, height=900, dark=dark)
            browser.open(f"{address}/review")
            browser.wait_for("document.querySelector('dialog[open]') || document.querySelector('.row.active')")
            if browser.run("Boolean(document.querySelector('dialog[open]'))"):
                browser.type("reviewer")
                browser.press("Enter")
            browser.wait_for("document.querySelector('.row.active')")
            yield _shot(browser, folder / f"review-{look}.png")


@contextmanager
def _served(database: Path) -> Iterator[str]:
    """The pages, with a review that has records in it."""
    with ReviewStore(database) as store:
        store.add_items([_doubtful(row.text, row.output, number) for number, row in enumerate(ROWS[:12])])
        extractor = scripted_extractor(Complaint, {row.text: row.output for row in ROWS})
        app = create_app_with_pages({"complaints": extractor}, ServerConfig(), store, None)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        thread.join()


def _doubtful(text: str, record: Complaint, number: int) -> NewItem:
    full = SCHEMA.full_value(record)
    spans = {
        path: [{"start": span.start, "end": span.end, "method": span.method} for span in found]
        for path, found in ground(SCHEMA, full, text).items()
    }
    confidence = 0.3 + 0.05 * number
    return NewItem(text, full, f"complaint-{number}", "complaints", confidence, DOUBTS, True, spans, reason="doubtful")


def _notebook(browser: Browser, folder: Path, work: Path) -> Iterator[Path]:
    """What a notebook shows of one extraction."""
    row = max(ROWS, key=lambda row: sum(value is not None for value in row.output.model_dump().values()))
    extraction = scripted_extractor(Complaint, {row.text: row.output}).inspect(row.text)
    extraction = dataclasses.replace(extraction, confidence=Confidence(0.47, DOUBTS, calibrated=True))
    page = work / "notebook.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{extraction._repr_html_()}</body>", encoding="utf-8")
    browser.look(width=900, height=400)
    browser.open(page)
    yield _shot(browser, folder / "notebook.png")


def _shot(browser: Browser, path: Path) -> Path:
    browser.shoot(path)
    return path


if __name__ == "__main__":
    for made in make_screenshots(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")):
        print(made)
