"""The database of a review: records claimed by one reviewer at a time, decided on, and kept with all that was changed.

Knows JSON values and people's names; knows no schema, no extractor and no HTTP.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from extractft.errors import ReviewConflictError, ReviewError
from extractft.review.review_database import ReviewDatabase
from extractft.review.review_items import Decision, DecisionKind, FieldChange, NewItem, ReviewItem

__all__ = ["AddedItems", "ReviewStore"]

LEASE = 600.0
"""Seconds for which a record is one reviewer's."""
LONGEST_NAME = 100
NEXT = """
SELECT number FROM items
WHERE decided < reviewers AND (claimed_by IS NULL OR claimed_until < :now OR claimed_by = :reviewer)
    AND extractor IN (SELECT value FROM json_each(:extractors))
    AND number NOT IN (SELECT item FROM decisions WHERE reviewer = :reviewer)
ORDER BY claimed_by IS NOT :reviewer, confidence IS NOT NULL, confidence, number LIMIT 1
"""
INSERT = """
INSERT INTO items
    (extractor, id, text_sha256, text, proposed, confidence, explanation, reason, source, added, reviewers)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""


class AddedItems(NamedTuple):
    """Outcome of adding records.

    Attributes:
        added: Records that are new.
        known: Records that were there already, with the same extractor, id and text; they stay as they are.
    """

    added: int
    known: int


class ReviewStore:
    """A review in a file. Several processes and threads may work with it at once.

    Args:
        path: The SQLite file.
        create: Make it if it is not there.

    Raises:
        ReviewError: It is missing, or something else.

    Example:
        ```python
        with ReviewStore("reviews.db") as store:
            print(store.counts())
        ```
    """

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self._database = ReviewDatabase(path, create=create)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # ------------------------------------------------------------------------------------------------------ filling

    def add_items(self, items: Iterable[NewItem]) -> AddedItems:
        """Add records, all or none; those that are there already stay as they are, with what was decided on them."""
        added = known = 0
        with self._database.writing() as connection:
            for item in items:
                new = connection.execute(INSERT, _row_of(item)).rowcount
                added, known = added + new, known + 1 - new
        return AddedItems(added, known)

    # ------------------------------------------------------------------------------------------------------ deciding

    def claim_next(
        self, reviewer: str, extractors: Collection[str], *, lease: float = LEASE, now: float | None = None
    ) -> ReviewItem | None:
        """Claim the least certain record that nobody else looks at; the one that the reviewer has already goes first.

        Args:
            reviewer: Who asks.
            extractors: Names of the extractors whose records are wanted.
            lease: Seconds after which somebody else may have it.
            now: Seconds since 1970, for tests.

        Returns:
            The record, or `None` if there is none left for this reviewer.
        """
        reviewer, now = reviewer_name(reviewer), time.time() if now is None else now
        wanted = {"now": now, "reviewer": reviewer, "extractors": json.dumps(sorted(extractors))}
        with self._database.writing() as connection:
            found = connection.execute(NEXT, wanted).fetchone()
            if found is None:
                return None
            claim = "UPDATE items SET claimed_by = ?, claimed_until = ? WHERE number = ?"
            connection.execute(claim, (reviewer, now + lease, found["number"]))
            return _item(connection, found["number"])

    def release(self, number: int, reviewer: str) -> None:
        """Give a record back that a reviewer claimed."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE items SET claimed_by = NULL WHERE number = ? AND claimed_by = ?", (number, reviewer)
            )

    def decide(
        self,
        number: int,
        reviewer: str,
        kind: DecisionKind,
        record: Any = None,
        *,
        version: int,
        changes: Sequence[FieldChange] = (),
        now: float | None = None,
    ) -> ReviewItem:
        """Save a decision. It is on the disk when this returns.

        Args:
            number: The number of the record.
            reviewer: Who decides; who has decided before decides anew.
            kind: The kind of decision.
            record: The record that is right; nothing for one that is skipped.
            version: The version of the record that was looked at.
            changes: The values that differ from those proposed.
            now: Seconds since 1970, for tests.

        Raises:
            ReviewError: There is no such record.
            ReviewConflictError: Somebody else looks at it, or has decided in the meantime.
        """
        reviewer, now = reviewer_name(reviewer), time.time() if now is None else now
        written = None if kind == "skip" else _written(record)
        with self._database.writing() as connection:
            _require_free(_row(connection, number), reviewer, version, now)
            made = connection.execute(
                "INSERT INTO decisions (item, reviewer, at, kind, record) VALUES (?, ?, ?, ?, ?)",
                (number, reviewer, now, kind, written),
            ).lastrowid
            connection.executemany(
                "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)",
                [(made, c.path, c.field, c.kind, _written(c.before), _written(c.after)) for c in changes],
            )
            connection.execute(
                "UPDATE items SET version = version + 1, claimed_by = NULL, decided = (SELECT count(DISTINCT reviewer)"
                " FROM decisions WHERE item = :number AND kind <> 'skip') WHERE number = :number",
                {"number": number},
            )
            return _item(connection, number)

    # ------------------------------------------------------------------------------------------------------- reading

    def item(self, number: int) -> ReviewItem:
        """A record with all that was decided about it.

        Raises:
            ReviewError: There is none of that number.
        """
        with self._database.reading() as connection:
            return _item(connection, number)

    def items(self, *, decided: bool | None = None, extractor: str | None = None) -> Iterator[ReviewItem]:
        """The records in the order in which they were added.

        Args:
            decided: `True` for those with a decision, `False` for those without, `None` for all.
            extractor: Name of the extractor whose records are wanted; all if `None`.
        """
        with self._database.reading() as connection:
            rows = connection.execute("SELECT number, extractor, decided FROM items ORDER BY number").fetchall()
        for row in rows:
            if (decided is None or bool(row["decided"]) is decided) and extractor in (None, row["extractor"]):
                yield self.item(row["number"])

    def counts(self) -> list[sqlite3.Row]:
        """By extractor: `items`, those that are `done`, `waiting` and `claimed` at the moment, and the `reviewers`."""
        with self._database.reading() as connection:
            return connection.execute(
                "SELECT extractor, count(*) AS items, sum(decided >= reviewers) AS done,"
                " sum(decided < reviewers) AS waiting,"
                " sum(decided < reviewers AND claimed_by IS NOT NULL AND claimed_until > ?) AS claimed"
                " FROM items GROUP BY extractor ORDER BY extractor",
                (time.time(),),
            ).fetchall()

    def latest(self, reviewer: str, limit: int = 20) -> list[int]:
        """The numbers of the records that a reviewer decided on last, the latest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT item FROM decisions WHERE reviewer = ? GROUP BY item ORDER BY max(number) DESC LIMIT ?",
                (reviewer, limit),
            )
            return [row["item"] for row in rows]

    def last_decision(self) -> int:
        """The number of the latest decision of all, which grows with each; 0 if there is none."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(number), 0) FROM decisions").fetchone()[0])


def reviewer_name(name: str) -> str:
    """The name of a reviewer without blanks around it.

    Raises:
        ReviewError: It is empty, too long, or holds what no name has.
    """
    found = " ".join(name.split())
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise ReviewError(f"Expected the name of a reviewer, of up to {LONGEST_NAME} characters, found another text.")
    return found


def _row_of(item: NewItem) -> tuple[Any, ...]:
    digest = hashlib.sha256(item.text.encode("utf-8", "surrogatepass")).hexdigest()
    return (
        item.extractor,
        item.id or digest[:16],
        digest,
        item.text,
        None if item.proposed is None else _written(item.proposed),
        item.confidence,
        _written(item.explanation),
        item.reason,
        item.source,
        time.time(),
        max(1, item.reviewers),
    )


def _row(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM items WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise ReviewError(f"Expected the number of a record in the review, found {number}.")
    return row


def _require_free(row: sqlite3.Row, reviewer: str, version: int, now: float) -> None:
    """Refuse a decision about a record that somebody else looks at, or that is not as it was looked at."""
    other = row["claimed_by"] not in (None, reviewer) and row["claimed_until"] >= now
    if other or row["version"] != version:
        found = "somebody else looks at it" if other else "somebody has decided in the meantime"
        raise ReviewConflictError(f"Expected a record that is free, found that {found}.").hint(
            "Look at it again, or go on with the next."
        )


def _item(connection: sqlite3.Connection, number: int) -> ReviewItem:
    row = _row(connection, number)
    known = json.loads(row["explanation"])
    return ReviewItem(
        row["number"],
        NewItem(
            row["text"],
            None if row["proposed"] is None else json.loads(row["proposed"]),
            row["id"],
            row["extractor"],
            row["confidence"],
            reason=row["reason"],
            source=row["source"],
            reviewers=row["reviewers"],
            **known,
        ),
        row["version"],
        row["added"],
        row["claimed_by"],
        [_decision(connection, found) for found in _decisions(connection, number)],
    )


def _decisions(connection: sqlite3.Connection, number: int) -> list[sqlite3.Row]:
    return connection.execute("SELECT * FROM decisions WHERE item = ? ORDER BY number", (number,)).fetchall()


def _decision(connection: sqlite3.Connection, row: sqlite3.Row) -> Decision:
    changes = connection.execute("SELECT * FROM changes WHERE decision = ? ORDER BY rowid", (row["number"],))
    return Decision(
        row["number"],
        row["reviewer"],
        row["at"],
        row["kind"],
        None if row["record"] is None else json.loads(row["record"]),
        [
            FieldChange(c["path"], c["field"], c["kind"], json.loads(c["before"]), json.loads(c["after"]))
            for c in changes
        ],
    )


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
