"""The page in a real browser: no complaint, no request, no hostile text at work, and keys and filters that do theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from chromium import Browser, find_browser
from extractft.evaluation import Failure, LearningPoint, evaluate_records, measure_calibration
from extractft.schema import Schema

BINARY = find_browser()
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on the PATH")

HOSTILE = (
    "<script>document.title='hacked'</script></script><script>document.title='hacked'</script>"
    "<img src='http://192.0.2.1/x.png' onerror=\"document.title='hacked'\"><svg onload=\"document.title='hacked'\">"
    "</textarea></title></style><style>body{display:none}</style>{{ 7*7 }}\x00\u2028\u202e"
    "<iframe src=https://192.0.2.1></iframe><a id=evil href=javascript:alert(1)>x</a>"
)


class Line(BaseModel):
    item: str
    price: float | None = None


class Order(BaseModel):
    customer: str | None = None
    note: str | None = None
    lines: list[Line] = []


def make_page(path: Path) -> None:
    gold, predictions, texts = [], [], []
    for i in range(40):
        text = f"Customer {i} of Main Street orders 3 apples and a pear. Please ring twice. {HOSTILE if i == 2 else ''}"
        right = Order(
            customer=f"Customer {i}", note="Please ring twice", lines=[Line(item="apples", price=3), Line(item="pear")]
        )
        wrong: Any = right.model_copy()
        if i % 4 == 1:
            wrong = right.model_copy(update={"note": "Please ring"})
        elif i % 4 == 2:
            wrong = right.model_copy(update={"customer": HOSTILE, "note": "ring"})
        elif i == 3:
            wrong = Failure.TRUNCATED
        elif i == 7:
            wrong = right.model_copy(update={"lines": [Line(item="pear", price=1)]})
        gold.append(right)
        predictions.append(wrong)
        texts.append(text)
    schema = Schema.of(Order)
    confidences = [0.5 + i / 210 for i in range(100)]
    measured = measure_calibration(confidences, [i % 5 > 0 or i > 60 for i in range(100)])
    report = evaluate_records(schema, gold, predictions, texts=texts, keep_records=True, keep_texts=True)
    baseline = evaluate_records(schema, gold, [None] * 40)
    points = [
        LearningPoint(fraction=f, rows=int(400 * f), field_f1=0.9 - 0.1 / f / 4, interval=(0.85 - 0.1 / f / 4, 0.93))
        for f in (0.25, 0.5, 1)
    ]
    report = report.with_calibration({"values": measured, "records": measured})
    report.save_html(path, baseline=baseline, learning_curve=points)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert BINARY is not None
    found = Browser(BINARY, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    make_page(path)
    return path


@pytest.fixture
def page(browser: Browser, file: Path) -> Browser:
    browser.complaints.clear()
    browser.requests.clear()
    browser.look()
    browser.open(file)
    return browser


def shown(page: Browser) -> list[str]:
    return page.run("[...document.querySelectorAll('article.record')].filter(a => a.checkVisibility()).map(a => a.id)")


def choose(page: Browser, name: str, text: str) -> None:
    page.run(
        f"(() => {{ const s = document.querySelector('select[name={name}]');"
        f"s.value = [...s.options].find(o => o.text.startsWith('{text}')).value;"
        "s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def test_the_browser_would_have_complained(browser: Browser, tmp_path: Path) -> None:
    """What the other tests rely on: broken pages are heard."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><title>x</title>"
        "<p style='color:red'><img src='http://192.0.2.1/x.png'><script>oops()</script>"
    )
    browser.complaints.clear()
    browser.open(bad)
    assert sum("Content Security Policy" in complaint for complaint in browser.complaints) >= 3
    bad.write_text("<title>x</title><script>console.error('one'); oops()</script><img src=missing.png>")
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(bad)
    assert len(browser.complaints) >= 2
    assert any(url.endswith("missing.png") for url in browser.requests)


@pytest.mark.parametrize("width", [1200, 360])
def test_no_complaint_and_no_request(page: Browser, file: Path, width: int) -> None:
    page.look(width=width, dark=width == 360)
    page.run("scrollTo(0, document.documentElement.scrollHeight)")
    page.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")
    assert page.complaints == []
    assert page.requests == [file.as_uri()]
    assert page.run("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_text_is_shown_and_does_nothing(page: Browser) -> None:
    assert page.run("document.title") == "Order: evaluation of 40 records"
    assert page.run("document.querySelectorAll('script, style').length") == 2
    assert page.run("document.querySelectorAll('img, iframe, #evil, textarea').length") == 0
    text = page.run("document.getElementById('record-3').textContent")
    assert "<script>document.title='hacked'</script>" in text
    assert "{{ 7*7 }}␀" in text
    assert "javascript:alert(1)" in text


def test_filters_show_what_they_say(page: Browser) -> None:
    assert len(shown(page)) == 22
    choose(page, "field", "customer")
    assert len(shown(page)) == 10
    assert page.run("document.querySelector('#filter output').value") == "10 records"
    choose(page, "kind", "missed")
    assert shown(page) == []
    assert page.run("document.getElementById('none').checkVisibility()")
    choose(page, "field", "all fields")
    assert shown(page) == ["record-8"]
    assert page.run("document.querySelector('#filter output').value") == "1 record"
    choose(page, "kind", "cut by")
    assert shown(page) == ["record-4"]
    page.run("document.querySelector('#filter button').click()")
    page.run("new Promise(done => setTimeout(done, 20))")
    assert len(shown(page)) == 22
    assert page.complaints == []


def test_the_first_link_leads_to_an_example_of_the_worst_field(page: Browser) -> None:
    assert page.run("document.querySelector('.lead strong').textContent") == "The worst field is note:"
    page.run("document.querySelector('.lead a').click()")
    assert page.run("document.activeElement.id") == "record-2"
    assert page.run("document.querySelector('select[name=field]').selectedOptions[0].text") == "note"
    assert len(shown(page)) == 20
    top = page.run("document.activeElement.getBoundingClientRect().top")
    bar = page.run("document.getElementById('filter').getBoundingClientRect().bottom")
    assert bar <= top + 1 < page.run("innerHeight")
    assert page.complaints == []


def test_keys_walk_through_the_records_that_are_shown(page: Browser) -> None:
    focus = "document.activeElement.id"
    page.press("j")
    assert page.run(focus) == "record-2"
    page.press("j")
    assert page.run(focus) == "record-3"
    choose(page, "field", "note")
    page.press("j")
    assert page.run(focus) == "record-6"
    page.press("ArrowLeft")
    assert page.run(focus) == "record-3"
    page.press("k")
    page.press("k")
    assert page.run(focus) == "record-2"
    page.press("ArrowRight")
    assert page.run(focus) == "record-3"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.run("document.querySelector('select[name=kind]').focus()")
    page.press("j")
    assert page.run("document.activeElement.name") == "kind"


def test_the_first_tab_stop_skips_to_the_findings(page: Browser) -> None:
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    assert page.run("document.activeElement.getBoundingClientRect().left") > 0
    page.press("Enter")
    assert page.run("document.activeElement.id") == "main"


def test_headings_sort_the_table_of_fields(page: Browser) -> None:
    names = "[...document.querySelectorAll('.sortable tbody th code')].map(c => c.textContent)"
    click = "[...document.querySelectorAll('.sortable thead button')].find(b => b.textContent === '{}').click()"
    assert page.run(names)[0] == "note"
    page.run(click.format("field"))
    assert page.run(names) == ["customer", "note", "lines.*.item", "lines.*.price"]
    page.run(click.format("F1"))
    assert page.run(names)[0] == "note"
    page.run(click.format("F1"))
    assert page.run(names)[-1] == "note"
    assert page.run("document.querySelectorAll('.sortable [aria-sort]').length") == 1
    assert page.run("document.querySelector('.sortable [aria-sort]').ariaSort") == "descending"


def test_colours_are_readable_in_light_and_dark(page: Browser) -> None:
    """Contrast of text and what carries meaning, against what is behind: at least 4.5 to 1 (WCAG 2.2 AA)."""
    script = """(() => {
      const rgb = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
      const light = (c) => rgb(c).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const back = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if (!/, 0\\)$|transparent/.test(c)) return c; } return getComputedStyle(document.body).backgroundColor; };
      const worst = [];
      for (const e of document.querySelectorAll('p, a, td, th, dt, dd span, mark, .tag, .value, .differs, .quiet, button, h2, code')) {
        if (!e.textContent.trim() || e.closest('.dim')) continue;
        const [a, b] = [light(getComputedStyle(e).color), light(back(e))];
        const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (contrast < 4.5) worst.push(e.className + ' ' + e.tagName + ' ' + contrast.toFixed(2));
      }
      return [...new Set(worst)];
    })()"""
    for dark in (False, True):
        page.look(dark=dark)
        assert page.run(script) == []
    light, dark_ = [], []
    for found, dark in ((light, False), (dark_, True)):
        page.look(dark=dark)
        found.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert light != dark_


def test_print_shows_every_record_and_no_controls(page: Browser) -> None:
    page.look(media="print", width=800)
    assert not page.run("document.getElementById('filter').checkVisibility()")
    assert page.run("getComputedStyle(document.querySelector('article')).contentVisibility") == "visible"
    assert page.call("Page.printToPDF")["data"]


@pytest.mark.skipif(
    "EXTRACTFT_SHOTS" not in os.environ, reason="pictures are taken when EXTRACTFT_SHOTS names a folder"
)
def test_pictures(page: Browser) -> None:
    folder = Path(os.environ["EXTRACTFT_SHOTS"])
    for name, width, dark in (("light", 1200, False), ("dark", 1200, True), ("narrow", 390, False)):
        page.look(width=width, height=3000, dark=dark)
        page.shoot(folder / f"{name}.png")
    page.look(width=1200)
    page.run("document.querySelector('.lead a').click()")
    page.shoot(folder / "record.png")
