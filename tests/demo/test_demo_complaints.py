from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from complaints.generation import GeneratedExample
from complaints.topics import CLAUSES, REQUESTS, TIMES, TOPICS, VERDICTS
from complaints.writer import EMOJI, KEYS, THANKS, generate
from extractft.demo.complaints import Complaint

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FIELDS = ("name", "address", "email", "question")
Rows = list[GeneratedExample[Complaint]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return generate(1000, seed=0)


def present(rows: Rows, field: str) -> list[str]:
    return [value for row in rows if (value := getattr(row.output, field)) is not None]


def test_every_span_is_the_value(rows: Rows) -> None:
    for row in rows:
        stated = {field for field in FIELDS if getattr(row.output, field) is not None}
        assert set(row.spans) == stated
        for field, (start, end) in row.spans.items():
            assert row.text[start:end] == getattr(row.output, field)


def test_values_do_not_overlap_nor_start_or_end_with_space(rows: Rows) -> None:
    for row in rows:
        spans = sorted(row.spans.values())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(value == value.strip() != "" for value in row.output.model_dump().values() if value is not None)


def test_every_row_validates_from_its_jsonl_form(rows: Rows) -> None:
    for row in rows:
        assert Complaint.model_validate(json.loads(json.dumps(row.row()))["output"]) == row.output


def test_texts_are_distinct_and_of_moderate_length(rows: Rows) -> None:
    assert len({row.text for row in rows}) == 1000
    assert all(40 <= len(row.text) <= 160 for row in rows)
    assert 75 <= sum(len(row.text) for row in rows) / 1000 <= 110


def test_questions_hardly_repeat(rows: Rows) -> None:
    questions = present(rows, "question")
    assert len(set(questions)) / len(questions) > 0.99


def test_texts_hold_no_control_characters_and_are_normalised(rows: Rows) -> None:
    for row in rows:
        assert all(char == "\n" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"} for char in row.text)
        assert unicodedata.normalize("NFC", row.text) == row.text


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [("name", 0.07, 0.2), ("address", 0.1, 0.25), ("email", 0.1, 0.25), ("question", 0.02, 0.1)],
)
def test_fields_are_missing_now_and_then(rows: Rows, field: str, low: float, high: float) -> None:
    assert low <= 1 - len(present(rows, field)) / len(rows) <= high


def test_nothing_else_is_missing_where_a_value_is_absent(rows: Rows) -> None:
    """An absent e-mail address is absent: every address of the text is the sender's or stands in the complaint."""
    for row in rows:
        found = re.findall(r"[\w.-]+@example\.(?:com|net|org)", row.text, re.ASCII)
        own = [row.output.email] if row.output.email else []
        spoken_of = re.findall(r"[\w.-]+@example\.(?:com|net|org)", row.output.question or "", re.ASCII)
        assert Counter(found) == Counter(own + spoken_of)


def test_email_addresses_are_reserved_ones(rows: Rows) -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+@example\.(com|net|org)", value) for value in present(rows, "email"))


def test_telephone_numbers_belong_to_nobody(rows: Rows) -> None:
    numbers = [number for row in rows for number in re.findall(r"(?<!\d)1\d{10}(?!\d)", row.text)]
    assert len(numbers) > 80
    assert all(number.startswith(("10", "12")) for number in numbers)


def test_fields_come_in_any_order(rows: Rows) -> None:
    orders = Counter(tuple(sorted(row.spans, key=lambda field: row.spans[field][0])) for row in rows)
    assert len({order for order in orders if len(order) == 4}) >= 20
    first = Counter(order[0] for order in orders.elements() if order)
    assert all(first[field] > 50 for field in FIELDS)


def test_labels_and_bare_values_both_occur(rows: Rows) -> None:
    labelled = sum("：" in row.text or "【" in row.text for row in rows)
    assert 0.2 < labelled / len(rows) < 0.7


def test_distractors_occur(rows: Rows) -> None:
    questions = present(rows, "question")
    assert sum("@" in question for question in questions) > 5
    assert sum(bool(re.search(r"(街|路)\d+号", question)) for question in questions) > 5
    assert sum(bool(re.search(r"经理|师傅|先生|女士|主任|主管", question)) for question in questions) > 100


def test_a_question_ends_where_its_sentence_ends(rows: Rows) -> None:
    """Neither garbage nor thanks nor emoji: after closing punctuation nothing belongs to the question."""
    for question in present(rows, "question"):
        assert not question.endswith((*EMOJI, *THANKS))
        body = re.sub(r"[！。？?…]+$", "", question)
        assert "！" not in body
        assert "？" not in body
        assert not re.search(rf"[{KEYS}]{{5,}}$", body)


def test_the_sample_text_has_relatives() -> None:
    """Each of the sample's traits occurs: its wide separator, postcode, full stop, glued garbage."""
    traits = {
        r"^[\u4e00-\u9fff]{2,3}   ，": 0,
        r"(街|路)[A-Za-z]座 +\d{6}，": 0,
        r"@example\.\w+。[\u4e00-\u9fff]": 0,
        r"！[\u4e00-\u9fff]{8,}、?$": 0,
    }
    for row in generate(3000, seed=1):
        for trait in traits:
            traits[trait] += bool(re.search(trait, row.text))
    assert min(traits.values()) > 5, traits


def test_the_same_seed_gives_the_same_rows_and_goes_on() -> None:
    assert generate(30, seed=5) == generate(30, seed=5)
    assert generate(60, seed=5)[:30] == generate(30, seed=5)
    ours = {row.text for row in generate(200, seed=5)}
    assert ours.isdisjoint(row.text for row in generate(200, seed=6))


def test_nothing_depends_on_the_hash_seed_or_loads_torch() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r});"
        "import hashlib, json; from complaints.writer import generate;"
        "rows = json.dumps([row.row() for row in generate(50, seed=2)]);"
        "assert not {'torch', 'transformers'} & set(sys.modules); print(hashlib.sha256(rows.encode()).hexdigest())"
    )
    run = [sys.executable, "-c", code]
    digests = {
        subprocess.run(
            run, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("0", "1")
    }
    here = json.dumps([row.row() for row in generate(50, seed=2)])
    assert digests == {hashlib.sha256(here.encode()).hexdigest()}


def test_clauses_are_written_without_closing_punctuation() -> None:
    clauses = [*CLAUSES, *VERDICTS, *REQUESTS, *TIMES, *(clause for topic in TOPICS.values() for clause in topic)]
    assert len(TOPICS) >= 25
    assert len(set(clauses)) == len(clauses) > 150
    assert not [clause for clause in clauses if clause[-1] in "。！？，、 "]
