"""Patterns keep their meaning on the way into the grammar."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from schema_grammar import accepts, matcher

from extractft.schema.regex_translation import grammar_pattern, match_length

PATTERNS = [
    r"^\w+$",
    r"^[\w.-]+$",
    r"^[^\W\d]+$",
    r"\d",
    r"^\D*$",
    r"^\S+ \S+$",
    r"^[\s]$",
    r"^(a|b)c?$",
    r"^a|b$",
    r"(^a)|(b$)",
    r"^(?:a{2,3}|龙)$",
    r"^(?i)ab$",
    r"^(?P<x>a)\.b$",
    r"\Aab\z",
    r"^[a-c&&[^b]]+$",
    r"^[()^$|]+$",
    r"^\p{Han}+$",
    r"^\x41\n?$",
    r"^[\[\]]$",
    r'^"\\$',
    "",
    "^",
]
TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "AB",
    "c",
    "bc",
    "aa",
    "龙",
    "琳",
    "a.b",
    "1",
    "١",
    "a b",
    " ",
    "\n",
    "A",
    "A\n",
    "_",
    "é",
    "e\u0301",
]
TEXTS += ["(", "^", "$", "|", "[", "]", '"\\', "xab", "abx", "a1", "-", "ac"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_grammar_accepts_what_pydantic_accepts(pattern: str) -> None:
    from pydantic import Field

    adapter = TypeAdapter(__import__("typing").Annotated[str, Field(pattern=pattern)])
    translated = grammar_pattern(pattern)
    assert translated is not None
    grammar = matcher({"type": "string", "pattern": translated})
    import json

    for text in TEXTS:
        try:
            adapter.validate_python(text)
            valid = True
        except ValidationError:
            valid = False
        assert accepts(grammar, json.dumps(text, ensure_ascii=False)) is valid, text


@pytest.mark.parametrize(
    ("pattern", "python"),
    [(r"^[[a]+$", r"^[\[a]+\n?$"), (r"\w\Z", r"[\p{L}\p{N}_]$"), (r"[a&&b]", r"[a\&\&b]"), ("a$", r"a\n?$")],
)
def test_python_patterns(pattern: str, python: str) -> None:
    assert grammar_pattern(pattern, python=True) == python


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bx",
        r"x\B",
        r"(?=a)",
        r"(?!a)",
        r"(?<=a)b",
        r"(a)\1",
        r"(?P<n>a)(?P=n)",
        "(?m)^a",
        "b^",
        "$a",
        "(a$)*",
        "(?>a)",
    ],
)
def test_what_cannot_be_expressed(pattern: str) -> None:
    assert grammar_pattern(pattern) is None


def test_escapes_are_not_mistaken() -> None:
    assert grammar_pattern(r"\\b") == r"\\b"
    assert grammar_pattern(r"[\b]") == r"[\b]"
    assert grammar_pattern(r"\\w") == r"\\w"
    assert grammar_pattern(r"\(?=") == r"\(?="


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.from_regex(re.compile(r"(\\[wds]|[ab.]|\[ab\]|\(a\|b\)){1,4}(\{[1-3]\}|\+)?"), fullmatch=True))
def test_some_match_is_short_enough(pattern: str) -> None:
    shortest = next(n for n in range(40) if _matches_some(pattern, n))
    assert shortest <= match_length(pattern)


def _matches_some(pattern: str, length: int) -> bool:
    return length >= re._parser.parse(pattern).getwidth()[0]  # type: ignore[attr-defined]
