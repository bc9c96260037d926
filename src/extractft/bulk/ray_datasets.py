"""Records for the rows of a dataset of Ray Data, made by actors that hold the extractor. Knows Ray's datasets.

Each row of the input is a row of the output, so that none can be lost unseen: a record, a record for review, or a
failure. What reads, writes, retries and checkpoints is Ray Data itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.extractor_source import ExtractorSource
from extractft.bulk.extractor_worker import ExtractorWorker, WorkerRecipe
from extractft.bulk.input_row import MISSING, InputRow, cell_of
from extractft.bulk.ray_actors import RayActors, import_ray
from extractft.bulk.row_result import RowResult
from extractft.bulk.table_layout import TableColumn, TableLayout
from extractft.errors import ConfigError, DatasetError

__all__ = ["map_dataset"]

SETTINGS = frozenset({"text_column", "keep_columns", "explain", "min_confidence", "batch_size", "reuse_equal"})
OWN_COLUMNS = ("status", "error", "message")
RECORD, REVIEW, FAILED = "record", "review", "failed"
NUM_PLACES = 2
"""Columns with which a layout begins that say where a row stands in a file: a dataset has its own names."""


def map_dataset(
    ds: Any,
    extractor: Any,
    *,
    block_rows: int = 500,
    schema: Any = None,
    base_model: Any = None,
    engine: Any = None,
    actors: RayActors | None = None,
    **settings: Any,
) -> Any:
    """Extract from each row of a dataset of Ray Data.

    The dataset that is returned has the columns of the input that are kept, those of the record, confidences and spans
    if they were asked for, and `status` (`record`, `review` or `failed`) with `error` and `message`.

    Args:
        ds: The dataset.
        extractor: The directory of a saved extractor, the same on every machine.
        block_rows: Rows that an actor is given at once; equal texts among them are decoded once.
        schema: The class of the records; rebuilt if `None`.
        base_model: Where the base model is now, if it has moved.
        engine: The address of a server that decodes; the actors load no model then.
        actors: How many actors, and what one takes of a machine.
        **settings: Of `BulkConfig`: `text_column`, `keep_columns`, `explain`, `min_confidence`, `batch_size`,
            `reuse_equal`.

    Raises:
        ArtifactError: The saved extractor is missing or damaged.
        ConfigError: A setting is unknown or out of range, or two columns have one name.
        MissingDependencyError: Ray is not installed.
    """
    import_ray()
    config = _checked(block_rows, settings)
    source = ExtractorSource.of(extractor, schema=schema, engine=engine, base_model=base_model)
    _require_different(config.keep_columns, _record_columns(source.schema, config))
    options = (actors or RayActors()).map_options()
    recipe = WorkerRecipe.of(source, config)
    return ds.map_batches(
        RowActor, fn_constructor_args=(recipe,), batch_size=block_rows, batch_format="pyarrow", **options
    )


def _checked(block_rows: int, settings: Mapping[str, Any]) -> BulkConfig:
    """The settings.

    Raises:
        ConfigError: One is unknown, of a run in a directory, or out of range.
    """
    unknown = sorted(settings.keys() - SETTINGS)
    if unknown:
        raise ConfigError(f"expected settings among {', '.join(sorted(SETTINGS))}, found {unknown[0]!r}")
    if block_rows < 1:
        raise ConfigError(f"expected block_rows of at least 1, found {block_rows}")
    return BulkConfig.checked(**settings)


class RowActor:
    """Decodes rows in an actor.

    Args:
        recipe: The extractor and the settings.
    """

    def __init__(self, recipe: WorkerRecipe) -> None:
        self._config = recipe.config
        self._keep = recipe.config.keep_columns
        self._worker = ExtractorWorker(recipe)
        self._columns = _record_columns(self._worker.schema, recipe.config)

    def __call__(self, table: Any) -> Any:
        """A table with the results of a table's rows."""
        rows = self._rows(table)
        results = self._worker.decode(0, rows, anew=False).results
        placed = [self._fitting(row, result) for row, result in zip(rows, results, strict=True)]
        return self._output(table, rows, placed)

    def _rows(self, table: Any) -> list[InputRow]:
        outer, _, _ = self._config.text_column.partition(".")
        missing = [column for column in self._keep if column not in table.column_names]
        if missing or not {outer, self._config.text_column} & set(table.column_names):
            wanted = missing[0] if missing else self._config.text_column
            raise DatasetError(f"expected a column {wanted!r}, found only {', '.join(table.column_names)}")
        read = table.select([name for name in table.column_names if name in (outer, self._config.text_column)])
        return [_input_row(number, cells, self._config.text_column) for number, cells in enumerate(read.to_pylist())]

    def _fitting(self, row: InputRow, result: RowResult) -> RowResult:
        """The result, or an error if a column cannot hold its record."""
        if result.error:
            return result
        problem = TableLayout.problem_in(self._columns, row, result)
        if not problem:
            return result
        return RowResult(error="OutputInvalidError", message=f"The record cannot be written: {problem}.")

    def _output(self, table: Any, rows: Sequence[InputRow], results: Sequence[RowResult]) -> Any:
        import pyarrow

        arrays = {name: table[name] for name in self._keep}
        for column in self._columns:
            cells = [
                None if result.error else _cell(column, row, result) for row, result in zip(rows, results, strict=True)
            ]
            arrays[column.name] = pyarrow.array(cells, column.kind.arrow)
        text = pyarrow.string()
        arrays["status"] = pyarrow.array([self._status(result) for result in results], text)
        arrays["error"] = pyarrow.array([result.error or None for result in results], text)
        arrays["message"] = pyarrow.array([result.message or None for result in results], text)
        return pyarrow.table(arrays)

    def _status(self, result: RowResult) -> str:
        if result.error:
            return FAILED
        return REVIEW if result.is_below(self._config.min_confidence) else RECORD


def _record_columns(schema: Any, config: BulkConfig) -> list[TableColumn]:
    """The columns of the record and its explanations, as the shards of a run have them."""
    without = config.model_copy(update={"keep_columns": ()})
    return TableLayout(schema, without, {}, arrow={}, several=False).columns[NUM_PLACES:]


def _require_different(keep: Sequence[str], columns: Sequence[TableColumn]) -> None:
    """Refuse columns with the name of another one.

    Raises:
        ConfigError: There is one.
    """
    names = [*keep, *(column.name for column in columns), *OWN_COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"expected each column of the output once, found {twice[0]!r} twice").hint(
            "Rename the column first (ds.rename_columns), or leave it out of keep_columns."
        )


def _input_row(number: int, cells: Any, column: str) -> InputRow:
    found = cell_of(cells, column)
    if isinstance(found, str):
        return InputRow(str(number), number, text=found)
    kind = "no such key" if found is MISSING else "nothing" if found is None else type(found).__name__
    return InputRow(str(number), number, problem=f"expected a text under {column!r}, found {kind}")


def _cell(column: TableColumn, row: InputRow, result: RowResult) -> Any:
    return None if result.error else column.kind.written(column.value(row, result))
