"""The table of a run: its columns, their Arrow types, and rows and results as its columns. Knows no databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractft.bulk.bulk_config import BulkConfig
from extractft.bulk.input_row import InputRow
from extractft.bulk.row_result import RowResult
from extractft.data.record_columns import ColumnKind, RecordColumn, input_column_name, json_text, record_columns
from extractft.errors import ConfigError
from extractft.schema import Schema

__all__ = ["TableColumn", "TableLayout"]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the table.

    Attributes:
        name: Its name.
        kind: Its kind.
        value: Its value for a row.
    """

    name: str
    kind: ColumnKind
    value: Callable[[InputRow, RowResult], Any]

    def values(self, rows: Sequence[Any]) -> list[Any]:
        """Its values for rows `(place, row, result)`, as Arrow takes them."""
        value, written = self.value, self.kind.written
        return [written(value(row, result)) for _, row, result in rows]


class TableLayout:
    """The columns of a run's table: place of the row, columns that are kept, the record, confidences and spans.

    Args:
        schema: The schema of the records.
        config: Settings of the run.
        kinds: Kinds of the columns that are kept.
        arrow: Arrow types of those that come from Parquet files.
        several: True if there are several files.
    """

    def __init__(
        self,
        schema: Schema[Any],
        config: BulkConfig,
        kinds: Mapping[str, str],
        *,
        arrow: Mapping[str, Any],
        several: bool,
    ) -> None:
        record = record_columns(schema)
        taken = {column.name for column in record}
        own = [*_place_columns(several=several), *_kept_columns(config, kinds, arrow)]
        named = [TableColumn(input_column_name(column.name, taken), column.kind, column.value) for column in own]
        after = [*_explaining_columns(config)]
        self.columns = [*named, *map(_from_record, record), *after]

    def require_different_names(self) -> None:
        """Refuse columns of one name, which no table has.

        Raises:
            ConfigError: Two have.
        """
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"Expected each column of the output once, found {twice[0]!r} twice.").hint(
                "Leave the column out of keep_columns, or write JSONL: there the record stands apart."
            )

    def table(self, rows: Sequence[Any]) -> Any:
        """Rows as an Arrow table.

        Args:
            rows: `(place, row, result)`, in order.
        """
        import pyarrow

        arrays = [
            pyarrow.array(
                [column.kind.written(column.value(row, result)) for _, row, result in rows], column.kind.arrow
            )
            for column in self.columns
        ]
        return pyarrow.Table.from_arrays(arrays, schema=self.arrow_schema())

    def arrow_schema(self) -> Any:
        """The Arrow schema of the table."""
        import pyarrow

        return pyarrow.schema([(column.name, column.kind.arrow) for column in self.columns])

    def write_parquet(self, path: Path, table: Any) -> None:
        """Write a table as a Parquet file."""
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path, compression="zstd")

    def problem_of(self, row: InputRow, result: RowResult) -> str:
        """The reason why a record has no place in the table, such as a number of more than 64 bits; empty if it has."""
        return self.problem_in(self.columns, row, result)

    @staticmethod
    def problem_in(columns: Sequence[TableColumn], row: InputRow, result: RowResult) -> str:
        """The same, for some columns."""
        import pyarrow

        for column in columns:
            try:
                pyarrow.array([column.kind.written(column.value(row, result))], column.kind.arrow)
            except (pyarrow.ArrowException, OverflowError, TypeError, ValueError, AttributeError) as error:
                return f"the column {column.name!r} cannot hold its value ({type(error).__name__})"
        return ""


def _from_record(column: RecordColumn) -> TableColumn:
    plain = RecordColumn(column.name, column.key, ColumnKind(column.kind.arrow))
    return TableColumn(column.name, column.kind, lambda row, result: plain.value(result.record))


def _place_columns(*, several: bool) -> list[TableColumn]:
    import pyarrow

    columns = [TableColumn("id", ColumnKind(pyarrow.string()), lambda row, result: row.id)]
    if several:
        columns.append(TableColumn("file", ColumnKind(pyarrow.string()), lambda row, result: row.file))
    columns.append(TableColumn("row", ColumnKind(pyarrow.int64()), lambda row, result: row.row))
    return columns


def _kept_columns(config: BulkConfig, kinds: Mapping[str, str], arrow: Mapping[str, Any]) -> list[TableColumn]:
    import pyarrow

    types = {"bool": pyarrow.bool_(), "int": pyarrow.int64(), "float": pyarrow.float64(), "str": pyarrow.string()}
    found = []
    for name in config.keep_columns:
        kind = ColumnKind(pyarrow.string(), json_text) if kinds[name] == "json" else ColumnKind(types[kinds[name]])
        kind = ColumnKind(arrow[name]) if name in arrow else kind
        found.append(TableColumn(name, kind, lambda row, result, name=name: row.kept.get(name)))  # type: ignore[misc]
    return found


def _explaining_columns(config: BulkConfig) -> list[TableColumn]:
    import pyarrow

    columns = []
    if "confidence" in config.explain:
        by_path = pyarrow.map_(pyarrow.string(), pyarrow.float64())
        columns += [
            TableColumn("confidence", ColumnKind(pyarrow.float64()), lambda row, result: result.confidence),
            TableColumn(
                "field_confidence",
                ColumnKind(by_path, lambda fields: list(fields.items())),
                lambda row, result: result.fields,
            ),
        ]
    if "spans" in config.explain:
        columns.append(TableColumn("spans", ColumnKind(pyarrow.string(), json_text), lambda row, result: result.spans))
    return columns
