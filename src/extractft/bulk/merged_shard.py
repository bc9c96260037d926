"""A shard that is published again: old records and new ones of rows that had failed, in the order of the input.

Knows the files of a shard; knows no extractor and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from extractft.bulk.run_folder import FAILED, REVIEW, SHARDS, FileWriter
from extractft.bulk.shard_files import PlacedRow, ShardContent, ShardFiles
from extractft.errors import BulkRunError

__all__ = ["MergedShard"]


class MergedShard:
    """The files of a shard with new results.

    Args:
        folder: The directory of the run.
        mark: The mark of the shard as it is.
        content: The rows that had failed, with new results.
        files: Writes the files.
        table: True if records go to a table of a database.
    """

    def __init__(
        self, folder: Path, mark: Mapping[str, Any], content: ShardContent, files: ShardFiles, *, table: bool
    ) -> None:
        self._folder = folder
        self._mark = mark
        self._content = content
        self._files = files
        self._table = table

    def places(self) -> dict[str, list[int]]:
        """The places of rows that are not among the records."""
        new = self._content.places()
        return {FAILED: new[FAILED], REVIEW: sorted([*self._mark["places"][REVIEW], *new[REVIEW]])}

    def names(self) -> dict[str, str]:
        """The places of the files, by their kind."""
        old = self._mark["files"]
        return self._files.names(self._content, table=self._table) | ({REVIEW: old[REVIEW]} if REVIEW in old else {})

    def writers(self) -> dict[str, FileWriter]:
        """Functions that write the files, by their kind."""
        return {kind: self._writer(kind) for kind in self.names()}

    def _writer(self, kind: str) -> FileWriter:
        if kind == FAILED:
            return self._files.writers(self._content, [FAILED])[FAILED]
        if kind == SHARDS and self._files.config.format == "parquet":
            return self._write_records
        return lambda path: self._write_lines(path, kind)

    def _write_records(self, path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        layout = self._files.layout
        old = pyarrow.parquet.read_table(self._folder / self._mark["files"][SHARDS], schema=layout.arrow_schema())
        both = pyarrow.concat_tables([old, layout.table(self._content.records)])
        places = [*self._old_places(SHARDS), *(found.place for found in self._content.records)]
        _require_as_many(SHARDS, len(places), both.num_rows)
        order = pyarrow.array(sorted(range(len(places)), key=places.__getitem__), pyarrow.int64())
        layout.write_parquet(path, both.take(order).combine_chunks())

    def _write_lines(self, path: Path, kind: str) -> None:
        name = self._mark["files"].get(kind)
        old = (self._folder / name).read_bytes().splitlines(keepends=True) if name else []
        new: Sequence[PlacedRow] = {SHARDS: self._content.records, REVIEW: self._content.review}[kind]
        _require_as_many(kind, len(self._old_places(kind)), len(old))
        lines = [*zip(self._old_places(kind), old, strict=True)]
        lines += zip((found.place for found in new), self._files.lines(kind, self._content), strict=True)
        path.write_bytes(b"".join(line for _, line in sorted(lines)))

    def _old_places(self, kind: str) -> list[int]:
        places = self._mark["places"]
        if kind == REVIEW:
            return list(places[REVIEW])
        return sorted({*range(self._mark["rows"])} - {*places[FAILED], *places[REVIEW]})


def _require_as_many(kind: str, expected: int, found: int) -> None:
    """Refuse to add to a file that is not as it was written.

    Raises:
        BulkRunError: It has other rows.
    """
    if found != expected:
        raise BulkRunError(f"Expected {expected} rows in a file of {kind}/, found {found}: it was changed.").hint(
            "Put the file back as it was, or begin anew with force=True or in a new directory."
        )
