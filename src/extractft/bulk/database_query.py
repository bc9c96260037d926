"""Rows out of a database: a query is read once, as a stream, into a file of the run, which then reads that file.

So the rows of a run are those of one moment, in one order, whatever becomes of the database, and no transaction is open
while they are decoded. Knows queries; knows no records.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from extractft.bulk.database import connected, shown_url
from extractft.errors import DatasetError
from extractft.storage import published_file

__all__ = ["DatabaseQuery", "save_rows"]

ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class DatabaseQuery:
    """A query whose rows are the input of a run.

    Attributes:
        url: The address of the database, as SQLAlchemy has it.
        query: The SQL text.
    """

    url: str = field(repr=False)
    query: str

    def identity(self) -> dict[str, str]:
        """Address and query, without a password."""
        return {"url": shown_url(self.url), "query": self.query}


def save_rows(query: DatabaseQuery, path: Path) -> None:
    """Write the rows of a query as JSONL, whole or not at all.

    Raises:
        BulkRunError: The database cannot be reached, or refuses the query.
        DatasetError: Two columns have one name.
    """
    with connected(query.url) as engine, published_file(path) as file:
        file.writelines(_lines(engine, query.query))


def _lines(engine: Any, query: str) -> Iterator[bytes]:
    with engine.connect() as connection:
        streaming = connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE, no_parameters=True)
        with closing(streaming.exec_driver_sql(query)) as rows:
            names = list(rows.keys())
            if len(set(names)) < len(names):
                raise DatasetError("Expected a name of its own for each column of the query, found one twice.").hint(
                    "Name them in the query: SELECT a.text AS text, b.text AS note."
                )
            for row in rows:
                values = dict(zip(names, row, strict=True))
                yield to_json(values, fallback=str, bytes_mode="base64", inf_nan_mode="strings") + b"\n"
