"""SQLite and PostgreSQL as source and as place of the records, really; also killed in the middle of a transaction."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bulk_doubles import InstantExtractor, lines_of, output_of, run_in_fork

from extractft import bulk
from extractft.errors import BulkRunError, ConfigError, DatasetError, EmptyTextError

sqlalchemy = pytest.importorskip("sqlalchemy")

TEXTS = [f"tea {number}" if number % 7 else "" for number in range(40)]
QUERY = "SELECT code, body, price FROM calls ORDER BY code"


def _as_nobody() -> None:
    """PostgreSQL refuses to run as root."""
    import pwd

    user = pwd.getpwnam("postgres")
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _binary(name: str) -> str | None:
    """A program of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL of our own on loopback."""
    pytest.importorskip("psycopg")
    initdb, server = _binary("initdb"), _binary("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="extractft-pg-") as folder:
        demote = _as_nobody if os.getuid() == 0 else None
        if demote is not None:
            shutil.chown(folder, "postgres", "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = f"{folder}/data"
        options: dict[str, Any] = {"preexec_fn": demote, "cwd": folder, "stdout": subprocess.DEVNULL}
        subprocess.run([initdb, "-D", data, "-U", "us", "-A", "trust", "--no-sync"], check=True, **options)
        command = [server, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
        url = f"postgresql://us@127.0.0.1:{port}/postgres"
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    for _ in range(300):
        assert process.poll() is None
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("PostgreSQL did not start")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with a table of calls and nothing else."""
    url = f"sqlite:///{tmp_path}/calls.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(driver)
    catalog = sqlalchemy.MetaData()
    catalog.reflect(engine)
    catalog.drop_all(engine)
    with engine.begin() as transaction:
        transaction.execute(sqlalchemy.text("CREATE TABLE calls (code TEXT, body TEXT, price NUMERIC(8, 2))"))
        rows = [{"code": f"c{number:03}", "body": text, "price": number / 4} for number, text in enumerate(TEXTS)]
        transaction.execute(sqlalchemy.text("INSERT INTO calls VALUES (:code, :body, :price)"), rows)
    engine.dispose()
    return url


def rows_in(url: str, query: str) -> list[dict[str, Any]]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(sqlalchemy.text(query))]
    engine.dispose()
    return found


SETTINGS: dict[str, Any] = {"id_column": "code", "text_column": "body", "shard_rows": 9}


def test_a_query_is_read_once_and_as_it_was(database: str, tmp_path: Path) -> None:
    source = bulk.DatabaseQuery(database, QUERY)
    extractor = InstantExtractor()

    def changing(progress: bulk.RunProgress) -> None:
        if progress.done == 12:
            engine = sqlalchemy.create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
            with engine.begin() as transaction:  # nobody holds the table
                transaction.execute(sqlalchemy.text("UPDATE calls SET body = 'changed'"))
            engine.dispose()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bulk.run(extractor, source, tmp_path / "out", progress=changing, **SETTINGS)
    summary = bulk.run(extractor, source, tmp_path / "out", **SETTINGS)
    assert (summary.rows, summary.failed) == (40, 6)
    assert "changed" not in extractor.asked
    assert (tmp_path / "out/state/query.jsonl").exists()  # six rows may be decoded again
    assert "us@" not in (tmp_path / "out/run.json").read_text() or "***" not in database
    with pytest.raises(BulkRunError, match=r"input\.query"):
        bulk.run(extractor, bulk.DatabaseQuery(database, QUERY + " DESC"), tmp_path / "out", **SETTINGS)


def test_records_go_to_a_table_of_the_run(database: str, tmp_path: Path) -> None:
    table = bulk.DatabaseTable(database, "people")
    source = bulk.DatabaseQuery(database, QUERY)
    settings = {**SETTINGS, "explain": ("confidence",), "keep_columns": ("price",), "min_confidence": 0.13}
    summary = bulk.run(InstantExtractor(), source, tmp_path / "out", table=table, **settings)
    found = rows_in(database, "SELECT * FROM people ORDER BY id")
    assert len(found) == summary.records > 0
    assert found[0]["id"] == "c001"
    assert (found[0]["name"], found[0]["age"], found[0]["row"]) == ("tea", 1, 2)
    assert found[0]["confidence"] == 0.1667
    assert not any((tmp_path / "out/shards").iterdir())
    assert len(lines_of(tmp_path / "out", "failed")) == summary.failed == 6
    assert len(lines_of(tmp_path / "out", "review")) == summary.review
    assert bulk.run(InstantExtractor(), source, tmp_path / "out", table=table, **settings) == summary
    assert len(rows_in(database, "SELECT * FROM people")) == summary.records
    with pytest.raises(BulkRunError, match="'people' is there already"):
        bulk.run(InstantExtractor(), source, tmp_path / "other", table=table, **settings)


def killed_in_transaction(statement: int, work: Callable[[], Any]) -> None:
    """Do the work; the process is killed right after, or right before, the n-th thing that it asks of the database."""
    left = statement

    def die(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for event in ("after_cursor_execute", "commit"):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, event, die)
    work()


def test_a_kill_in_the_middle_of_a_transaction(database: str, tmp_path: Path) -> None:
    source = bulk.DatabaseQuery(database, QUERY)

    def work(name: str) -> None:
        table = bulk.DatabaseTable(database, name)
        bulk.run(InstantExtractor(), source, tmp_path / name, table=table, **{**SETTINGS, "shard_rows": 15})

    work("whole")
    query = "SELECT id, row, name, age FROM {} ORDER BY row"
    expected = rows_in(database, query.format("whole"))
    step = 0
    while run_in_fork(partial(killed_in_transaction, step, partial(work, f"killed_{step}"))) == -signal.SIGKILL:
        tables = {row["name"] for row in rows_in(database, _TABLES[database.partition(":")[0]])}
        if f"killed_{step}" in tables and not (tmp_path / f"killed_{step}/run.json").exists():
            pytest.fail("a table without a manifest")
        work(f"killed_{step}")
        assert rows_in(database, query.format(f"killed_{step}")) == expected, f"killed at step {step}"
        assert lines_of(tmp_path / f"killed_{step}", "failed") == lines_of(tmp_path / "whole", "failed")
        step += 1
    assert step > 8


_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master",
    "postgresql": "SELECT tablename AS name FROM pg_tables",
}


class Forgetful(InstantExtractor):
    """Does not answer for a text as long as it is told so."""

    def __init__(self, silent: str = "") -> None:
        super().__init__()
        self.silent = silent

    def inspect_many(self, texts: Any, **settings: Any) -> Any:
        for text, outcome in zip(texts := list(texts), super().inspect_many(texts, **settings), strict=True):
            yield EmptyTextError("No answer.", text=text) if text == self.silent else outcome


def test_rows_that_failed_go_to_the_table_later_and_once(database: str, tmp_path: Path) -> None:
    table, source = bulk.DatabaseTable(database, "later"), bulk.DatabaseQuery(database, QUERY)
    bulk.run(Forgetful("tea 11"), source, tmp_path / "out", table=table, **SETTINGS)
    assert "c011" not in {row["id"] for row in rows_in(database, "SELECT id FROM later")}
    for _ in range(2):
        summary = bulk.run(Forgetful(), source, tmp_path / "out", table=table, retry_failed=True, **SETTINGS)
    names = [row["id"] for row in rows_in(database, "SELECT id FROM later ORDER BY id")]
    assert names == [f"c{number:03}" for number, text in enumerate(TEXTS) if text]
    assert (summary.records, summary.failed) == (34, 6)


def test_values_are_in_no_message(postgres: str, tmp_path: Path) -> None:
    source = bulk.DatabaseQuery(postgres, "SELECT CAST(t AS INTEGER) AS text FROM (VALUES ('private')) AS v (t)")
    with pytest.raises(BulkRunError, match=r"a value \(DataError\)") as caught:
        bulk.run(InstantExtractor(), source, tmp_path / "out")
    assert "private" not in str(caught.value)


def test_a_record_that_the_table_refuses_fails_alone(postgres: str, tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    path = jsonl({"text": text} for text in ("tea 1", "a\x00b 2", "salt " + "9" * 30, "rice 3"))
    table = bulk.DatabaseTable(postgres, f"misfits_{os.getpid()}")
    summary = bulk.run(InstantExtractor(), path, tmp_path / "out", table=table)
    assert (summary.records, summary.failed) == (2, 2)
    assert [line["row"] for line in lines_of(tmp_path / "out", "failed")] == [2, 3]
    assert [row["name"] for row in rows_in(postgres, f"SELECT name FROM {table.name} ORDER BY row")] == ["tea", "rice"]


def test_a_database_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://us:secret@127.0.0.1:{free.getsockname()[1]}/x"
    with pytest.raises(BulkRunError) as caught:
        bulk.run(InstantExtractor(), bulk.DatabaseQuery(url, QUERY), tmp_path / "out", **SETTINGS)
    told = "\n".join([str(caught.value), *caught.value.__notes__])
    assert "secret" not in told
    assert "127.0.0.1" in told
    with pytest.raises(ConfigError, match="address of a database"):
        bulk.run(InstantExtractor(), bulk.DatabaseQuery("no address", QUERY), tmp_path / "out", **SETTINGS)


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    source = bulk.DatabaseQuery(f"sqlite:///{tmp_path}/new.db", "SELECT 1 AS a, 2 AS a")
    with pytest.raises(DatasetError, match="found one twice"):
        bulk.run(InstantExtractor(), source, tmp_path / "out", text_column="a")


def test_the_output_of_a_query_is_that_of_a_file(database: str, tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    path = jsonl({"code": f"c{number:03}", "body": text} for number, text in enumerate(TEXTS))
    bulk.run(InstantExtractor(), path, tmp_path / "file", **SETTINGS)
    bulk.run(InstantExtractor(), bulk.DatabaseQuery(database, QUERY), tmp_path / "query", **SETTINGS)
    first, second = output_of(tmp_path / "file"), output_of(tmp_path / "query")
    for name in first:
        assert name == "run.json" or first[name] == second[name], name
