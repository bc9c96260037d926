"""The SQLite file of a review: opened, recognised, and changed in transactions that outlive a kill."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extractft.errors import ReviewError, ReviewUnavailableError
from extractft.processes import fork_safe_lock

__all__ = ["ReviewDatabase", "is_review_database"]

APPLICATION = 0x45465256
"""Marks the file as one of ours: `EFRV`."""
FORMAT_VERSION = 1
PATIENCE = 30.0
"""Seconds to wait for another process that writes."""
HEADER = b"SQLite format 3\x00"
TABLES = """
CREATE TABLE items (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    extractor TEXT NOT NULL,
    id TEXT NOT NULL,
    text_sha256 TEXT NOT NULL,
    text TEXT NOT NULL,
    proposed TEXT,
    confidence REAL,
    explanation TEXT NOT NULL,
    reason TEXT NOT NULL,
    source TEXT NOT NULL,
    added REAL NOT NULL,
    reviewers INTEGER NOT NULL,
    decided INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0,
    claimed_by TEXT,
    claimed_until REAL NOT NULL DEFAULT 0,
    UNIQUE (extractor, id, text_sha256)
);
CREATE INDEX queue ON items (extractor, confidence) WHERE decided < reviewers;
CREATE TABLE decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES items,
    reviewer TEXT NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('accept', 'correct', 'skip')),
    record TEXT
);
CREATE INDEX decisions_of ON decisions (item, reviewer);
CREATE TABLE changes (
    decision INTEGER NOT NULL REFERENCES decisions,
    path TEXT NOT NULL,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    before TEXT,
    after TEXT
);
CREATE INDEX changes_of ON changes (decision);
"""


def is_review_database(path: str | Path) -> bool:
    """True if a path is that of a SQLite file, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(HEADER)) == HEADER
    except OSError:
        return False


class ReviewDatabase:
    """The file. One connection, used by one thread at a time; other processes have their own.

    What is committed is on the disk: a kill, or a power cut, leaves all of a decision or nothing of it.

    Args:
        path: The file.
        create: Make it if it is not there.

    Raises:
        ReviewError: It is missing, or something else.
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path).expanduser()
        self._lock = fork_safe_lock()
        self._process = os.getpid()
        self._require_file(create=create)
        with self._explained():
            self._connection = sqlite3.connect(
                self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                self._open(create=create)
            except BaseException:
                self._connection.close()
                raise
        self._identity = self._found_identity()

    def _open(self, *, create: bool) -> None:
        """Look whose file it is before anything in it is changed; make the tables of a new one."""
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        if not self._require_own(self._connection):
            if not create:
                raise ReviewError(f"Expected the database of a review, found an empty one: {self.path}.").hint(
                    "Of a review that is in use, the latest decisions are in a file beside it that ends with -wal: "
                    "a copy needs both."
                )
            self._make_tables()
        self._connection.execute("PRAGMA journal_mode = WAL")

    def _require_file(self, *, create: bool) -> None:
        found = self.path.exists()
        if not found and not create:
            raise ReviewError(f"Expected the database of a review, found no file {self.path}.").hint(
                "`extractft review add` makes one."
            )
        if found and (not self.path.is_file() or (self.path.stat().st_size and not is_review_database(self.path))):
            raise ReviewError(f"Expected the database of a review, found something else: {self.path}.").hint(
                "Name another file; this one is left as it is."
            )
        if not found and not self.path.parent.is_dir():
            raise ReviewError(f"Expected a directory for the review, found none: {self.path.parent}.").hint("Make it.")

    def _require_own(self, connection: sqlite3.Connection) -> bool:
        """Refuse a file of another program or of a newer version; True if it is a review, False if it has no tables."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return False
        if application != APPLICATION:
            raise ReviewError(f"Expected the database of a review, found one of another program: {self.path}.")
        if version > FORMAT_VERSION:
            raise ReviewError(
                f"Expected a review of format {FORMAT_VERSION}, found format {version}: {self.path}."
            ).hint("A newer extractft wrote it; use that one.")
        return True

    def _make_tables(self) -> None:
        """Make the tables, unless another process was faster; in the file itself, so that a copy is a review too."""
        self._connection.execute("BEGIN IMMEDIATE")
        if not self._require_own(self._connection):
            for statement in TABLES.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        self._connection.execute("COMMIT")

    def _found_identity(self) -> tuple[int, int] | None:
        """Device and number of the file that is at the path now."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _require_in_place(self) -> None:
        """Refuse to work on in a file that was moved or deleted: what is saved there, nobody would find."""
        if self._found_identity() != self._identity:
            raise ReviewUnavailableError(
                f"Expected the review in {self.path}, found that the file was moved, deleted or replaced."
            ).hint("What was saved before is in the file that was opened. Put it back, or open the review anew.")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for a look at one state of the file."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction that nobody else writes in: all of the block is saved, or nothing."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._process:
            raise ReviewError("Expected a review that this process opened, found one from before a fork.").hint(
                "Open the database in each process."
            )
        with self._lock, self._explained():
            self._require_in_place()
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in our words what SQLite cannot do; its own words go along as the cause."""
        try:
            yield
        except sqlite3.Error as error:
            raise ReviewUnavailableError(f"The review in {self.path} cannot be used: {error}.").hint(
                "What was saved before is kept. Look at the disk and at who else works with the file, then try again."
            ) from error

    def close(self) -> None:
        """Close the file. In a forked process nothing is closed: the connection is the other's."""
        if os.getpid() == self._process:
            with self._lock:
                self._connection.close()
