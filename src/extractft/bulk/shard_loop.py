"""The loop over the shards of a run: those that are not done, or the failed rows of all. Knows no formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.extractor_source import ExtractorSource
from extractft.bulk.field_counts import RunCounts
from extractft.bulk.input_files import InputFiles
from extractft.bulk.input_row import InputRow, rows_digest, shards_of
from extractft.bulk.row_result import RowResult
from extractft.bulk.run_folder import FAILED, RunFolder
from extractft.bulk.run_progress import ProgressListener, RunProgress
from extractft.bulk.run_summary import RunSummary, summarize
from extractft.bulk.shard_decoder import ShardDecoder
from extractft.bulk.shard_publisher import ShardPublisher
from extractft.bulk.stopped_runs import GOES_ON, release_memory
from extractft.bulk.text_index import TextIndex
from extractft.errors import BulkRunError
from extractft.schema.field_presence import field_places

__all__ = ["ShardLoop"]

INDEX = "texts.sqlite"
TRIM_EVERY = 8
"""Shards after which memory that nobody uses goes back to the system."""

Mark = dict[str, Any]


class ShardLoop:
    """The shards of one call.

    Args:
        folder: The directory of the run.
        source: The extractor, loaded when there is something to do.
        config: Settings of the run.
        files: The input.
        publisher: Publishes shards.
        rows: Rows of the input.
    """

    def __init__(
        self,
        folder: RunFolder,
        source: ExtractorSource,
        config: BulkConfig,
        files: InputFiles,
        publisher: ShardPublisher,
        rows: int,
    ) -> None:
        self._folder, self._source, self._config, self._files = folder, source, config, files
        self._publisher = publisher
        self._rows = rows
        self._progress = RunProgress(rows)
        self._counts = RunCounts.of((), field_places(source.schema), None)
        self._max_failures: int | None = None
        self._listener: ProgressListener | None = None

    def finish(
        self, listener: ProgressListener | None, *, max_failures: int | None = None, retry_failed: bool = False
    ) -> RunSummary:
        """Do what is left, and sum up.

        Args:
            listener: Told after each row.
            max_failures: Most rows that may fail.
            retry_failed: Decode rows that have failed once more.
        """
        self._listener, self._max_failures = listener, max_failures
        self._publisher.recover()
        self._count_done()
        failed = self._counts.failed
        missing = self._counts.rows != self._rows
        if missing or (retry_failed and failed):
            self._require_rows()
        if missing:
            self._decode_missing()
        if retry_failed and failed:
            self._retry()
        if missing or (retry_failed and failed):
            self._require_unchanged()
        summary = summarize(self._folder.path, self._counts, self._source.trained)
        self._folder.write_json(self._folder.summary_path, summary.to_dict())
        self._folder.clean_state(keep_rows=summary.failed > 0)
        return summary

    def _count_done(self) -> None:
        """Take the counts of the shards that are done over."""
        for _, mark in self._folder.marks():
            self._counts += RunCounts.from_dict(mark["counts"])
        progress, counts = self._progress, self._counts
        progress.done = progress.before = counts.rows
        progress.failed, progress.review = counts.failed, counts.review

    def _require_rows(self) -> None:
        """Refuse to go on without the rows of a query, which a run that is through does not keep.

        Raises:
            BulkRunError: They are gone.
        """
        rows = self._folder.rows_path
        if any(file.path == rows for file in self._files.files) and not rows.exists():
            raise BulkRunError("Expected the rows of the query, found that the run no longer has them.").hint(
                "Put the files of its shards back as they were, or begin anew with force=True or in a new directory."
            )

    def _require_unchanged(self) -> None:
        """Refuse to call a run done whose input was another one in between.

        Raises:
            BulkRunError: It was.
        """
        if self._counts.rows == self._rows and not self._files.are_changed():
            return
        manifest = self._folder.read_json(self._folder.manifest_path)
        self._folder.write_json(self._folder.manifest_path, {**manifest, "input_changed": True})
        raise BulkRunError("Expected the input as it was, found that it changed while the run was reading it.").hint(
            "Let nobody write to it, and begin anew with force=True or in a new directory."
        )

    def _decode_missing(self) -> None:
        reuse = self._config.reuse_equal
        with closing(TextIndex(self._folder.state / INDEX)) if reuse else nullcontext() as index:
            decoder = ShardDecoder(self._source.load(), self._config, index, self._notice)
            for number, rows, mark in self._shards():
                if mark is None:
                    decoder.begin_anew()
                    self._counts += self._publisher.publish(number, rows, decoder.decode(number, rows))
                if mark is None and number % TRIM_EVERY == TRIM_EVERY - 1:
                    release_memory()

    def _retry(self) -> None:
        """Decode the failed rows of shards that are done once more."""
        decoder = ShardDecoder(self._source.load(), self._config, None, self._notice)
        counts = RunCounts.of((), field_places(self._source.schema), None)
        self._progress = RunProgress(self._counts.failed)
        for number, rows, mark in self._shards():
            assert mark is not None
            failed = {place: rows[place] for place in mark["places"][FAILED]}
            if failed:
                counts += self._publisher.add(number, mark, failed, decoder.decode(number, list(failed.values())))
            else:
                counts += RunCounts.from_dict(mark["counts"])
        self._counts = counts

    def _shards(self) -> Iterator[tuple[int, Sequence[InputRow], Mark | None]]:
        """The shards with their marks, `None` for one that is not done.

        Raises:
            BulkRunError: A row of one that is done is not what it was.
        """
        for number, rows in enumerate(shards_of(self._files.rows(), self._config)):
            mark = self._folder.mark(number)
            if mark is not None and mark["input"] != rows_digest(rows):
                raise BulkRunError(f"Expected the rows that shard {number} was made of, found others in the input.")
            yield number, rows, mark

    def _notice(self, result: RowResult, reused: bool) -> None:
        """Count a result.

        Raises:
            BulkRunError: Too many rows have failed.
        """
        below = result.is_below(self._config.min_confidence)
        self._progress.add(result, reused=reused, below=below)
        if self._listener is not None:
            self._listener(self._progress)
        if result.error and self._max_failures is not None and self._progress.failed > self._max_failures:
            raise BulkRunError(
                f"Expected at most max_failures={self._max_failures}, found one more; the last is a {result.error}."
            ).hint(GOES_ON)
