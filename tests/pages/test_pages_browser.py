"""Both pages in a real browser: a person's path by keyboard alone, axe, no outside request, hostile texts shown as text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_doubles import HOSTILE, RECORDS, SCHEMA, TEXTS, PageServer, items

from chromium import Browser, find_browser

BINARY = find_browser()
AXE = Path(__file__).resolve().parent.parent.parent / ".cache" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on the PATH")

ACTIVE = "document.querySelector('.row.active > .label')?.textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert BINARY is not None
    found = Browser(BINARY, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    with PageServer(tmp_path / "reviews.db") as running:
        assert running.store is not None
        running.store.add_items(items())
        yield running


def visit(browser: Browser, address: str, *, language: str = "en", person: str | None = None) -> None:
    """Open a page as somebody who was here before: with a language, and a name."""
    browser.look()
    browser.open(address)
    browser.run("sessionStorage.clear(); localStorage.clear()")
    browser.run(f"localStorage.setItem('extractft-language', {json.dumps(language)})")
    if person is not None:
        browser.run(f"localStorage.setItem('extractft-reviewer', {json.dumps(person)})")
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(address)


def review(browser: Browser, server: PageServer, **options: Any) -> None:
    visit(browser, f"{server.url}/review", **{"person": "Ann", **options})
    browser.wait_for("document.querySelector('.row.active')")


def go_to(browser: Browser, label: str) -> None:
    for _ in range(40):
        if browser.run(ACTIVE) == label:
            return
        browser.press("j")
    raise AssertionError(f"{label} is not among the fields below")


def shown_id(browser: Browser) -> str:
    return browser.run("document.getElementById('origin').textContent.match(/order-\\d/)[0]")


def quiet(browser: Browser, server: PageServer) -> None:
    refused = "Failed to load resource"  # the browser's own words for an answer such as 422
    assert [found for found in browser.complaints if refused not in found] == []
    assert {url for url in browser.requests if not url.startswith(server.url)} == set()


def violations(browser: Browser) -> list[Any]:
    if not AXE.exists():
        pytest.fail(f"expected axe-core in {AXE}; `make setup` puts it there", pytrace=False)
    browser.run(AXE.read_text("utf-8") + "; true")
    found = browser.run("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    return [(v["id"], v["help"], [node["html"][:200] for node in v["nodes"]][:3]) for v in found]


# ------------------------------------------------------------------------------------------------------------- review


def test_a_persons_path_through_the_review_by_keyboard_alone(browser: Browser, server: PageServer) -> None:
    visit(browser, f"{server.url}/review")
    browser.wait_for("document.querySelector('dialog[open]')")
    browser.type("Ann")
    browser.press("Enter")
    browser.wait_for("document.querySelector('.row.active')")
    assert shown_id(browser) == "order-0"
    assert browser.run(ACTIVE) == "priority"  # the first doubtful field

    browser.press("x")  # it is not in the text
    assert "was: high" in browser.run("document.querySelector('.row.active .chips').textContent")

    go_to(browser, "street")
    browser.press("m")  # into the text, to the place of the value
    assert browser.run("String(getSelection())") == "Rose Lane 7"
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    for _ in " Leeds":
        browser.press("ArrowRight", "Shift")
    assert browser.run("String(getSelection())") == " Leeds"
    browser.press("ArrowLeft")
    browser.press("ArrowRight")
    for _ in "Leeds":
        browser.press("ArrowRight", "Shift")
    browser.press("t")
    assert browser.run("document.querySelector('.row.active textarea').value") == "Leeds"
    assert browser.run(ACTIVE) == "street"

    while browser.run(ACTIVE) != "email":
        browser.press("k")
    browser.press("e")
    browser.press("a", "Control")
    browser.type("nobody")
    browser.wait_for("document.querySelector('.row.invalid .problem').textContent.includes('has an @')")
    browser.press("Enter", "Control")  # what the schema refuses is not saved
    browser.wait_for("document.getElementById('message').textContent.startsWith('Not saved')")
    assert server.store is not None
    assert server.store.last_decision() == 0
    browser.press("Escape")
    browser.wait_for("!document.querySelector('.row.invalid')")
    assert browser.run("document.querySelector('.row.active textarea').value") == "ada@example.com"

    browser.press("a")
    browser.wait_for("document.getElementById('origin').textContent.includes('order-1')")
    final = server.store.item(1).final
    assert final is not None
    changes = [(change.path, change.kind, change.before, change.after) for change in final.changes]
    assert sorted(changes, reverse=True) == [
        ("priority", "invented", "high", None),
        ("address.street", "wrong", "Rose Lane 7", "Leeds"),
    ]
    assert (final.reviewer, final.kind) == ("Ann", "correct")

    browser.press("a")  # the second is right as it is
    browser.wait_for("document.getElementById('origin').textContent.includes('order-2')")
    browser.press("s")  # the third is for somebody else
    browser.wait_for("document.getElementById('origin').textContent.includes('order-3')")
    assert [server.store.item(number).decisions[-1].kind for number in (2, 3)] == ["accept", "skip"]

    go_to(browser, "number")
    assert browser.run("document.querySelector('.row.active textarea').value") == "123456789012345678901234567890"
    browser.press("z")
    go_to(browser, "price")
    browser.press("Enter")
    browser.press("a", "Control")
    browser.type("2.75")
    browser.press("Enter")
    assert browser.run("document.activeElement.className").startswith("row")
    browser.press("+")
    browser.press("-")
    browser.press("a")
    browser.wait_for("!document.getElementById('none').hidden")
    final = server.store.item(4).final
    assert final is not None
    assert final.record == {**SCHEMA.full_value(RECORDS[3]), "lines": [{"item": "rice", "count": 1, "price": 2.75}]}
    browser.wait_for("document.getElementById('done').textContent.includes('3 of 4 records done')")
    assert "priority" in browser.run("document.getElementById('fields').textContent")

    browser.press("b")  # back to what was decided last, and once more anew
    browser.wait_for("!document.getElementById('work').hidden")
    browser.press("a")
    browser.wait_for("!document.getElementById('none').hidden")
    assert len(server.store.item(4).decisions) == 2
    quiet(browser, server)


def test_what_one_has_another_does_not_get(browser: Browser, server: PageServer) -> None:
    assert server.store is not None
    taken = server.store.claim_next("Bob", ["orders"])
    assert taken is not None
    review(browser, server)
    assert shown_id(browser) == "order-1"
    server.store.decide(2, "Ann", "accept", taken.item.proposed, version=0)  # in another tab
    browser.press("a")
    browser.wait_for("document.getElementById('origin').textContent.includes('order-2')")
    assert "Somebody else" in browser.run("document.getElementById('message').textContent")
    assert len(server.store.item(2).decisions) == 1


def test_what_others_have_is_said_where_nothing_is_left(browser: Browser, server: PageServer) -> None:
    assert server.store is not None
    taken = server.store.claim_next("Bob", ["orders"])
    assert taken is not None
    for found in [*server.store.items()]:
        if found.number != taken.number:
            server.store.decide(found.number, "Eve", "accept", found.item.proposed, version=found.version)
    visit(browser, f"{server.url}/review", person="Ann")
    browser.wait_for("!document.getElementById('none').hidden && document.getElementById('others').textContent")
    assert "somebody else looks at: 1" in browser.run("document.getElementById('none').innerText")
    assert browser.run("document.querySelector('#people thead th').textContent") == "Reviewer"
    quiet(browser, server)


def test_hostile_texts_are_shown_as_text(browser: Browser, server: PageServer) -> None:
    review(browser, server)
    for number in (0, 1):
        browser.press("a")
        browser.wait_for(f"document.getElementById('origin').textContent.includes('order-{number + 1}')")
    assert browser.run("document.title") == "Review records · extractft"
    assert browser.run("document.querySelectorAll('iframe, img, #evil, style, main script').length") == 0
    text = browser.run("document.getElementById('text').textContent")
    for part in ("<script>document.title='hacked'</script>", "javascript:alert(1)", "{{ 7*7 }}␇", "__proto__"):
        assert part in text
    assert "\u202e" not in text
    assert len(text) == len(TEXTS[2])  # no character more or less, so that places fit
    assert HOSTILE[:30] in browser.run("document.querySelector('textarea.code').value")
    browser.press("m")
    browser.run("getSelection().selectAllChildren(document.getElementById('text'))")
    go = browser.run("document.activeElement.id")
    assert go == "text"
    browser.press("Escape")
    quiet(browser, server)


def test_the_text_cannot_be_changed(browser: Browser, server: PageServer) -> None:
    review(browser, server)
    browser.press("m")
    before = browser.run("document.getElementById('text').textContent")
    browser.type("typed")
    browser.press("Backspace")
    browser.press("Enter")
    browser.run("document.execCommand('insertText', false, 'pasted')")  # as an input method, which asks nobody
    assert browser.run("document.getElementById('text').textContent") == before


def test_a_reload_keeps_the_record(browser: Browser, server: PageServer) -> None:
    review(browser, server)
    assert shown_id(browser) == "order-0"
    browser.open(f"{server.url}/review")
    browser.wait_for("document.querySelector('.row.active')")
    assert shown_id(browser) == "order-0"


def test_switching_the_language_keeps_what_was_typed(browser: Browser, server: PageServer) -> None:
    review(browser, server)
    browser.press("x")
    browser.run("document.getElementById('language').click()")
    assert browser.run("document.documentElement.lang") == "zh-CN"
    assert browser.run("document.getElementById('accept').textContent").startswith("保存更正")
    assert "已由您修改" in browser.run("document.getElementById('record').textContent")
    assert "priority" in browser.run("document.getElementById('record').textContent")
    quiet(browser, server)


# ------------------------------------------------------------------------------------------------------------ extract


def extract(browser: Browser, server: PageServer, text: str, **options: Any) -> None:
    visit(browser, f"{server.url}/", **options)
    browser.wait_for("document.getElementById('extractor').value")
    browser.type(text)
    browser.press("Enter", "Control")
    browser.wait_for("document.querySelectorAll('#record .row').length > 3")


def test_a_text_becomes_a_form_with_every_place_marked(browser: Browser, server: PageServer) -> None:
    extract(browser, server, TEXTS[0])
    marks = browser.run("[...document.querySelectorAll('mark')].map(m => m.textContent)")
    assert marks == [
        "Ada 👩‍💻 Lovelace", "ada@example.com", "3", "pears", "1.50", "2", "apples", "2026-12-24", "Rose Lane 7", "Leeds",
    ]  # fmt: skip
    spoken = browser.run("[...document.querySelectorAll('#record .row')].map(r => r.getAttribute('aria-label'))")
    assert spoken[0] == "customer, Ada 👩‍💻 Lovelace, 99 %, sure, in the text" or spoken[0].startswith(
        "customer, Ada 👩‍💻"
    )
    assert any(row.startswith("gift, absent") for row in spoken)
    browser.run("document.querySelectorAll('mark')[1].click()")
    assert browser.run("document.activeElement.getAttribute('aria-label')").startswith("email")
    browser.run("document.querySelectorAll('mark')[1].classList.contains('active')")
    quiet(browser, server)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on the PATH")
def test_the_curl_command_does_the_same(browser: Browser, server: PageServer) -> None:
    text = "It's \"Ada\" $HOME `id` \\ 'q'"
    assert server.store is not None
    extract(browser, server, TEXTS[3])
    browser.run("navigator.clipboard.writeText = () => Promise.reject()")
    browser.run("document.getElementById('copy-curl').click()")
    browser.wait_for("document.getElementById('copied').value")
    command = browser.run("document.getElementById('copied').value")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(answer.stdout)["record"] == SCHEMA.full_value(RECORDS[3])
    assert text not in command
    browser.run("document.getElementById('copied').value = ''; document.getElementById('copy-json').click()")
    browser.wait_for("document.getElementById('copied').value")
    copied = browser.run("document.getElementById('copied').value")
    assert '"number": 123456789012345678901234567890' in copied
    assert json.loads(copied) == SCHEMA.full_value(RECORDS[3])


def test_what_the_server_cannot_do_is_said(browser: Browser, server: PageServer) -> None:
    visit(browser, f"{server.url}/")
    browser.wait_for("document.getElementById('extractor').value")
    browser.type("No script has an answer for this.")
    browser.press("Enter", "Control")
    browser.wait_for("document.getElementById('message').className === 'bad'")
    assert browser.run("document.getElementById('run').disabled") is False


def test_a_server_with_keys_asks_for_one(browser: Browser, tmp_path: Path) -> None:
    with PageServer(tmp_path / "reviews.db", api_keys=("a-key-of-the-test-0123456789",)) as server:
        assert server.store is not None
        server.store.add_items(items())
        visit(browser, f"{server.url}/review", person="Ann")
        browser.wait_for("document.querySelector('dialog[open] input[type=password]')")
        browser.type("wrong")
        browser.press("Enter")
        browser.wait_for("document.querySelector('dialog[open] input[type=password]')?.value === ''")
        browser.type("a-key-of-the-test-0123456789")
        browser.press("Enter")
        browser.wait_for("document.querySelector('.row.active')")
        assert "a-key" not in browser.run("JSON.stringify(localStorage)")


def test_without_a_review_there_is_no_link_to_it(browser: Browser) -> None:
    with PageServer(None) as server:
        visit(browser, f"{server.url}/")
        browser.wait_for("document.getElementById('extractor').value")
        browser.wait_for("document.getElementById('description').textContent")
        assert browser.run("document.getElementById('to-review').hidden")


# ------------------------------------------------------------------------------------------------------ for everybody


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser: Browser, server: PageServer, language: str, dark: bool) -> None:
    extract(browser, server, TEXTS[1], language=language)
    for width in (1200, 390):
        browser.look(width=width, dark=dark)
        assert violations(browser) == []
    review(browser, server, language=language)
    browser.press("x")
    browser.wait_for("/valid|有效/.test(document.getElementById('validity').textContent)")
    for width in (1200, 390):
        browser.look(width=width, dark=dark)
        assert violations(browser) == []
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    browser.press("?")
    assert violations(browser) == []
    browser.press("Escape")


def test_no_meaning_by_colour_alone(browser: Browser, server: PageServer) -> None:
    review(browser, server)
    lines = browser.run(
        "Object.fromEntries(['sure', 'fair', 'doubtful'].map(level => [level,"
        " getComputedStyle(document.querySelector(`mark.${level}`)).borderBottomStyle]))"
    )
    assert len({*lines.values()}) == 3
    words = browser.run("[...document.querySelectorAll('.row')].map(r => [r.dataset.level, r.textContent])")
    named = {"sure": "sure", "fair": "fairly sure", "doubtful": "doubtful"}
    assert all(named[level] in text for level, text in words if level in named)


@pytest.mark.skipif(
    "EXTRACTFT_SHOTS" not in os.environ, reason="pictures are taken when EXTRACTFT_SHOTS names a folder"
)
def test_pictures_of_pages(browser: Browser, server: PageServer) -> None:
    folder = Path(os.environ["EXTRACTFT_SHOTS"])
    extract(browser, server, TEXTS[0])
    browser.shoot(folder / "extract.png")
    review(browser, server)
    for name, width, dark in (("review", 1280, False), ("review-dark", 1280, True), ("review-phone", 390, False)):
        browser.look(width=width, dark=dark)
        browser.shoot(folder / f"{name}.png")
