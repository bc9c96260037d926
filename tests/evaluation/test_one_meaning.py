"""One meaning of "in the text": the check of examples, the evaluation and the spans agree on every free text."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, Field

from extractft.data import Example, check_examples
from extractft.evaluation import evaluate_records
from extractft.evaluation.html.error_causes import ErrorCause, explain
from extractft.evaluation.value_spans import overlapping_spans
from extractft.grounding import ground
from extractft.schema import Schema, Verbatim
from extractft.text import is_blank


class Item(BaseModel):
    name: str = Field(alias="Name")
    size: Literal["small", "large"] | str | None = None


class Record(BaseModel):
    who: str = "-"
    copied: Annotated[str, Verbatim()] | None = None
    mail: str | None = None
    links: list[AnyUrl] = []
    kind: Literal["urgent", "later"] = "later"
    number: int | None = None
    items: list[Item] = []
    notes: dict[str, str] = {}


SCHEMA = Schema.of(Record, omit_defaults=False)


def ungrounded(record: Record, text: str) -> tuple[set[str], set[str], set[str]]:
    """Fields with free text that stands nowhere: as the check, the evaluation and the spans have it."""
    checked = {summary.path for summary in check_examples([Example(text, record)], SCHEMA).fields if summary.ungrounded}
    report = evaluate_records(SCHEMA, [record], [record], texts=[text])
    evaluated = {path for path, scores in report.fields.items() if scores.ungrounded}
    spans = ground(SCHEMA, SCHEMA.canonical_value(record), text)
    nowhere = {path for path, found in spans.items() if all(span.method == "fuzzy" for span in found)}
    value = SCHEMA.full_value(record)
    grounded = set()
    for path in nowhere:
        first, *rest = path.split(".")
        if first in ("who", "copied", "mail", "links", "notes"):
            grounded.add(f"{first}.*" if first in ("notes", "links") else first)
        elif first == "items":
            item = value["items"][int(rest[0])]
            if rest[1] == "name" or (rest[1] == "size" and item["size"] not in ("small", "large")):
                grounded.add(f"items.*.{rest[1]}")
    return checked, evaluated, grounded


CASES = [
    ("138 0000 0000", "call 13800000000", True),
    ("13800000000", "call 138 0000 0000", True),
    ("13800000000", "call 138-0000-0000", True),
    ("Main Street", "MAIN\n STREET 5", True),
    ("Muller", "Herr Müller", True),
    ("Cafe\u0301", "im Café", True),
    ("１２３号", "in 123号", True),
    ("林街5号", "林街 5 号", True),
    ("2024-05-01", "on May 1, 2024", True),
    ("1280.5", "for 1,280.50", True),
    ("am", "the team", False),
    ("Main Street 13", "at Main Street 12", False),
    ("Stanford University", "at Stanfort University", False),
    ("👨", "👨‍👩‍👧 family", False),
]


@pytest.mark.parametrize(("value", "text", "stands"), CASES)
def test_a_value_stands_in_a_text_for_all_three_or_for_none(value: str, text: str, stands: bool) -> None:
    for found in ungrounded(Record(who=value), text):
        assert found == (set() if stands else {"who"})


WORDS = st.sampled_from(
    ["Ann", "ann", "林街", "5", "13", " ", "\n", "é", "e\u0301", "Main Street", "main  street", "138", "0000", "-", ".", "２０２４", "2024-05-01",
     "May 1, 2024", "👨‍👩‍👧", "👨", "urgent", "small", "a@b.cc", "https://example.com/a", "example.com", "Ltd", "ß", "ss", "\u200b", "，"]
)  # fmt: skip
PHRASES = st.lists(WORDS, min_size=1, max_size=5).map("".join)


@settings(max_examples=400)
@given(st.lists(WORDS, max_size=14).map("".join), st.data())
def test_check_evaluation_and_spans_agree(text: str, data: st.DataObject) -> None:
    phrase = st.one_of(PHRASES, st.sampled_from([text[:8], text[3:9], text])).map(
        lambda value: "x" if is_blank(value) else value
    )
    record = Record(
        who=data.draw(phrase),
        copied=data.draw(st.none() | phrase),
        mail=data.draw(st.sampled_from([None, "a@b.cc", "ann@b.cc"])),
        links=data.draw(st.sampled_from([[], [AnyUrl("https://example.com/a")], [AnyUrl("http://example.com/")]])),
        number=data.draw(st.sampled_from([None, 5, 7])),
        items=[
            Item(Name=data.draw(phrase), size=data.draw(st.none() | st.just("small") | phrase))
            for _ in range(data.draw(st.integers(0, 2)))
        ],
        notes={"a.b": data.draw(phrase)} if data.draw(st.booleans()) else {},
    )
    checked, evaluated, spans = ungrounded(record, text)
    assert checked == evaluated == spans


def differences(gold: Any, prediction: Any, text: str) -> Any:
    report = evaluate_records(SCHEMA, [gold], [prediction], texts=[text], keep_records=True)
    return report.errors


def test_made_up_is_what_the_report_counts_as_ungrounded() -> None:
    text = "Ann, call 138 0000 0000, urgent."
    (phone,) = explain(differences(Record(who="Ann"), Record(who="13800000000"), text))
    assert phone.cause is ErrorCause.OTHER
    (made_up,) = explain(differences(Record(who="Ann"), Record(who="Zed Zebedee"), text))
    assert made_up.cause is ErrorCause.MADE_UP
    (choice,) = explain(differences(Record(kind="urgent"), Record(kind="later"), text))
    assert choice.cause is not ErrorCause.MADE_UP
    assert not choice.difference.ungrounded
    item = [Item(Name="Ann", size="large")]
    (choice,) = explain(differences(Record(items=[Item(Name="Ann", size="small")]), Record(items=item), text))
    assert choice.cause is not ErrorCause.MADE_UP, "a choice in a union with free text is a choice"


PLACES = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)).map(lambda p: (p[0], p[0] + p[1])), max_size=6)


@given(PLACES, PLACES)
def test_the_nearest_places_are_those_of_trying_all(gold: list[tuple[int, int]], found: list[tuple[int, int]]) -> None:
    overlapping = [(a, b) for a in gold for b in found if a[0] < b[1] and b[0] < a[1]]
    assert overlapping_spans(gold, found) == (
        overlapping[0] if overlapping else (next(iter(gold), None), next(iter(found), None))
    )
