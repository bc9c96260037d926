"""Choices that are taken for one another: counted, shown, and never called made up. Records named by their own rows."""

from __future__ import annotations

import re
from enum import Enum
from html import unescape
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from extractft.data import load_numbered_examples
from extractft.errors import DatasetError, ExtractionError
from extractft.evaluation import Confusion, EvaluationReport, Failure, evaluate_records
from extractft.evaluation.html.error_causes import ErrorCause, explain
from extractft.evaluation.html.findings import summarize
from extractft.evaluation.html.page import render_page
from extractft.evaluation.html.page_model import MOST_PAIRS_SHOWN
from extractft.evaluation.html.wrong_records import wrong_records
from extractft.evaluation.metrics import MOST_PAIRS, choice_text
from extractft.extractor.outcomes import report_of
from extractft.grounding import ground
from extractft.schema import Schema


class Size(Enum):
    SMALL = "small"
    LARGE = "large"
    HUGE = "huge"


class Parcel(BaseModel):
    size: Size | None = None
    speed: Literal["slow", "fast", "small"] | None = None
    fragile: bool | None = None
    floor: Literal[1, 2, "1"] | None = None
    note: str | Literal["none"] | None = None
    kinds: list[Size] = []


TEXT = "a parcel, quickly please"


def evaluate(gold: list[Any], predictions: list[Any], **more: Any) -> EvaluationReport:
    schema: Schema[Any] = Schema.of(type(gold[0]))
    return evaluate_records(schema, gold, predictions, texts=[TEXT] * len(gold), keep_records=True, **more)


def page(found: EvaluationReport) -> str:
    body = render_page(found).partition("<body>")[2].partition("<script>")[0]
    return " ".join(unescape(re.sub("<[^>]*>", " ", body)).split())


@pytest.mark.parametrize(
    ("gold", "prediction"),
    [
        (Parcel(size=Size.SMALL), Parcel(size=Size.LARGE)),
        (Parcel(speed="slow"), Parcel(speed="fast")),
        (Parcel(fragile=True), Parcel(fragile=False)),
        (Parcel(floor=1), Parcel(floor="1")),
        (Parcel(kinds=[Size.SMALL]), Parcel(kinds=[Size.HUGE])),
        (Parcel(size=Size.SMALL, speed="fast"), Parcel(size=Size.LARGE, speed="small")),  # a word of another field
    ],
)
def test_a_wrong_choice_is_confused_and_never_made_up(gold: Parcel, prediction: Parcel) -> None:
    found = evaluate([gold], [prediction])
    assert found.errors is not None
    assert {item.cause for item in explain(found.errors)} == {ErrorCause.CONFUSED}
    assert found.ungrounded == 0
    assert not any(error.ungrounded for error in found.errors)
    assert "made up" not in page(found)
    assert "confused with another choice" in page(found)


def test_absent_choices_are_missed_and_invented() -> None:
    found = evaluate([Parcel(size=Size.SMALL), Parcel()], [Parcel(), Parcel(size=Size.LARGE)])
    assert [item.cause for item in explain(found.errors or ())] == [ErrorCause.MISSED, ErrorCause.INVENTED]
    assert found.confusions["size"].wrong == (
        Confusion(gold="small", prediction=None, count=1),
        Confusion(gold=None, prediction="large", count=1),
    )


def test_a_field_that_takes_any_text_is_no_choice() -> None:
    found = evaluate([Parcel(note="none")], [Parcel(note="gone")])
    assert [item.cause for item in explain(found.errors or ())] != [ErrorCause.CONFUSED]
    assert found.confusions == {}


def test_numbers_and_truth_values_are_told_apart() -> None:
    found = evaluate(
        [Parcel(floor=1), Parcel(floor=2), Parcel(floor=1)], [Parcel(floor="1"), Parcel(floor=1), Parcel(floor=1)]
    )
    table = found.confusions["floor"]
    assert {(type(pair.gold), pair.gold, pair.prediction) for pair in table.wrong} == {(int, 1, "1"), (int, 2, 1)}
    assert EvaluationReport.model_validate_json(found.model_dump_json()) == found
    again = EvaluationReport.model_validate_json(found.model_dump_json()).confusions["floor"]
    assert [type(pair.prediction) for pair in again.wrong] == [type(pair.prediction) for pair in table.wrong]
    assert [choice_text(value) for value in (1, "1", True, "true", None, "(absent)", "", " a", "a", "a\x1b")] == [
        "1", '"1"', "true", '"true"', "(absent)", '"(absent)"', '""', '" a"', "a", '"a\\u001b"',
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.sampled_from([None, *Size]), st.sampled_from([None, *Size]), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_the_table_adds_up_to_the_scores(rows: list[tuple[Size | None, Size | None, bool]]) -> None:
    gold = [Parcel(size=right) for right, _, _ in rows]
    answers = [Failure.ERROR if failed else Parcel(size=came) for _, came, failed in rows]
    found = evaluate(gold, answers, resamples=10)
    scores, table = found.fields["size"], found.confusions.get("size")
    if table is None:
        assert scores.support + scores.predicted == 0
        return
    assert sum(pair.count for pair in table.right) == scores.tp
    assert table.errors == scores.wrong + scores.missed + scores.invented
    labels, counts = table.matrix()
    assert labels[-1] is None
    assert sum(map(sum, counts[:-1])) == scores.support
    assert sum(sum(line[:-1]) for line in counts) == scores.predicted
    assert [pair.count for pair in table.wrong] == sorted((pair.count for pair in table.wrong), reverse=True)


def test_it_is_shown_in_the_terminal_and_on_the_page() -> None:
    small, large, huge = (Parcel(size=size) for size in Size)
    found = evaluate(
        [small] * 5 + [large] * 2 + [Parcel()], [large] * 3 + [small, Failure.ERROR] + [huge, large, small]
    )
    lines = [line.split() for line in str(found).partition("choices confused")[2].splitlines()]
    assert ["size", "small", "large", "3"] in lines
    assert ["size", "small", "(absent)", "1"] in lines
    text = page(found)
    assert "It is mostly confused with another choice (4 of 6)." in text
    assert "The two that are confused most: large came out where small is right, 3 times." in text
    assert "Records that failed count as absent." in text
    assert re.search(r"small 1 3 0 1 large 0 1 1 0|large 1 0 1 0 small 3 1 0 1", text)
    perfect = evaluate([small], [small])
    assert "choices confused" not in str(perfect)
    assert "came out where" not in page(perfect)


def test_the_same_is_said_without_records() -> None:
    found = evaluate_records(Schema.of(Parcel), [Parcel(fragile=True)] * 2, [Parcel(fragile=False)] * 2)
    assert summarize(found, []).about_worst == (
        "F1 0.000, 2 errors on 2 values. It is always confused with another choice (2 of 2). "
        "The two that are confused most: false came out where true is right, 2 times."
    )


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (1,)])
def test_no_two_choices_are_named_if_none_are_confused_most(counts: tuple[int, ...]) -> None:
    pairs = [(Size.SMALL, Size.LARGE), (Size.LARGE, Size.HUGE)]
    rows = [pair for pair, count in zip(pairs, counts, strict=False) for _ in range(count)]
    found = evaluate([Parcel(size=right) for right, _ in rows], [Parcel(size=came) for _, came in rows])
    assert "confused most" not in summarize(found, wrong_records(found.errors or (), None)).about_worst


def test_enums_of_thousands_stay_small() -> None:
    words = Enum("Words", {f"W{i}": f"word {i}" for i in range(1500)})  # type: ignore[misc]
    choices = list(words)
    schema: Schema[Any] = Schema.of(words)
    found = evaluate_records(schema, [*choices, choices[0]], [*choices[1:], choices[0], choices[1]], resamples=10)
    table = found.confusions[""]
    assert (len(table.wrong), table.errors, table.wrong[0].count) == (MOST_PAIRS, 1501, 2)
    assert "rarer ones" in str(found)
    text = page(found)
    assert f"{1501 - MOST_PAIRS_SHOWN - 1} other errors in rarer pairs." in text
    assert len(text) < 5000


def test_hostile_words_stay_text() -> None:
    choice = Literal["</td><script>alert(1)</script>", "b"]
    found = evaluate_records(Schema.of(choice), ["b", "b"], [Failure.ERROR, "</td><script>alert(1)</script>"])
    assert render_page(found).count("<script>") == 1


class Note(BaseModel):
    word: str | None = None


@given(st.text("ab 1-.", max_size=12), st.text("ab1-.", min_size=1, max_size=5))
def test_ungrounded_is_what_no_span_shows(text: str, word: str) -> None:
    schema = Schema.of(Note)
    found = evaluate_records(schema, [Note()], [Note(word=word)], texts=[text], resamples=2)
    spans = ground(schema, {"word": word}, text).get("word", ())
    assert found.ungrounded == int(all(span.method == "fuzzy" for span in spans))


@pytest.mark.parametrize(
    ("gold", "prediction"), [("New York", "NewYork"), ("Café", "Cafe"), ("it's", "it’s"), ("a  b", "A B")]
)
def test_what_is_the_same_but_for_its_writing_is_not_cut_short(gold: str, prediction: str) -> None:
    found = evaluate([Note(word=gold)], [Note(word=prediction)])
    assert [item.cause for item in explain(found.errors or ())] == [ErrorCause.SPELLING]


def test_half_of_a_long_value_is_more_than_a_few_characters() -> None:
    found = evaluate([Note(word="x" * 50 + "a" * 50)], [Note(word="x" * 50 + "b" * 50)])
    assert [item.cause for item in explain(found.errors or ())] == [ErrorCause.MADE_UP]


# ------------------------------------------------------------------------------------------------- row numbers


def test_records_are_named_by_their_own_numbers() -> None:
    gold = [Note(word="a"), Note(word="b"), Note(word="c")]
    found = evaluate_records(
        Schema.of(Note),
        gold,
        [gold[0], Note(word="x"), Failure.ERROR],
        texts=["text of a", "text of b", "text of c"],
        numbers=[3, 7, 12],
        keep_records=True,
        keep_texts=True,
    )
    assert [(error.row, error.kind) for error in found.errors or ()] == [(7, "wrong"), (12, "error")]
    assert found.numbers == (3, 7, 12)
    text = page(found)
    assert "Record 7 " in text
    assert text.index("Record 7 ") < text.index("text of") < text.index("Record 12 ") < text.rindex("text of")
    assert 'id="record-12"' in render_page(found)
    assert EvaluationReport.model_validate_json(found.model_dump_json()) == found


def test_numbers_that_are_counted_from_one_are_not_kept() -> None:
    gold = [Note(word="a"), Note(word="b")]
    assert evaluate(gold, gold, numbers=[1, 2]).numbers is None
    assert evaluate_records(Schema.of(Note), gold, gold, numbers=[4, 5]).numbers is None
    for numbers in ([1, 1], [1], [1, 2, 3]):
        with pytest.raises(DatasetError, match="number of its own"):
            evaluate(gold, gold, numbers=numbers)


def test_the_report_names_the_rows_that_the_check_of_the_file_names(tmp_path: Path) -> None:
    schema = Schema.of(Note)
    rows = ["a,x\n", "\n", '"two\nlines",y\n', "c,z\n"]
    (tmp_path / "good.csv").write_text("text,word\n" + "".join(rows))
    loaded = load_numbered_examples(tmp_path / "good.csv", schema)
    lost: list[Any] = [ExtractionError("lost", text=example.text) for example in loaded.examples]
    found = report_of(schema, loaded, lost, keep_records=True, keep_texts=True)
    named = [error.row for error in found.errors or ()]
    (tmp_path / "bad.csv").write_text("text,word\n" + "".join(rows[:2]) + '"two\nlines",y,1,2\n' + ",z\n")
    with pytest.raises(DatasetError) as refused:
        load_numbered_examples(tmp_path / "bad.csv", schema)
    assert named[0] == 2
    assert named[1:] == sorted({issue.row for issue in refused.value.issues})
    assert [f"Record {number} " in page(found) for number in named] == [True] * 3
