"""A bulk run: files in, shards of records out, one after another, each published whole; a run that stopped goes on.

A published shard is the state. The same input is cut into the same shards, and a shard is decoded from its own rows and
what the shards before it have of equal texts, so that it does not matter where a run was stopped.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.cluster_loop import ClusterLoop
from extractft.bulk.database import connected
from extractft.bulk.database_query import DatabaseQuery, save_rows
from extractft.bulk.database_table import DatabaseTable, TableSink, require_new_table
from extractft.bulk.extractor_source import ExtractorSource
from extractft.bulk.input_files import InputFile, InputFiles
from extractft.bulk.input_scan import scan_input
from extractft.bulk.ray_actors import RayCluster, connected_to_ray
from extractft.bulk.run_folder import RunFolder
from extractft.bulk.run_manifest import Identity, manifest_of, require_same
from extractft.bulk.run_progress import ProgressListener
from extractft.bulk.run_summary import RunSummary
from extractft.bulk.shard_files import ShardFiles
from extractft.bulk.shard_loop import ShardLoop
from extractft.bulk.shard_publisher import ShardPublisher
from extractft.bulk.stopped_runs import told_how_to_go_on
from extractft.bulk.table_layout import TableLayout
from extractft.errors import BulkRunError, ConfigError
from extractft.schema.field_presence import field_places

__all__ = ["run"]


def run(
    extractor: Any,
    inputs: Any,
    output: Any,
    *,
    table: DatabaseTable | None = None,
    schema: Any = None,
    base_model: Any = None,
    engine: Any = None,
    retry_failed: bool = False,
    max_failures: int | None = None,
    force: bool = False,
    progress: ProgressListener | None = None,
    ray: RayCluster | str | None = None,
    **settings: Any,
) -> RunSummary:
    """Extract from every row of files, into a directory of shards; a run that stopped goes on with the same call.

    Args:
        extractor: The directory of a saved extractor, or an `Extractor`; of that nobody knows if it is the same again.
        inputs: Files, folders and patterns, or a `DatabaseQuery`.
        output: The directory of the run.
        table: A table of a database that records go to, in place of shards in the directory.
        schema: The class of the records, for a saved extractor; rebuilt if `None`.
        base_model: Where the base model is now, if it has moved.
        engine: What decodes, as for `Extractor.from_pretrained`; this machine if `None`.
        retry_failed: Decode rows that have failed once more.
        max_failures: Stop when more rows than these have failed.
        force: Begin anew if the directory holds another run.
        progress: Told after each row.
        ray: A cluster of Ray that decodes, or its address; the output is that of a run on this machine.
        **settings: Settings of `BulkConfig`.

    Raises:
        ConfigError: A setting is unknown or out of range.
        DatasetError: The input cannot be read, or two rows have one name.
        BulkRunError: The directory is in use or of another run, something cannot be written, or too many rows failed.
        EngineError: A server is gone.
    """
    config = _checked(settings, max_failures)
    source = ExtractorSource.of(extractor, schema=schema, engine=engine, base_model=base_model)
    bulk = _BulkRun(RunFolder(output), source, config, inputs, table, RayCluster.of(ray))
    with told_how_to_go_on(), bulk.opened(force=force) as loop:
        return loop.finish(progress, max_failures=max_failures, retry_failed=retry_failed)


def _checked(settings: Mapping[str, Any], max_failures: int | None) -> BulkConfig:
    if max_failures is not None:
        if isinstance(max_failures, bool) or not isinstance(max_failures, int):
            raise ConfigError(f"expected max_failures as a whole number, found {type(max_failures).__name__}")
        if max_failures < 0:
            raise ConfigError(f"expected max_failures of at least 0, found {max_failures}")
    return BulkConfig.checked(**settings)


class _BulkRun:
    """Opens the directory of a run, a new one or one that goes on."""

    def __init__(
        self,
        folder: RunFolder,
        source: ExtractorSource,
        config: BulkConfig,
        inputs: Any,
        table: DatabaseTable | None,
        cluster: RayCluster | None,
    ) -> None:
        self._folder, self._source, self._config, self._table = folder, source, config, table
        self._cluster = cluster
        self._query = inputs if isinstance(inputs, DatabaseQuery) else None
        if self._query is not None:
            self._files = InputFiles([InputFile(folder.rows_path, "")], config)
        else:
            self._files = InputFiles.find(inputs, config)

    @contextmanager
    def opened(self, *, force: bool) -> Iterator[ShardLoop]:
        """Hold the directory, and yield the loop over its shards.

        Raises:
            BulkRunError: Another run holds it, or it holds another run or other files.
            DatasetError: The input cannot be read.
        """
        folder, source, config = self._folder, self._source, self._config
        with folder.held(), ExitStack() as stack:
            folder.require_own()
            folder.require_outside([] if self._query is not None else [file.path for file in self._files.files])
            shutil.rmtree(folder.scratch, ignore_errors=True)  # of a run that was killed
            goes_on = folder.manifest_path.exists() and not force
            manifest = self._manifest() if goes_on else self._new_manifest()
            layout = self._layout(manifest)  # refuses settings, so before anything is written
            if not goes_on:
                self._begin(manifest)
            folder.prepare()
            sink = None
            if self._table is not None:
                database = stack.enter_context(connected(self._table.url))
                sink = self._sink(database, manifest, layout, goes_on=goes_on)
            files = ShardFiles(config, source.schema, layout, source.name)
            publisher = ShardPublisher(folder, config, files, field_places(source.schema), sink)
            parts = (folder, source, config, self._files, publisher, manifest["scanned"]["rows"])
            if self._cluster is not None:
                stack.enter_context(connected_to_ray(self._cluster.address))
            yield ShardLoop(*parts) if self._cluster is None else ClusterLoop(*parts, actors=self._cluster)

    def _identity(self) -> Identity:
        found = self._files.identity() if self._query is None else self._query.identity()
        sink = None if self._table is None else self._table.identity()
        return Identity(found, self._source.identity, self._source.engine, self._config, sink)

    def _manifest(self) -> Mapping[str, Any]:
        """The manifest of the run that the directory holds."""
        manifest = self._folder.read_json(self._folder.manifest_path)
        require_same(manifest, self._identity())
        return manifest

    def _new_manifest(self) -> Mapping[str, Any]:
        """The manifest of a new run. Nothing of an earlier one is touched: the rows of a query are put aside."""
        identity, scratch = self._identity(), self._folder.scratch
        if self._table is not None:
            require_new_table(self._table)
        scratch.mkdir()
        try:
            files = self._files
            if self._query is not None:
                saved = scratch / self._folder.rows_path.name
                save_rows(self._query, saved)
                files = InputFiles([InputFile(saved, "")], self._config)
            scan = scan_input(files.rows(), self._config, scratch)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        manifest = manifest_of(identity, scan.to_dict())
        return manifest if self._table is None else {**manifest, "run": uuid.uuid4().hex}

    def _begin(self, manifest: Mapping[str, Any]) -> None:
        """Put a new run in the place of what the directory holds."""
        folder = self._folder
        folder.clear()
        folder.prepare()
        if self._query is not None:
            os.replace(folder.scratch / folder.rows_path.name, folder.rows_path)
        folder.write_json(folder.manifest_path, manifest)
        shutil.rmtree(folder.scratch, ignore_errors=True)

    def _sink(self, database: Any, manifest: Mapping[str, Any], layout: TableLayout, *, goes_on: bool) -> TableSink:
        """The table of the run; of a new run that gets none, no manifest stays that another table would differ from."""
        assert self._table is not None
        begun = any(True for _ in self._folder.marks())
        try:
            return TableSink(database, self._table.name, manifest.get("run", ""), layout, begun=begun)
        except BulkRunError:
            if not goes_on:
                self._folder.manifest_path.unlink()
            raise

    def _layout(self, manifest: Mapping[str, Any]) -> TableLayout:
        arrow = self._files.arrow_types() if self._config.format == "parquet" else {}
        kinds = manifest["scanned"]["kinds"]
        several = len(self._files.files) > 1
        layout = TableLayout(self._source.schema, self._config, kinds, arrow=arrow, several=several)
        if self._table is not None or self._config.format == "parquet":
            layout.require_different_names()
        return layout
