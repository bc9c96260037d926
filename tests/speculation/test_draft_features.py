"""Features of a proposal: the same words give the same ones, and others give others."""

from __future__ import annotations

import os
import subprocess
import sys

from extractft.speculation.json_cursor import INITIAL, JsonCursor
from extractft.speculation.prompt_lookup import PromptLookup
from extractft.speculation.proposal_scoring import draft_features

WORDS = [b"Book", b" a", b" table", b" for", b" 7", b" at", b" Lu", b"igi"]


def source(words: list[bytes] = WORDS) -> PromptLookup:
    return PromptLookup(range(len(words)), lambda token_id: words[token_id], lambda spelled: [])


def told(record: bytes, spelled: bytes, place: int | None, *, copied: int = 0, words: list[bytes] = WORDS) -> set[int]:
    return set(draft_features(INITIAL.advance(record), spelled, source(words), place, copied))


def test_a_key_is_told_by_the_words_of_the_text() -> None:
    key = told(b'{"', b"size", None)
    assert len(key) == 1 + len(WORDS)
    assert key & told(b'{"', b"size", None, words=[b"seven", b" table"])  # a word that both have
    assert not key & told(b'{"', b"name", None)
    assert not key & told(b'{"', b"size", None, words=[b"other"]) - told(b'{"', b"size", None, words=[b"else"])


def test_a_key_is_the_same_behind_other_values() -> None:
    behind_one, behind_other = told(b'{"a":1,"', b"size", None), told(b'{"b":2,"', b"size", None)
    assert len(behind_one & behind_other) == len(WORDS)


def test_the_beginning_of_a_value_is_told_by_the_words_around() -> None:
    place = b"".join(WORDS).index(b"7")
    seven = told(b'{"size":"', b"7", place)
    assert seven & told(b'{"size":"', b"9", 6, words=[b"table", b" for", b" 9"])
    assert not seven & told(b'{"name":"', b"7", place) - told(b'{"other":"', b"7", place)
    behind = told(b'{"size":"', b"7", place, copied=place)
    assert behind != told(b'{"size":"', b"7", place, copied=place - 5)


def test_the_end_of_a_value_is_told_apart_from_going_on() -> None:
    place = b"".join(WORDS).index(b"igi")
    cursor = b'{"name":"Lu'
    assert not told(cursor, b'"', place) & told(cursor, b"igi", place)
    assert told(cursor, b'"', place) == told(cursor, b'","', place)


def test_nothing_tells_behind_the_text_or_of_a_long_value_that_is_not_copied() -> None:
    assert told(b'{"name":"igi', b'"', len(b"".join(WORDS)))
    assert draft_features(JsonCursor("value", quoted=True, written=b"x" * 40), b"x", source(), None, 0) == []


def test_an_empty_text_has_no_words() -> None:
    empty = source([])
    assert empty.vocabulary() == []
    assert empty.words_from(0, 3) == []
    assert draft_features(INITIAL.advance(b'{"name":"'), b"x", empty, 0, 0)


def test_features_are_the_same_in_every_process() -> None:
    program = (
        "from test_draft_features import told;"
        "print([sorted(told(*case)) for case in (('{\"'.encode(), b'size', None),"
        " ('{\"size\":\"'.encode(), b'7', 16), ('{\"name\":\"Lu'.encode(), b'igi', 26))])"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0]) > 100
