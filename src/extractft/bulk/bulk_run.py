"""A bulk run: files in, shards of records out, one after another, each published whole; a run that stopped goes on.

A published shard is the state. The same input is cut into the same shards, and a shard is decoded from its own rows and
what the shards before it have of equal texts, so that it does not matter where a run was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.extractor_source import ExtractorSource
from extractft.bulk.field_counts import RunCounts, field_places
from extractft.bulk.input_files import InputFiles
from extractft.bulk.input_row import InputRow, rows_digest, shards_of
from extractft.bulk.input_scan import scan_input
from extractft.bulk.row_result import RowResult
from extractft.bulk.run_folder import RunFolder
from extractft.bulk.run_manifest import Identity, manifest_of, require_same
from extractft.bulk.run_progress import ProgressListener, RunProgress
from extractft.bulk.run_summary import RunSummary, summarize
from extractft.bulk.shard_decoder import DecodedShard, ShardDecoder
from extractft.bulk.shard_files import UNWRITABLE, ShardContent, ShardFiles
from extractft.bulk.stopped_runs import GOES_ON, release_memory, told_how_to_go_on
from extractft.bulk.table_layout import TableLayout
from extractft.bulk.text_index import TextIndex
from extractft.errors import BulkRunError, ConfigError

__all__ = ["run"]

INDEX = "texts.sqlite"
TRIM_EVERY = 8
"""Shards after which memory that nobody uses goes back to the system."""


def run(
    extractor: Any,
    inputs: Any,
    output: Any,
    *,
    schema: Any = None,
    base_model: Any = None,
    engine: Any = None,
    max_failures: int | None = None,
    force: bool = False,
    progress: ProgressListener | None = None,
    **settings: Any,
) -> RunSummary:
    """Extract from every row of files, into a directory of shards; a run that stopped goes on with the same call.

    Args:
        extractor: The directory of a saved extractor, or an `Extractor`. Of one in memory, whose weights have no hash,
            nobody knows if it is the same another time.
        inputs: Files, folders and patterns.
        output: The directory of the run.
        schema: The class of the records, for a saved extractor; rebuilt if `None`.
        base_model: Where the base model is now, if it has moved.
        engine: What decodes, for a saved extractor; this machine if `None`.
        max_failures: Stop when more rows than these have failed.
        force: Begin anew if the directory holds another run.
        progress: Told after each row.
        **settings: Settings of `BulkConfig`.

    Raises:
        ConfigError: A setting is unknown or out of range.
        DatasetError: The input cannot be read, or two rows have one name.
        BulkRunError: The directory holds another run or is in use, something cannot be written, or too many rows have
            failed.
    """
    config = BulkConfig.checked(**settings)
    if max_failures is not None and max_failures < 0:
        raise ConfigError(f"expected max_failures of at least 0, found {max_failures}")
    folder = RunFolder(output)
    options = {} if base_model is None else {"base_model": base_model}
    source = ExtractorSource.of(extractor, schema=schema, engine=engine, **options)
    files = InputFiles.find(inputs, config)
    with told_how_to_go_on(), folder.held():
        manifest = _opened(folder, Identity(files.identity(), source.identity, source.engine, config), files, force)
        bulk = _BulkRun(folder, source, config, files, manifest)
        return bulk.finish(max_failures, progress)


def _opened(folder: RunFolder, identity: Identity, files: InputFiles, force: bool) -> Mapping[str, Any]:
    """The manifest of the run that the directory holds from now on."""
    folder.require_own()
    if force:
        folder.clear()
    folder.prepare()
    if folder.manifest_path.exists():
        manifest = folder.read_json(folder.manifest_path)
        require_same(manifest, identity)
        return manifest
    scan = scan_input(files.rows(), identity.config, folder.state)
    manifest = manifest_of(identity, scan.to_dict())
    folder.write_json(folder.manifest_path, manifest)
    return manifest


class _BulkRun:
    """The run of one call."""

    def __init__(
        self,
        folder: RunFolder,
        source: ExtractorSource,
        config: BulkConfig,
        files: InputFiles,
        manifest: Mapping[str, Any],
    ) -> None:
        self.folder, self.source, self.config, self.files = folder, source, config, files
        scanned = manifest["scanned"]
        self.progress = RunProgress(scanned["rows"])
        self._places = field_places(source.schema)
        self.counts = RunCounts.of((), self._places, None)
        layout = TableLayout(
            source.schema,
            config,
            scanned["kinds"],
            arrow=files.arrow_types() if config.format == "parquet" else {},
            several=len(files.files) > 1,
        )
        self._writer = ShardFiles(config, source.schema, layout, source.name)
        self._max_failures: int | None = None
        self._listener: ProgressListener | None = None

    def finish(self, max_failures: int | None, listener: ProgressListener | None) -> RunSummary:
        """Do what is left, and sum up."""
        self._max_failures, self._listener = max_failures, listener
        for number in self.folder.pending():
            self.folder.move(number)
        if self._count_done() < self.progress.total:
            self._decode_missing()
        summary = summarize(self.folder.path, self.counts, self.source.trained)
        self.folder.write_json(self.folder.summary_path, summary.to_dict())
        self.folder.clean_state()
        return summary

    def _count_done(self) -> int:
        """Take the counts of the shards that are done over."""
        for path in sorted(self.folder.state.glob("part-*.json")):
            mark = self.folder.mark(int(path.stem.rpartition("-")[2]))
            if mark is not None:
                self.counts += RunCounts.from_dict(mark["counts"])
        progress, counts = self.progress, self.counts
        progress.done = progress.before = counts.rows
        progress.failed, progress.review = counts.failed, counts.review
        return counts.rows

    def _decode_missing(self) -> None:
        index = TextIndex(self.folder.state / INDEX) if self.config.reuse_equal else None
        decoder = ShardDecoder(self.source.load(), self.config, index, self._notice)
        try:
            for number, rows in self._missing():
                self._publish(number, rows, decoder.decode(number, rows))
                if number % TRIM_EVERY == 0:
                    release_memory()
        finally:
            if index is not None:
                index.close()

    def _missing(self) -> Iterator[tuple[int, Sequence[InputRow]]]:
        """The shards that are not done.

        Raises:
            BulkRunError: A row of one that is done is not what it was.
        """
        for number, rows in enumerate(shards_of(self.files.rows(), self.config)):
            mark = self.folder.mark(number)
            if mark is None:
                yield number, rows
            elif mark["input"] != rows_digest(rows):
                raise BulkRunError(f"Expected the rows that shard {number} was made of, found others in the input.")

    def _notice(self, result: RowResult, reused: bool) -> None:
        """Count a result.

        Raises:
            BulkRunError: Too many rows have failed.
        """
        below = result.is_below(self.config.min_confidence)
        self.progress.add(result, reused=reused, below=below)
        if self._listener is not None:
            self._listener(self.progress)
        if result.error and self._max_failures is not None and self.progress.failed > self._max_failures:
            raise BulkRunError(
                f"Expected at most max_failures={self._max_failures}, found one more; the last is a {result.error}."
            ).hint(GOES_ON)

    def _publish(self, number: int, rows: Sequence[InputRow], decoded: DecodedShard) -> None:
        pairs = list(zip(rows, decoded.results, strict=True))
        try:
            self._publish_pairs(number, pairs, decoded)
        except UNWRITABLE:
            self._publish_pairs(number, self._writer.without_unwritable(pairs), decoded)

    def _publish_pairs(self, number: int, pairs: Sequence[tuple[InputRow, RowResult]], decoded: DecodedShard) -> None:
        least = self.config.min_confidence
        counts = RunCounts.of((result for _, result in pairs), self._places, least)
        counts.reused, counts.tokens = decoded.reused, decoded.tokens
        content = ShardContent.of(number, pairs, least)
        names = self._writer.names(content)
        mark: dict[str, Any] = {
            "input": rows_digest(row for row, _ in pairs),
            "counts": counts.to_dict(),
            "files": names,
        }
        self.folder.publish(number, mark, self._writer.writers(content, names))
        self.counts += RunCounts.from_dict(mark["counts"])  # rounded as it is for whoever reads it from the disk
