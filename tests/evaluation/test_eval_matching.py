"""What counts as the same value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.evaluation.matching import Match, normalize_string
from extractft.evaluation.shape import Shape
from extractft.evaluation.tree import Leaf

TEXT = Shape(scalar=True, strings=True, free_text=True)
CHOICE = Shape(scalar=True, strings=True)
NUMBER = Shape(scalar=True)
DECIMAL = Shape(scalar=True, strings=True, formats=frozenset({"decimal"}))
DATETIME = Shape(scalar=True, strings=True, formats=frozenset({"datetime"}))
TIME = Shape(scalar=True, strings=True, formats=frozenset({"time"}))


@pytest.mark.parametrize(
    ("shape", "gold", "prediction", "match"),
    [
        (TEXT, "Main St", "Main St", Match.EXACT),
        (TEXT, "Main St.", "  MAIN\n st", Match.NORMALIZED),
        (TEXT, "小区垃圾堆积成山。", "小区垃圾堆积成山", Match.NORMALIZED),
        (TEXT, "《红楼梦》", "红楼梦", Match.NORMALIZED),
        (TEXT, "ＡＢＣ１２３", "abc123", Match.NORMALIZED),
        (TEXT, "Straße", "STRASSE", Match.NORMALIZED),
        (TEXT, "é", "e\u0301", Match.EXACT),
        (TEXT, "", "", Match.EXACT),
        (TEXT, "", ".", Match.DIFFERENT),
        (TEXT, "...", "!!!", Match.DIFFERENT),
        (TEXT, "12.50", "12.5", Match.DIFFERENT),
        (TEXT, "-5", "5", Match.DIFFERENT),
        (TEXT, "(a)", "a", Match.DIFFERENT),
        (TEXT, "a b", "ab", Match.DIFFERENT),
        (CHOICE, "A", "a", Match.DIFFERENT),
        (NUMBER, 1, 1.0, Match.EXACT),
        (NUMBER, 1, True, Match.DIFFERENT),
        (NUMBER, 0, False, Match.DIFFERENT),
        (NUMBER, 0.1, 0.2, Match.DIFFERENT),
        (NUMBER, float("nan"), float("nan"), Match.EXACT),
        (TEXT, "1", 1, Match.DIFFERENT),
        (DECIMAL, "12.50", "12.5", Match.NORMALIZED),
        (DECIMAL, "1E+2", "100", Match.NORMALIZED),
        (DECIMAL, "NaN", "sNaN", Match.DIFFERENT),
        (DECIMAL, "12.50", "12.51", Match.DIFFERENT),
        (DATETIME, "2024-05-01T14:00:00+02:00", "2024-05-01T12:00:00Z", Match.NORMALIZED),
        (DATETIME, "2024-05-01T12:00:00", "2024-05-01T12:00:00Z", Match.DIFFERENT),
        (DATETIME, "soon", "Soon", Match.DIFFERENT),
        (TIME, "14:00:00+02:00", "12:00:00Z", Match.NORMALIZED),
        (TIME, "12:00", "12:00:00", Match.NORMALIZED),
        (TIME, "12:00", "12:00Z", Match.DIFFERENT),
    ],
)
def test_matches(shape: Shape, gold: Any, prediction: Any, match: Match) -> None:
    assert Leaf(gold, shape).match(Leaf(prediction, shape)) is match
    assert Leaf(prediction, shape).match(Leaf(gold, shape)) is match


def test_text_beside_decimals_is_compared_as_what_it_spells() -> None:
    either = Shape(scalar=True, strings=True, free_text=True, formats=frozenset({"decimal"}))
    assert Leaf("1.0", either).match(Leaf("1", either)) is Match.NORMALIZED
    assert Leaf("One.", either).match(Leaf("one", either)) is Match.NORMALIZED


@given(st.text(alphabet=st.sampled_from("aA .。“(\u3000Ａßé\n"), max_size=8))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize_string(normalize_string(text)) == normalize_string(text)


@given(st.text(max_size=8))
def test_an_empty_form_comes_from_blanks_alone(text: str) -> None:
    assert bool(normalize_string(text)) is bool(text.strip())
