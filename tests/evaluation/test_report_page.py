"""The page as text: what it says, that everything is escaped, that the same report gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.errors import DatasetError
from extractft.evaluation import EvaluationReport, Failure, LearningPoint, evaluate_records, measure_calibration
from extractft.evaluation.html.page import render_page, visible
from extractft.schema import Schema
from timing import assert_within


class Complaint(BaseModel):
    name: str | None = None
    city: str | None = None
    tags: dict[str, str] = {}


TEXTS = ["Ann lives in Oslo.", "Bob lives in Rome, Italy.", "Cid does not live anywhere."]
GOLD = [
    Complaint(name="Ann", city="Oslo"),
    Complaint(name="Bob", city="Rome, Italy", tags={"a": "b"}),
    Complaint(name="Cid"),
]
PREDICTIONS: list[Any] = [GOLD[0], Complaint(name="Bob", city="Rome", tags={"a": "b"}), Failure.TRUNCATED]
VOID = {"meta"}


class Page(HTMLParser):
    """Elements, their attributes and the text between them; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.inside: list[str] = []
        self.feed(text)
        self.close()
        assert not self.inside

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] not in ("style", "script"):
            self.text.append(data)

    def all_text(self) -> str:
        return "".join(self.text)


def report(*, keep: bool = True, predictions: list[Any] | None = None) -> EvaluationReport:
    found = predictions or PREDICTIONS
    return evaluate_records(Schema.of(Complaint), GOLD, found, texts=TEXTS, keep_records=keep, keep_texts=keep)


def everything() -> str:
    confidences = [0.1 + 0.8 * i / 60 for i in range(60)]
    measured = measure_calibration(confidences, [i % 3 > 0 for i in range(60)])
    points = [
        LearningPoint(fraction=0.5, rows=50, field_f1=0.5, interval=(0.45, 0.55)),
        LearningPoint(fraction=1, rows=100, field_f1=0.7, interval=(0.65, 0.75)),
    ]
    found = report().with_calibration({"values": measured, "records": measured})
    return render_page(found, baseline=report(predictions=[None, None, None]), learning_curve=points)


def test_it_says_what_matters() -> None:
    page = Page(everything())
    text = " ".join(page.all_text().split())
    for sentence in (
        "The worst field is city: F1 0.500, 1 error on 2 values. It is cut short. See an example: record 2.",
        "Would more examples help? Yes: from 50 to 100 rows",
        "better, was 0.000",
        "cut short",
        "no record: cut by the budget",
        "This part is private data",
        "1 of 3 texts gave no record at all.",
        "Expected calibration error",
        "invented",
    ):
        assert sentence in text, sentence
    marks = [attributes for tag, attributes in page.elements if tag == "mark" and "title" in attributes]
    assert [(m["class"], m["title"]) for m in marks] == [("both", "gold city predicted city "), ("gold", "gold city ")]


def test_links_and_labels_lead_somewhere() -> None:
    page = Page(everything())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for target in (attributes.get("aria-labelledby") or "").split():
            assert target in ids
        href = attributes.get("href")
        assert href is None or (href.startswith("#") and href[1:] in ids)


def test_nothing_is_loaded_and_nothing_inline_is_allowed_but_by_its_hash() -> None:
    source = everything()
    page = Page(source)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for tag, attributes in page.elements:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base")
        assert not {"src", "style", "srcset", "action"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
    assert "http://" not in source.replace("http://www.w3.org", "")
    assert "https://" not in source


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    assert everything() == everything()
    one = report()
    stored = EvaluationReport.model_validate_json(one.model_dump_json())
    for name, source in (("one.html", one), ("two.html", stored)):
        source.save_html(tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert b"\r" not in (tmp_path / "one.html").read_bytes()


def test_it_says_how_to_keep_what_was_not_kept() -> None:
    source = render_page(report(keep=False))
    assert "keep_records=True" in source
    assert not any(private in source for private in ("Oslo", "Rome", "Bob"))
    without_texts = evaluate_records(Schema.of(Complaint), GOLD, PREDICTIONS, keep_records=True)
    source = render_page(without_texts)
    assert "keep_texts=True" in source
    assert "Rome" in source
    perfect = render_page(report(predictions=list(GOLD)))
    assert "Every value of every record is right." in perfect
    assert "There are none." in perfect


def test_a_baseline_on_other_records_is_refused(tmp_path: Path) -> None:
    other = evaluate_records(Schema.of(Complaint), GOLD[:2], GOLD[:2])
    with pytest.raises(DatasetError, match="number of records"):
        report().save_html(tmp_path / "page.html", baseline=other)
    assert not (tmp_path / "page.html").exists()


HOSTILE = [
    "<script>document.title='hacked'</script>",
    "</script><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    '" onmouseover="alert(1)" x=\'',
    "-->]]><!--<![CDATA[",
    "a\u2028b\u2029c\u202ed",
    "nul\x00bel\x07esc\x1b[31m del\x7f nel\x85",
    "&lt;b&gt; &amp; &#x3c;",
    "javascript:alert(1)",
]


def hostile_page(texts: list[str]) -> str:
    class Record(BaseModel):
        value: str | None = None
        tags: dict[str, str] = {}

    Record.__name__ = Record.__qualname__ = "<i>Record</i>"
    gold = [Record(value=text, tags={text: text}) for text in texts]
    wrong = [Record(value=f"{text}!x", tags={f"{text}'": text}) for text in texts]
    found = evaluate_records(
        Schema.of(Record), gold, wrong, texts=[f"{t} {t}" for t in texts], keep_records=True, keep_texts=True
    )
    return render_page(found)


def test_what_cannot_be_shown_is_replaced() -> None:
    assert visible("a\x00b\x1b\x7f\r\nc\rd\te") == "a␀b␛␡\nc␍d\te"
    assert visible("\ud800\x85") == "\ufffd\ufffd"
    assert visible("a\u202eb") == "a⟨U+202E⟩b"


HARMLESS = hostile_page(["plain"])
STRUCTURE = [(tag, sorted(attributes)) for tag, attributes in Page(HARMLESS).elements]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_text(text: str) -> None:
    page = Page(hostile_page([text]))
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in STRUCTURE}
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    shown = page.all_text()
    if text.isprintable():
        assert text in shown
    assert "{{ 7 * 7 }}" in shown or "49" not in shown


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\"'{}%/\x00\u2028"), max_size=30),
        min_size=1,
        max_size=3,
    )
)
def test_no_text_makes_an_element_or_stops_the_page(texts: list[str]) -> None:
    source = hostile_page(texts)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\ud800-\udfff]", source)
    page = Page(source)
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in STRUCTURE}
    names = {tag: {name for t, a in STRUCTURE for name in a if t == tag} | {"data-n"} for tag, _ in STRUCTURE}
    assert all(set(attributes) <= names[tag] for tag, attributes in page.elements)


def many(count: int) -> EvaluationReport:
    gold = [Complaint(name=f"Name {i}", city="Oslo" if i == count - 1 else None) for i in range(count)]
    wrong = [Complaint(name=f"Name {i}x") for i in range(count)]
    texts = [f"This is Name {i}. " + "word " * 60 for i in range(count)]
    return evaluate_records(
        Schema.of(Complaint), gold, wrong, texts=texts, keep_records=True, keep_texts=True, resamples=20
    )


def test_a_thousand_wrong_records_make_a_page_of_sensible_size() -> None:
    found = many(1000)
    source = assert_within(lambda: render_page(found), 5)
    assert len(source) < 1_500_000
    assert source.count("<article") == 1000


def test_more_are_left_out_but_not_the_one_that_a_field_needs() -> None:
    source = render_page(many(300), max_records=10)
    assert source.count("<article") == 10
    assert "Of 300 wrong records, 10 are listed: the first ones and, as far as there is room, one for each" in source
    assert 'id="record-300"' in source
    assert 'href="#record-300"' in source
    Page(source)


def test_a_schema_that_is_one_value_has_a_name_for_it() -> None:
    found = evaluate_records(Schema.of(int), [1, 2], [1, 3], texts=["1", "2"], keep_records=True, keep_texts=True)
    text = " ".join(Page(render_page(found)).all_text().split())
    assert "The only field is (value): F1 0.500" in text
