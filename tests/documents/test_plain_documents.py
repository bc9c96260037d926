"""Text, Markdown and HTML; finding documents; places of spans."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.documents import Document, DocumentPart, find_documents, read_document
from extractft.errors import DocumentError, MissingDependencyError
from timing import assert_within

PAGE = """<!doctype html><html><head><title>no</title><style>p{}</style></head><body>
<h1>Order  of 龙琳&nbsp;🧾</h1><script>var no = 1;</script>
<p>Line one<br>line <b>two</b>, e&#x301;&amp;more</p>
<table><tr><th>Article</th><th>Price</th></tr><tr><td>Tea 🍵<p>green</p></td><td>3,50&nbsp;€</td></tr></table>
<div>after <img src=x alt="a picture"> it</div><template>no</template><!-- no --></body></html>"""


def place(document: Document, words: str) -> str:
    start = document.text.index(words)
    return str(document.locate(start, start + len(words)))


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 200_000 + "x",
        "<b><div>" * 100_000 + "</b>" * 100_000,
        "<ul><li>" * 100_000,
        "".join(f"<font color={number}><p>" for number in range(5_000)),
        "<p " + " ".join(f"a{number}" for number in range(100_000)) + ">",
        "<select>" + "<option>x</option>" * 100_000,
    ],
    ids=["nested", "closed late", "lists", "copied", "attributes", "options"],
)
def test_a_page_that_takes_hours_to_parse_is_refused_at_once(tmp_path: Path, page: str) -> None:
    (tmp_path / "page.html").write_text(page)

    def refused() -> None:
        with pytest.raises(DocumentError, match="too many tags within each other"):
            read_document(tmp_path / "page.html")

    assert_within(refused, 3)


@pytest.mark.parametrize(
    "page",
    [
        "<p>word" * 100_000,
        "<div><b>word</b></div>" * 100_000,
        "<table>" + "<tr><td>word<td>word" * 50_000,
        "<div>" * 2_000 + "word" + "</div>" * 2_000,
        "<p>word<font color=red>" * 3_000,
        "<script>" + "s = '<div>';" * 100_000 + "</script>word",
        "<!--" + "<div>" * 100_000 + "-->word",
        "<p title='" + "long " * 50_000 + "'>word",
    ],
    ids=["flat", "closed", "table", "deep", "equal", "script", "comment", "one attribute"],
)
def test_large_pages_are_read(tmp_path: Path, page: str) -> None:
    (tmp_path / "page.html").write_text(page)
    document = read_document(tmp_path / "page.html")
    assert document.text.count("word") == page.count("word")


def test_a_page_reads_as_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "order.html").write_text(PAGE, "utf-8")
    document = read_document(tmp_path / "order.html")
    assert document.text == (
        "Order of 龙琳\xa0🧾\nLine one\nline two, e\u0301&more\nArticle\tPrice\nTea 🍵\ngreen\t3,50\xa0€\n"
        "after a picture it"
    )
    assert place(document, "龙琳\xa0🧾") == "paragraph 1"
    assert place(document, "two") == "paragraph 2"
    assert place(document, "🍵") == "table 1, row 2, column 1"
    assert place(document, "3,50") == "table 1, row 2, column 2"
    assert place(document, "after") == "paragraph 3"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('<meta charset="gb2312"><p>龙琳</p>'.encode("gb18030"), "龙琳"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"><p>€ é</p>'.encode("cp1252"), "€ é"),
        ("<p>é</p>".encode("utf-16"), "é"),
        (b'<meta charset="nonsense"><p>plain</p>', "plain"),
        (b"<p>open <b>all the way", "open all the way"),
        (b"<div>" * 5000 + b"deep", "deep"),
    ],
)
def test_pages_in_the_encoding_that_they_declare(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "page.htm").write_bytes(content)
    assert read_document(tmp_path / "page.htm").text == text


def test_text_and_markdown_stay_as_they_are(tmp_path: Path) -> None:
    words = "# Order 🧾\r\n\r\n* 龙琳\te\u0301\n"
    for name in ("a.txt", "a.md"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + words.encode())
        document = read_document(tmp_path / name)
        assert document.text == words.replace("\r\n", "\n")
        assert place(document, "龙琳") == "line 3"
    more = "龙琳，宁夏回族自治区璐市城东林街。小区的垃圾堆积成山，请派人来清理。"
    (tmp_path / "a.txt").write_bytes(more.encode("gb18030"))
    with pytest.raises(DocumentError, match="expected text in UTF-8") as caught:
        read_document(tmp_path / "a.txt")
    assert any("GB18030" in note for note in caught.value.__notes__)
    assert read_document(tmp_path / "a.txt", encoding="gb18030").text == more


@pytest.mark.parametrize(
    ("name", "message", "note"),
    [
        ("a.doc", "found the ending .doc", "Save it as .docx"),
        ("a.png", "found the ending .png", "recognise its text"),
        ("a", r"found the ending \(none\)", "Expected one of"),
        ("empty.txt", "expected text, found none", "right file"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, message: str, note: str) -> None:
    (tmp_path / name).write_bytes(b" \n")
    with pytest.raises(DocumentError, match=message) as caught:
        read_document(tmp_path / name)
    assert any(note in found for found in caught.value.__notes__)
    with pytest.raises(DocumentError, match="cannot be read"):
        read_document(tmp_path / "missing.txt")


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_text("<p>a</p>")
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    with pytest.raises(MissingDependencyError, match="selectolax") as caught:
        read_document(tmp_path / "a.html")
    assert any("extractft[documents]" in note for note in caught.value.__notes__)


def test_folders_are_searched_and_other_files_left_aside(tmp_path: Path) -> None:
    for name in ("b.txt", "inner/a.md", "inner/x.png", ".hidden/a.txt", "~$b.docx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("words")
    found = find_documents([tmp_path, tmp_path / "b.txt"])
    assert [file.relative_to(tmp_path).as_posix() for file in found] == ["b.txt", "inner/a.md"]
    assert find_documents([str(tmp_path / "*.txt")]) == [tmp_path / "b.txt"]
    with pytest.raises(DocumentError, match="no such file"):
        find_documents([tmp_path / "none.pdf"])
    with pytest.raises(DocumentError, match="expected documents in"):
        find_documents([_empty(tmp_path)])


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6), st.data())
def test_a_span_is_in_the_parts_that_it_touches(texts: list[str], data: st.DataObject) -> None:
    parts, start = [], 0
    for number, text in enumerate(texts):
        parts.append(DocumentPart(start, start + len(text), "page", f"page {number}"))
        start += len(text) + 1
    document = Document("a", "\n".join(texts), tuple(parts))
    first = data.draw(st.integers(0, len(document.text) - 1))
    last = data.draw(st.integers(first + 1, len(document.text)))
    expected = [part for part in parts if part.start < last and first < part.end]
    assert list(document.locate(first, last).parts) == expected
    with pytest.raises(ValueError, match="expected a span"):
        document.locate(0, len(document.text) + 1)
