"""Publish the results of a shard: files, rows of a table, and the mark that says it is done; once, whatever happens.

Knows the folder of the run and its table; knows no extractor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.database_table import TableSink
from extractft.bulk.field_counts import RunCounts
from extractft.bulk.input_row import InputRow, rows_digest
from extractft.bulk.merged_shard import MergedShard
from extractft.bulk.row_result import RowResult
from extractft.bulk.run_folder import FileWriter, RunFolder
from extractft.bulk.shard_decoder import DecodedShard
from extractft.bulk.shard_files import PlacedRow, ShardContent, ShardFiles
from extractft.errors import BulkRunError
from extractft.schema.field_presence import FieldPlace

__all__ = ["ShardPublisher"]

MISFITS = (OverflowError, TypeError, ValueError, AttributeError)
"""Errors for values that a column cannot hold."""


class ShardPublisher:
    """Publishes the shards of a run.

    Args:
        folder: The directory of the run.
        config: Settings of the run.
        files: Writes the files.
        places: The fields that are counted.
        sink: The table that records go to, if they go to one.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: BulkConfig,
        files: ShardFiles,
        places: Sequence[FieldPlace],
        sink: TableSink | None = None,
    ) -> None:
        self._folder = folder
        self._config = config
        self._files = files
        self._places = places
        self._sink = sink

    def recover(self) -> None:
        """Finish, or undo, what a run that was killed had begun to publish."""
        for number in self._folder.pending():
            attempt = self._folder.pending_mark(number).get("attempt", -1)
            if self._sink is None or self._sink.has(number, attempt):
                self._folder.move(number)
            else:
                self._folder.discard(number)

    def publish(self, number: int, rows: Sequence[InputRow], decoded: DecodedShard) -> RunCounts:
        """Publish a shard, and return its counts.

        Raises:
            OSError: A file cannot be written.
            BulkRunError: The table has its rows, and its mark is gone.
        """
        if self._sink is not None and self._sink.has(number, 0):
            raise BulkRunError(
                f"Expected the mark and files of shard {number}, found only its rows in the table."
            ).hint("Put the files back as they were, or begin anew with force=True and a new table.")
        placed = [PlacedRow(*found) for found in zip(range(len(rows)), rows, decoded.results, strict=True)]
        base = {"attempt": 0, "input": rows_digest(rows), "rows": len(rows)}

        def put(content: ShardContent) -> RunCounts:
            counts = self._counts(content)
            counts.reused, counts.tokens = decoded.reused, decoded.tokens
            names = self._files.names(content, table=self._sink is not None)
            mark: dict[str, Any] = {**base, "places": content.places(), "counts": counts.to_dict(), "files": names}
            self._put(number, mark, self._files.writers(content, names), content.records)
            return RunCounts.from_dict(mark["counts"])  # rounded, as it is for whoever reads it from the disk

        return self._fitting(ShardContent.of(number, placed, self._least), put)

    def add(
        self, number: int, mark: Mapping[str, Any], rows: Mapping[int, InputRow], decoded: DecodedShard
    ) -> RunCounts:
        """Publish a shard again, with new results of rows that had failed, and return its counts.

        Args:
            number: The number of the shard.
            mark: Its mark.
            rows: The rows that had failed, by their place.
            decoded: Their results.
        """
        placed = [PlacedRow(*found) for found in zip(rows, rows.values(), decoded.results, strict=True)]

        def put(content: ShardContent) -> RunCounts:
            merged = MergedShard(self._folder.path, mark, content, self._files, table=self._sink is not None)
            counts = RunCounts.from_dict(mark["counts"]).without_failures()
            counts += self._counts(content)
            counts.rows, counts.tokens = mark["rows"], counts.tokens + decoded.tokens
            new = {**mark, "attempt": mark["attempt"] + 1, "places": merged.places(), "counts": counts.to_dict()}
            new["files"] = merged.names()
            self._put(number, new, merged.writers(), content.records)
            return RunCounts.from_dict(new["counts"])

        return self._fitting(ShardContent.of(number, placed, self._least), put)

    @property
    def _least(self) -> float | None:
        return self._config.min_confidence

    def _counts(self, content: ShardContent) -> RunCounts:
        return RunCounts.of((found.result for found in content.in_order()), self._places, self._least)

    def _put(
        self, number: int, mark: Mapping[str, Any], writers: Mapping[str, FileWriter], records: Sequence[PlacedRow]
    ) -> None:
        """Publish files beside their places, rows in the table, then move the files; `recover` goes on from there."""
        self._folder.stage(number, mark, writers)
        if self._sink is not None:
            self._sink.write(number, mark["attempt"], [(row, result) for _, row, result in records])
        self._folder.move(number)

    def _fitting(self, content: ShardContent, put: Callable[[ShardContent], RunCounts]) -> RunCounts:
        """Put a shard; if its place cannot hold some of its records, put it with an error for each of these."""
        misfits: tuple[type[Exception], ...] = MISFITS if self._sink is None else (*MISFITS, *self._sink.misfits)
        try:
            return put(content)
        except misfits:
            if content.number in self._folder.pending():
                self._folder.discard(content.number)
        problem_of = self._files.problem_of if self._sink is None else self._sink.problem_of
        known = {found.place: problem_of(found.row, found.result) for found in content.records}
        checked = [_with_error(found, known.get(found.place, "")) for found in content.in_order()]
        return put(ShardContent.of(content.number, checked, self._least))


def _with_error(found: PlacedRow, problem: str) -> PlacedRow:
    if not problem:
        return found
    message = f"The record cannot be written: {problem}."
    return found._replace(result=RowResult(error="OutputInvalidError", message=message))
