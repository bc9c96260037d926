"""What counts as the same value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.evaluation.merged_schema import MergedSchema
from extractft.evaluation.value_trees import MatchLevel, ScalarNode, normalize_string

TEXT = MergedSchema(scalar=True, strings=True, free_text=True)
CHOICE = MergedSchema(scalar=True, strings=True)
NUMBER = MergedSchema(scalar=True)
DECIMAL = MergedSchema(scalar=True, strings=True, formats=frozenset({"decimal"}))
DATETIME = MergedSchema(scalar=True, strings=True, formats=frozenset({"datetime"}))
TIME = MergedSchema(scalar=True, strings=True, formats=frozenset({"time"}))


@pytest.mark.parametrize(
    ("schema", "gold", "prediction", "match"),
    [
        (TEXT, "Main St", "Main St", MatchLevel.EXACT),
        (TEXT, "Main St.", "  MAIN\n st", MatchLevel.NORMALIZED),
        (TEXT, "小区垃圾堆积成山。", "小区垃圾堆积成山", MatchLevel.NORMALIZED),
        (TEXT, "《红楼梦》", "红楼梦", MatchLevel.NORMALIZED),
        (TEXT, "ＡＢＣ１２３", "abc123", MatchLevel.NORMALIZED),
        (TEXT, "Straße", "STRASSE", MatchLevel.NORMALIZED),
        (TEXT, "é", "e\u0301", MatchLevel.EXACT),
        (TEXT, "", "", MatchLevel.EXACT),
        (TEXT, "", ".", MatchLevel.DIFFERENT),
        (TEXT, "...", "!!!", MatchLevel.DIFFERENT),
        (TEXT, "12.50", "12.5", MatchLevel.DIFFERENT),
        (TEXT, "-5", "5", MatchLevel.DIFFERENT),
        (TEXT, "(a)", "a", MatchLevel.DIFFERENT),
        (TEXT, "a b", "ab", MatchLevel.DIFFERENT),
        (CHOICE, "A", "a", MatchLevel.DIFFERENT),
        (NUMBER, 1, 1.0, MatchLevel.EXACT),
        (NUMBER, 1, True, MatchLevel.DIFFERENT),
        (NUMBER, 0, False, MatchLevel.DIFFERENT),
        (NUMBER, 0.1, 0.2, MatchLevel.DIFFERENT),
        (NUMBER, float("nan"), float("nan"), MatchLevel.EXACT),
        (TEXT, "1", 1, MatchLevel.DIFFERENT),
        (DECIMAL, "12.50", "12.5", MatchLevel.NORMALIZED),
        (DECIMAL, "1E+2", "100", MatchLevel.NORMALIZED),
        (DECIMAL, "NaN", "sNaN", MatchLevel.DIFFERENT),
        (DECIMAL, "12.50", "12.51", MatchLevel.DIFFERENT),
        (DATETIME, "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00Z", MatchLevel.NORMALIZED),
        (DATETIME, "2024-05-01T12:00:00", "2024-05-01T12:00:00Z", MatchLevel.DIFFERENT),
        (DATETIME, "soon", "Soon", MatchLevel.DIFFERENT),
        (TIME, "14:00:00+02:00", "12:00:00Z", MatchLevel.NORMALIZED),
        (TIME, "12:00", "12:00:00", MatchLevel.NORMALIZED),
        (TIME, "12:00", "12:00Z", MatchLevel.DIFFERENT),
    ],
)
def test_matches(schema: MergedSchema, gold: Any, prediction: Any, match: MatchLevel) -> None:
    assert ScalarNode(gold, schema).match(ScalarNode(prediction, schema)) is match
    assert ScalarNode(prediction, schema).match(ScalarNode(gold, schema)) is match


def test_text_beside_decimals_is_compared_as_what_it_spells() -> None:
    either = MergedSchema(scalar=True, strings=True, free_text=True, formats=frozenset({"decimal"}))
    assert ScalarNode("1.0", either).match(ScalarNode("1", either)) is MatchLevel.NORMALIZED
    assert ScalarNode("One.", either).match(ScalarNode("one", either)) is MatchLevel.NORMALIZED


@given(st.text(alphabet=st.sampled_from("aA .。“(\u3000Ａßé\n"), max_size=8))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize_string(normalize_string(text)) == normalize_string(text)


@given(st.text(max_size=8))
def test_an_empty_form_comes_from_blanks_alone(text: str) -> None:
    assert bool(normalize_string(text)) is bool(text.strip())
