"""Tables of runs that are not what they were, and addresses and queries as people write them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bulk_doubles import InstantExtractor, lines_of

from extractft import bulk
from extractft.bulk.database import database_failure, shown_url
from extractft.bulk.database_table import TableSink
from extractft.errors import BulkRunError

sqlalchemy = pytest.importorskip("sqlalchemy")

SMALL: dict[str, Any] = {"shard_rows": 2}


@pytest.fixture
def rows(jsonl: Callable[..., Path]) -> Path:
    return jsonl({"text": f"tea {number}"} for number in range(6))


@pytest.fixture
def table(tmp_path: Path) -> bulk.DatabaseTable:
    return bulk.DatabaseTable(f"sqlite:///{tmp_path}/data.db", "people")


def sql(tmp_path: Path, query: str) -> list[Any]:
    database = sqlite3.connect(tmp_path / "data.db")
    found = database.execute(query).fetchall()
    database.commit()
    database.close()
    return found


def test_two_runs_into_one_new_table_are_one_too_many(
    rows: Path, tmp_path: Path, table: bulk.DatabaseTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TableSink._require_table

    def late(self: TableSink, *, begun: bool) -> None:
        monkeypatch.setattr(TableSink, "_require_table", real)
        bulk.run(InstantExtractor(), rows, tmp_path / "first", table=table, **SMALL)  # after the check of this one
        real(self, begun=begun)

    monkeypatch.setattr(TableSink, "_require_table", late)
    with pytest.raises(BulkRunError, match="there already"):
        bulk.run(InstantExtractor(), rows, tmp_path / "second", table=table, **SMALL)
    assert sql(tmp_path, "SELECT count(*) FROM people") == [(6,)]
    other = bulk.DatabaseTable(table.url, "others")
    assert bulk.run(InstantExtractor(), rows, tmp_path / "second", table=other, **SMALL).records == 6


@pytest.mark.parametrize("dropped", [("people",), ("people", "extractft_shards")])
def test_a_table_that_is_gone_is_not_made_again(
    rows: Path, tmp_path: Path, table: bulk.DatabaseTable, dropped: tuple[str, ...]
) -> None:
    bulk.run(InstantExtractor(), rows, tmp_path / "out", table=table, **SMALL)
    for name in dropped:
        sql(tmp_path, f"DROP TABLE {name}")
    with pytest.raises(BulkRunError, match="it is gone"):
        bulk.run(InstantExtractor(), rows, tmp_path / "out", table=table, **SMALL)
    assert sql(tmp_path, "SELECT name FROM sqlite_master WHERE name = 'people'") == []
    assert bulk.run(InstantExtractor(), rows, tmp_path / "out", table=table, force=True, **SMALL).records == 6


def test_a_mark_that_is_gone_is_told(rows: Path, tmp_path: Path, table: bulk.DatabaseTable) -> None:
    bulk.run(InstantExtractor(), rows, tmp_path / "out", table=table, **SMALL)
    (tmp_path / "out/state/part-00001.json").unlink()
    with pytest.raises(BulkRunError, match="shard 1, found only its rows in the table"):
        bulk.run(InstantExtractor(), rows, tmp_path / "out", table=table, **SMALL)


def test_a_shard_of_a_query_that_is_gone_is_told(tmp_path: Path) -> None:
    sql(tmp_path, "CREATE TABLE calls AS SELECT 'tea' AS text")
    query = bulk.DatabaseQuery(f"sqlite:///{tmp_path}/data.db", "SELECT text FROM calls")
    bulk.run(InstantExtractor(), query, tmp_path / "out")
    (tmp_path / "out/shards/part-00000.parquet").unlink()
    with pytest.raises(BulkRunError, match="rows of the query"):
        bulk.run(InstantExtractor(), query, tmp_path / "out")
    assert bulk.run(InstantExtractor(), query, tmp_path / "out", force=True).records == 1


def test_a_query_is_given_to_the_database_as_it_is(tmp_path: Path) -> None:
    query = "SELECT 'at 12:30 :x %:30 100%' AS text, 9e999 AS price, -9e999 AS low"
    source = bulk.DatabaseQuery(f"sqlite:///{tmp_path}/data.db", query)
    extractor = InstantExtractor()
    kept: dict[str, Any] = {"keep_columns": ("price", "low"), "format": "jsonl"}
    assert bulk.run(extractor, source, tmp_path / "out", **kept).records == 1
    assert extractor.asked == ["at 12:30 :x %:30 100%"]
    assert lines_of(tmp_path / "out", "shards")[0]["input"] == {"price": "Infinity", "low": "-Infinity"}


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://h/db?user=u&password=hidden",
        "postgresql://u:hidden@h/db?sslpassword=hidden",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhidden",
        "mysql+pymysql://h/db?passwd=hidden&read_timeout=3",
    ],
)
def test_passwords_of_addresses_are_shown_nowhere(address: str) -> None:
    assert "hidden" not in shown_url(address)
    failure = database_failure(RuntimeError("no entry with DRIVER=x;PWD=hidden, hidden"), address)
    assert "hidden" not in str(failure)
