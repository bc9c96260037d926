"""A table of a database as the place of a run's records: the rows of a shard and its mark in one transaction.

Knows SQLAlchemy and the layout of the table; knows no extractor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from extractft.bulk.database import connected, shown_url
from extractft.bulk.input_row import InputRow
from extractft.bulk.row_result import RowResult
from extractft.bulk.table_layout import TableColumn, TableLayout
from extractft.errors import BulkRunError

__all__ = ["DatabaseTable", "TableSink", "require_new_table"]

MARKS = "extractft_shards"
"""The table that says which attempts at which shards of which runs are in the tables of a database."""
OWNER = -1
"""In place of a shard: the run has made its table."""


@dataclass(frozen=True, slots=True)
class DatabaseTable:
    """A table that the records of a run go to; the run makes it.

    Attributes:
        url: The address of the database, as SQLAlchemy has it.
        name: The name of the table.
    """

    url: str = field(repr=False)
    name: str

    def identity(self) -> dict[str, str]:
        """Address and name, without a password."""
        return {"url": shown_url(self.url), "table": self.name}


def require_new_table(target: DatabaseTable) -> None:
    """Refuse a table that is there already.

    Raises:
        BulkRunError: It is, or the database cannot be reached.
    """
    import sqlalchemy

    with connected(target.url) as engine:
        if sqlalchemy.inspect(engine).has_table(target.name):
            raise _there_already(target.name)


def _there_already(name: str) -> BulkRunError:
    return BulkRunError(f"Expected a new table, found that {name!r} is there already.").hint(
        "Name another one, or drop it: nothing but the run that made a table writes to it."
    )


class TableSink:
    """Writes the shards of one run to its table, which it makes unless it did before.

    Args:
        engine: SQLAlchemy's engine of the database.
        name: The name of the table.
        run: The name of the run.
        layout: The columns.
        begun: True if shards are done.

    Raises:
        BulkRunError: The table is of another run, or gone.
    """

    def __init__(self, engine: Any, name: str, run: str, layout: TableLayout, *, begun: bool = False) -> None:
        import sqlalchemy

        self._engine = engine
        self._run = run
        self._columns = layout.columns
        self._database = sqlalchemy
        catalog = sqlalchemy.MetaData()
        columns = [sqlalchemy.Column(column.name, _type_of(column)) for column in self._columns]
        self._table = sqlalchemy.Table(name, catalog, *columns)
        self._marks = sqlalchemy.Table(
            MARKS,
            catalog,
            sqlalchemy.Column("run", sqlalchemy.String(32), primary_key=True),
            sqlalchemy.Column("shard", sqlalchemy.BigInteger, primary_key=True, autoincrement=False),
            sqlalchemy.Column("attempt", sqlalchemy.BigInteger, primary_key=True, autoincrement=False),
        )
        self._marks.create(engine, checkfirst=True)
        self._require_table(begun=begun)

    def _require_table(self, *, begun: bool) -> None:
        """Make the table, or see that it is the one that this run made.

        Raises:
            BulkRunError: It is of another run, or gone.
        """
        marks, name = self._marks.c, self._table.name
        with self._engine.connect() as connection:
            query = self._database.select(marks.shard).where(marks.run == self._run)
            known = {shard for (shard,) in connection.execute(query)}
        if self._database.inspect(self._engine).has_table(name):
            if not known:
                raise _there_already(name)
        elif begun or known - {OWNER}:
            raise BulkRunError(f"Expected the table {name!r} of the run, found that it is gone.").hint(
                "Put it back, or begin anew with force=True or in a new directory."
            )
        else:
            self._make(claimed=OWNER in known)

    def _make(self, *, claimed: bool) -> None:
        """Make the table and say whose it is, at once where the database can; the first of two runs gets it."""
        errors = self._database.exc
        try:
            with self._engine.begin() as transaction:
                if not claimed:
                    transaction.execute(self._marks.insert(), {"run": self._run, "shard": OWNER, "attempt": 0})
                self._table.create(transaction, checkfirst=False)
        except (errors.OperationalError, errors.ProgrammingError, errors.IntegrityError) as error:
            if self._database.inspect(self._engine).has_table(self._table.name):
                raise _there_already(self._table.name) from error
            raise

    @property
    def misfits(self) -> tuple[type[Exception], ...]:
        """Errors for values that the table cannot hold."""
        errors = self._database.exc
        return (errors.DataError, errors.IntegrityError)

    def has(self, shard: int, attempt: int) -> bool:
        """True if the rows that an attempt at a shard gave are in the table."""
        marks = self._marks.c
        wanted = (marks.run == self._run, marks.shard == shard, marks.attempt == attempt)
        with self._engine.connect() as connection:
            return connection.execute(self._database.select(marks.shard).where(*wanted)).first() is not None

    def write(self, shard: int, attempt: int, rows: Sequence[tuple[InputRow, RowResult]]) -> None:
        """Write the rows that an attempt at a shard gave and its mark, all or none."""
        values = [self._values(row, result) for row, result in rows]
        with self._engine.begin() as transaction:
            transaction.execute(self._marks.insert(), {"run": self._run, "shard": shard, "attempt": attempt})
            if values:
                transaction.execute(self._table.insert(), values)

    def problem_of(self, row: InputRow, result: RowResult) -> str:
        """The reason why the table refuses a row, empty if it does not."""
        misfits: tuple[type[Exception], ...] = (*self.misfits, OverflowError, ValueError, TypeError)
        with self._engine.connect() as connection:
            try:
                connection.execute(self._table.insert(), self._values(row, result))
            except misfits as error:
                return f"the table refuses it ({type(error).__name__})"
            finally:
                connection.rollback()
        return ""

    def _values(self, row: InputRow, result: RowResult) -> dict[str, Any]:
        return {column.name: _plain(column, column.value(row, result)) for column in self._columns}


def _type_of(column: TableColumn) -> Any:
    """The type of a column in the database: of what has none there, JSON."""
    import pyarrow.types
    import sqlalchemy

    types = pyarrow.types
    for matches, found in (
        (types.is_string, sqlalchemy.Text()),
        (types.is_boolean, sqlalchemy.Boolean()),
        (types.is_integer, sqlalchemy.BigInteger()),
        (types.is_floating, sqlalchemy.Float(53)),
    ):
        if matches(column.kind.arrow):
            return found
    return sqlalchemy.JSON(none_as_null=True)


def _plain(column: TableColumn, value: Any) -> Any:
    """A value as the database's driver takes it."""
    import pyarrow.types

    written = column.kind.written(value)
    if isinstance(written, str | bool | int | float | None):
        return written
    return to_jsonable_python(dict(written) if pyarrow.types.is_map(column.kind.arrow) else written, fallback=str)
