"""The index of texts: what a shard may see, before and after texts are moved to the large table."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from extractft.bulk import text_index
from extractft.bulk.row_result import RowResult
from extractft.bulk.text_index import TextIndex


@pytest.fixture
def index(tmp_path: Path) -> Iterator[TextIndex]:
    found = TextIndex(tmp_path / "texts.sqlite")
    yield found
    found.close()


def digest_of(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


@pytest.mark.parametrize("gathered", [1, 7, 50_000])
def test_it_finds_what_a_table_in_memory_has(index: TextIndex, monkeypatch: pytest.MonkeyPatch, gathered: int) -> None:
    monkeypatch.setattr(text_index, "NEW_TEXTS", gathered)
    choice = random.Random(0)
    known: dict[bytes, tuple[int, RowResult]] = {}
    order = list(range(60))
    choice.shuffle(order)  # a run that was stopped may do an early shard last
    for number in order:
        digests = [digest_of(str(choice.randrange(80))) for _ in range(12)]
        expected = {name: known[name][1] for name in digests if name in known and known[name][0] < number}
        assert index.results(digests, before=number) == expected
        new = {name: RowResult(record={"shard": number}) for name in digests if name not in expected}
        index.add(number, new)
        known |= {name: (number, result) for name, result in new.items()}
        assert number in index


def test_what_was_moved_is_there_when_it_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_index, "NEW_TEXTS", 5)
    for number in range(4):  # three texts a shard: moved within the second and the fourth
        index = TextIndex(tmp_path / "texts.sqlite")
        names = [digest_of(f"{number} {text}") for text in range(3)]
        index.add(number, {name: RowResult(tokens=number) for name in names})
        index.close()
        with closing(sqlite3.connect(tmp_path / "texts.sqlite")) as database:
            assert database.execute("SELECT count(*) FROM new_texts").fetchone() == ((3, 0, 3, 0)[number],)
    index = TextIndex(tmp_path / "texts.sqlite")
    for number in range(4):
        names = [digest_of(f"{number} {text}") for text in range(3)]
        assert [result.tokens for result in index.results(names, before=9).values()] == [number] * 3
    index.close()
