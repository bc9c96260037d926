"""A row of the input: its name, its place, its text or the reason why there is none. Knows no files and no records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from extractft.bulk.bulk_config import BulkConfig

__all__ = ["InputRow", "cell_of", "rows_digest", "shards_of"]

MISSING = object()


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of the input.

    Attributes:
        id: Its name in the output.
        row: Its number in its file, as editors and spreadsheets show it.
        file: Its file, if there are several; else empty.
        text: The text, `None` if there is none.
        problem: Why there is none; quotes nothing.
        kept: Values of the columns that go to the output.
    """

    id: str
    row: int
    file: str = ""
    text: str | None = None
    problem: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text_digest(self) -> bytes:
        """A hash of the text, equal for equal texts."""
        return _digest(self.text or "")


def cell_of(value: Any, column: str) -> Any:
    """The value of a column in a row; of `a.b`, the field `b` of the column `a`. `MISSING` if there is none."""
    if not isinstance(value, Mapping):
        return MISSING
    if column in value:
        return value[column]
    outer, point, inner = column.partition(".")
    return cell_of(value[outer], inner) if point and outer in value else MISSING


def shards_of(rows: Iterable[InputRow], config: BulkConfig) -> Iterator[list[InputRow]]:
    """Neighbouring rows together, as many as a shard holds; the same for the same rows, whatever was done before."""
    shard: list[InputRow] = []
    characters = 0
    for row in rows:
        shard.append(row)
        characters += len(row.text or "")
        if len(shard) == config.shard_rows or characters >= config.shard_characters:
            yield shard
            shard, characters = [], 0
    if shard:
        yield shard


def rows_digest(rows: Iterable[InputRow]) -> str:
    """A hash of the names and texts of rows, which shows if the input is not what it was."""
    found = hashlib.blake2b(digest_size=16)
    for row in rows:
        text = row.text if row.text is not None else row.problem
        found.update(f"{len(row.id)} {len(text)} {row.id}{text}".encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
