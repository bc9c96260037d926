"""Where in a text a value stands and what goes on there, whatever the tokens are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from extractft.speculation import prompt_lookup as copying
from extractft.speculation.prompt_lookup import PromptLookup

PIECES = [b" ta", b" table", b" in", b" a", b" tavern", b"ta", b"vern", b"avern", b"a", b" ", b"t", b"v", b"e"]
PIECES += [b"r", b"n", b"b", b"l", b"i", b"on", b" on", "龙".encode(), "琳".encode(), b"o", b"\n"]


def tokenize(text: bytes) -> list[int]:
    """The longest piece at each place."""
    ids = []
    while text:
        best = max((i for i, piece in enumerate(PIECES) if text.startswith(piece)), key=lambda i: len(PIECES[i]))
        ids.append(best)
        text = text[len(PIECES[best]) :]
    return ids


def source(text: str) -> PromptLookup:
    return PromptLookup(tokenize(text.encode()), PIECES.__getitem__, tokenize)


def spelled(ids: Sequence[int | None]) -> list[bytes | None]:
    return [None if i is None else PIECES[i] for i in ids]


def test_a_value_begins_behind_white_space_and_knows_the_words_before() -> None:
    assert list(source(" table in \n a").word_starts()) == [(1, b"", b""), (7, b"table", b""), (12, b"in", b"table")]


def test_what_follows_is_split_as_it_is_from_the_place_on() -> None:
    text = source(" in a taverna on")
    start = text.text.index(b"taverna")
    assert spelled([text.next_token(start, 0), text.next_token(start, 2)]) == [b"ta", b"vern"]
    assert spelled([text.next_token(start, 6), text.next_token(start, 7)]) == [b"a", b" on"]
    # What was written was split in another way: the rest is split by itself.
    assert spelled([text.next_token(start, 1), text.next_token(start, 3)]) == [b"avern", b"e"]
    assert text.next_token(start, 10) is None
    assert text.next_token(0, 99) is None


def test_a_long_copy_is_split_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_AHEAD", 4)
    text = source("taverna on" * 20)
    length, found = 0, b""
    while (token_id := text.next_token(0, length)) is not None:
        found += PIECES[token_id]
        length += len(PIECES[token_id])
    assert found == b"taverna on" * 20


def test_places_behind_the_last_copy_come_first_and_not_all_of_a_great_many() -> None:
    text = source("ta on ta on ta")
    assert text.find(b"ta") == [0, 6, 12]
    assert text.find(b"ta", behind=7) == [12, 0, 6]
    assert text.find(b"no") == []
    assert len(source("a" * 99).find(b"a", behind=50)) == 2 * copying._LOOKED_AT


def test_the_word_at_a_place() -> None:
    text = source("ta in\n 龙琳")
    assert [text.word_at(place) for place in (0, 1, 2, 3, 4, 5)] == [b"ta", b"", b"in", b"in", b"", "龙".encode()]
    assert text.word_at(7) == "龙".encode()
    assert text.word_at(10) == "琳".encode()
    assert text.word_at(13) == b""
