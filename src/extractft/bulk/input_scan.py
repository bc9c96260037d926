"""A first look through the whole input, before anything is decoded.

Counts rows, refuses names that stand twice, and finds the kinds of the columns that are kept. Knows rows; knows no
formats and no records.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_row import InputRow
from extractft.errors import DatasetError, RowIssue

__all__ = ["Scan", "scan_input"]

BATCH = 10_000
CACHE_KIB = 64 * 1024
SHOWN = 10
"""Names that stand twice, in a message."""
KINDS = {bool: "bool", int: "int", float: "float", str: "str"}
LARGEST_INT = 2**63
LARGEST_EXACT = 2**53
"""Up to here every integer is a float as well."""


@dataclass
class Scan:
    """Findings of a look through the input.

    Attributes:
        rows: Number of rows.
        unreadable: Of these, those without a text.
        kinds: By column that is kept, the kind of its values: `bool`, `int`, `float`, `str`, or `json` for all else.
    """

    rows: int = 0
    unreadable: int = 0
    kinds: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The findings as JSON values."""
        return {"rows": self.rows, "unreadable": self.unreadable, "kinds": self.kinds}


def scan_input(rows: Iterable[InputRow], config: BulkConfig, scratch: Path) -> Scan:
    """Look through the input.

    Args:
        rows: All rows.
        config: What is asked of them.
        scratch: A directory for a file that is gone afterwards.

    Raises:
        DatasetError: There is no row with a text, or two rows have one name.
    """
    scan = Scan()
    seen: dict[str, set[str]] = {column: set() for column in config.keep_columns}
    counted = _counted(rows, scan, seen)
    first = ""
    named = config.id_column is not None or config.format == "batch"
    if named:
        first = _require_different(counted, scratch / "names.sqlite")
    else:
        for row in counted:
            first = first or row.problem
    if scan.rows == scan.unreadable:
        found = f"{scan.rows} rows, none of them with a text" if scan.rows else "none"
        raise DatasetError(f"Expected rows with texts, found {found}.{f' The first: {first}.' if first else ''}")
    scan.kinds = {column: _kind_of(kinds) for column, kinds in seen.items()}
    return scan


def _counted(rows: Iterable[InputRow], scan: Scan, seen: dict[str, set[str]]) -> Iterator[InputRow]:
    for row in rows:
        scan.rows += 1
        scan.unreadable += row.text is None
        for column, kinds in seen.items():
            kinds.add(_kind(row.kept.get(column)))
        yield row


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if type(value) is int and not -LARGEST_INT <= value < LARGEST_INT:
        return "json"
    if type(value) is int and abs(value) > LARGEST_EXACT:
        return "large int"
    return KINDS.get(type(value), "json")


def _kind_of(kinds: set[str]) -> str:
    found = kinds - {"null"}
    if "large int" in found:
        found = {"int", *found - {"large int"}} if found <= {"int", "large int"} else {"json"}
    if found == {"int", "float"}:
        return "float"
    return found.pop() if len(found) == 1 else "str" if not found else "json"


def _require_different(rows: Iterable[InputRow], path: Path) -> str:
    """Go through rows, refuse names that stand twice, and return the first problem.

    Names are kept as hashes in a file, so that any number of them costs little memory.
    """
    first = ""
    twice: list[RowIssue] = []
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        database.execute("CREATE TABLE names (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        for batch in _batches(rows):
            first = first or next((row.problem for row in batch if row.problem), "")
            twice += _known(database, batch)
            if len(twice) > SHOWN:
                break
    path.unlink()
    if twice:
        raise DatasetError("Expected a name of its own for each row, found some twice.", issues=twice).hint(
            "Name another id_column, or none: then rows are known by their numbers."
        )
    return first


def _known(database: sqlite3.Connection, batch: list[InputRow]) -> Iterator[RowIssue]:
    digests = [(hashlib.blake2b(row.id.encode("utf-8", "surrogatepass"), digest_size=16).digest(),) for row in batch]
    before = database.total_changes
    database.execute("BEGIN")
    database.executemany("INSERT OR IGNORE INTO names VALUES (?)", digests)
    if database.total_changes - before == len(digests):
        database.execute("COMMIT")
        return
    database.execute("ROLLBACK")
    for row, digest in zip(batch, digests, strict=True):  # one by one, to say which
        before = database.total_changes
        database.execute("INSERT OR IGNORE INTO names VALUES (?)", digest)
        if database.total_changes == before:
            yield RowIssue(row.row, "same_id", "the name of an earlier row", file=row.file)


def _batches(rows: Iterable[InputRow]) -> Iterator[list[InputRow]]:
    batch: list[InputRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
