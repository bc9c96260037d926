"""An index on disk of the texts that were decoded, so that equal ones are decoded once. Knows no files but its own.

The results of a shard are committed before the shard is published, and a shard sees those of the shards before it
alone. So a kill between the two changes nothing: the shard is done again with the same texts, whatever the index has.

Hashes lie anywhere in a tree, so that each new one would write a page of its own. They are gathered in a small table
first, and moved to the large one in the order of that tree, many to a page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from extractft.bulk.row_result import RowResult

__all__ = ["TextIndex"]

T = TypeVar("T")

TABLES = """
CREATE TABLE IF NOT EXISTS results (place INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS texts (
    digest BLOB PRIMARY KEY, shard INTEGER NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS new_texts (
    digest BLOB PRIMARY KEY, shard INTEGER NOT NULL, place INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (number INTEGER PRIMARY KEY);
"""
VARIABLES = 500
"""Values in one statement."""
CACHE_KIB = 32 * 1024
NEW_TEXTS = 50_000
"""Texts that are gathered before they are moved. Over a million rows, a row takes 8 microseconds less than without
(`benchmarks/bulk.py instant`)."""


class TextIndex:
    """Results by the hash of their text. A damaged file gives way to a new one: what was in it is decoded again.

    Args:
        path: The file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def _open(self) -> None:
        self._database = sqlite3.connect(self._path, isolation_level=None)
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")  # no shared memory, which network disks do not have
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._database.execute("PRAGMA journal_size_limit = 16777216")
        self._database.executescript(TABLES)
        (self._new,) = self._database.execute("SELECT count(*) FROM new_texts").fetchone()

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """Put a new file in the place of one that is damaged; raise any other error again."""
        if type(error) is not sqlite3.DatabaseError:  # a full disk, for one, is an OperationalError
            raise error
        self._database.close()
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()
        self._open()

    def _sound(self, work: Callable[[], T]) -> T:
        """Do something with the file; once more with a new one, if it is damaged."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
        return work()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __contains__(self, shard: int) -> bool:
        """True if the results of a shard were committed."""
        with closing(self._database.execute("SELECT 1 FROM shards WHERE number = ?", (shard,))) as found:
            return found.fetchone() is not None

    def results(self, digests: Sequence[bytes], *, before: int) -> dict[bytes, RowResult]:
        """The results that are known of texts in the shards before a shard."""
        return self._sound(lambda: self._results(digests, before))

    def _results(self, digests: Sequence[bytes], before: int) -> dict[bytes, RowResult]:
        found: dict[bytes, RowResult] = {}
        for start in range(0, len(digests), VARIABLES):
            some = digests[start : start + VARIABLES]
            marks = ",".join("?" * len(some))
            for table in ("texts", "new_texts"):  # what is new counts
                rows = self._database.execute(
                    f"SELECT digest, content FROM {table} JOIN results USING (place)"
                    f" WHERE shard < ? AND digest IN ({marks})",
                    (before, *some),
                )
                found |= {digest: RowResult.from_bytes(content) for digest, content in rows}
        return found

    def add(self, shard: int, results: Mapping[bytes, RowResult]) -> None:
        """Commit the results of the texts that a shard has first."""
        self._sound(lambda: self._add(shard, results))

    def _add(self, shard: int, results: Mapping[bytes, RowResult]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._insert(shard, results.items())
            self._database.execute("INSERT OR IGNORE INTO shards VALUES (?)", (shard,))
            new = self._new + len(results)
            if new >= NEW_TEXTS:
                self._database.execute("INSERT OR REPLACE INTO texts SELECT * FROM new_texts ORDER BY digest")
                self._database.execute("DELETE FROM new_texts")
                new = 0
            self._database.execute("COMMIT")
            self._new = new
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _insert(self, shard: int, results: Iterable[tuple[bytes, RowResult]]) -> None:
        """Insert results; of a text that a later shard has had before, this one's counts."""
        (last,) = self._database.execute("SELECT coalesce(max(place), 0) FROM results").fetchone()
        places = []
        contents = []
        for place, (digest, result) in enumerate(results, last + 1):
            places.append((digest, shard, place))
            contents.append((place, result.to_bytes()))
        self._database.executemany("INSERT INTO results VALUES (?, ?)", contents)
        self._database.executemany("INSERT OR REPLACE INTO new_texts VALUES (?, ?, ?)", places)
