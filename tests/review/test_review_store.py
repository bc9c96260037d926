"""The database of a review: who gets which record, what is saved, and that nobody treads on anybody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft.errors import ReviewConflictError, ReviewError, ReviewUnavailableError
from extractft.review import NewItem, ReviewStore, changes_between, corrected_rows, review_statistics
from extractft.schema import Schema

NAME = "complaints"


class Line(BaseModel):
    item: str
    price: float | None = None


class Order(BaseModel):
    customer: str | None = None
    lines: list[Line] = []


SCHEMA = Schema.of(Order)


def record(customer: str | None = None, *lines: tuple[str, float | None]) -> dict[str, Any]:
    return {"customer": customer, "lines": [{"item": item, "price": price} for item, price in lines]}


def item(number: int, confidence: float | None = 0.5, **more: Any) -> NewItem:
    return NewItem(f"text {number}", record(f"Ann {number}"), f"row-{number}", NAME, confidence, **more)


@pytest.fixture
def store(tmp_path: Path) -> ReviewStore:
    return ReviewStore(tmp_path / "review.db")


def test_the_least_certain_comes_first_and_what_nobody_knows_before_it(store: ReviewStore) -> None:
    store.add_items([item(1, 0.9), item(2, 0.2), item(3, None), item(4, 0.2)])
    seen = []
    while found := store.claim_next("Ann", [NAME]):
        seen.append(found.item.id)
        store.decide(found.number, "Ann", "accept", found.item.proposed, version=found.version)
    assert seen == ["row-3", "row-2", "row-4", "row-1"]


def test_what_was_added_twice_is_there_once(store: ReviewStore) -> None:
    assert store.add_items([item(1), item(2)]) == (2, 0)
    found = store.claim_next("Ann", [NAME])
    assert found is not None
    store.decide(found.number, "Ann", "correct", record("Bob"), version=found.version)
    assert store.add_items([item(1), item(2), item(3)]) == (1, 2)
    assert store.item(found.number).final is not None
    same_id = NewItem("another text", None, "row-1", NAME)
    assert store.add_items([same_id]) == (1, 0)


def test_all_items_or_none(store: ReviewStore) -> None:
    def broken() -> Any:
        yield item(1)
        raise ValueError

    with pytest.raises(ValueError):
        store.add_items(broken())
    assert [*store.items()] == []


def test_a_record_is_one_reviewers_until_the_lease_ends(store: ReviewStore) -> None:
    store.add_items([item(1, 0.1), item(2, 0.2)])
    anns = store.claim_next("Ann", [NAME], now=1000)
    bobs = store.claim_next("Bob", [NAME], now=1000)
    assert anns is not None
    assert bobs is not None
    assert (anns.number, bobs.number) == (1, 2)
    assert store.claim_next("Eve", [NAME], now=1001) is None
    again = store.claim_next("Ann", [NAME], now=1001)
    assert again is not None
    assert again.number == 1
    eves = store.claim_next("Eve", [NAME], now=1602)
    assert eves is not None
    assert eves.number == 1
    with pytest.raises(ReviewConflictError, match="somebody else looks at it"):
        store.decide(1, "Ann", "accept", record("x"), version=0, now=1603)
    store.decide(1, "Eve", "accept", record("x"), version=0, now=1603)
    with pytest.raises(ReviewConflictError, match="decided in the meantime"):
        store.decide(1, "Ann", "accept", record("x"), version=0, now=1604)
    store.decide(2, "Bob", "accept", record("x"), version=0, now=9999)  # late, and nobody came in between


def test_a_record_that_is_skipped_goes_to_others(store: ReviewStore) -> None:
    store.add_items([item(1)])
    found = store.claim_next("Ann", [NAME])
    assert found is not None
    store.decide(1, "Ann", "skip", version=0)
    assert store.claim_next("Ann", [NAME]) is None
    other = store.claim_next("Bob", [NAME])
    assert other is not None
    store.decide(1, "Bob", "accept", other.item.proposed, version=1)
    assert store.claim_next("Eve", [NAME]) is None


def test_released_records_are_free_at_once(store: ReviewStore) -> None:
    store.add_items([item(1)])
    assert store.claim_next("Ann", [NAME])
    assert store.claim_next("Bob", [NAME]) is None
    store.release(1, "Bob")
    assert store.claim_next("Bob", [NAME]) is None
    store.release(1, "Ann")
    assert store.claim_next("Bob", [NAME])


def test_only_records_of_the_extractors_that_are_asked_for(store: ReviewStore) -> None:
    store.add_items([item(1)])
    assert store.claim_next("Ann", ["receipts"]) is None
    assert store.claim_next("Ann", []) is None
    assert store.claim_next("Ann", ["receipts", NAME])


def test_later_decisions_win_and_all_are_kept(store: ReviewStore) -> None:
    store.add_items([item(1)])
    proposed = record("Ann 1")
    for version, name in enumerate(["Bob", "Cid"]):
        after = record(name)
        store.decide(1, "Ann", "correct", after, version=version, changes=changes_between(SCHEMA, proposed, after))
    found = store.item(1)
    assert [decision.record["customer"] for decision in found.decisions] == ["Bob", "Cid"]
    change = found.decisions[0].changes[0]
    assert (change.path, change.kind, change.before, change.after) == ("customer", "wrong", "Ann 1", "Bob")
    assert found.final is not None
    assert [row["output"]["customer"] for row in corrected_rows(store)] == ["Cid"]
    assert store.latest("Ann") == [1]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb\x00", "a\u202eb"])
def test_names_that_are_none(store: ReviewStore, name: str) -> None:
    with pytest.raises(ReviewError, match="name of a reviewer"):
        store.claim_next(name, [NAME])


def test_changes_are_paired_by_likeness() -> None:
    before = record("Ann", ("pear", 1.0), ("apple", 3.0), ("plum", None))
    after = record(None, ("apple", 4.0), ("plum", None), ("fig", 2.0))
    found = {(c.field, c.kind): (c.before, c.after) for c in changes_between(SCHEMA, before, after)}
    assert found[("customer", "invented")] == ("Ann", None)
    assert found[("lines.*.price", "wrong")] in [(3.0, 4.0), (1.0, 2.0)]
    assert changes_between(SCHEMA, after, after) == []
    new = changes_between(SCHEMA, None, after)
    assert {c.kind for c in new} == {"missed"}
    assert len(new) == 5


def test_statistics(store: ReviewStore) -> None:
    store.add_items(
        [item(1, fields={"customer": 0.95}, reviewers=2), item(2, reviewers=2), item(3), item(4)],
    )
    for number, reviewer, name in [(1, "Ann", "Bob"), (1, "Eve", "Bob"), (2, "Ann", "Cid"), (2, "Eve", None)]:
        after = record(name)
        changes = changes_between(SCHEMA, store.item(number).item.proposed, after)
        version = store.item(number).version
        store.decide(number, reviewer, "correct", after, version=version, changes=changes)
    store.decide(3, "Ann", "accept", record("Ann 3"), version=0)
    store.decide(4, "Eve", "skip", version=0)
    found = review_statistics(store, {NAME: SCHEMA})
    assert (found.items, found.done, found.accepted, found.corrected) == (4, 3, 1, 2)
    assert (found.compared, found.disputed, found.agreement) == (2, 1, 0.5)
    tally = found.fields["customer"]
    assert (tally.proposed, tally.wrong, tally.invented, tally.sure_and_wrong) == (3, 1, 1, 1)
    assert (tally.compared, tally.agreed) == (2, 1)
    assert found.reviewers == {
        "Ann": {"accepted": 1, "corrected": 2, "skipped": 0},
        "Eve": {"accepted": 0, "corrected": 2, "skipped": 1},
    }
    rows = [*corrected_rows(store)]
    assert [row["id"] for row in rows] == ["row-1", "row-2", "row-3"]
    assert [row["review"].get("disputed", False) for row in rows] == [False, True, False]
    assert [row["id"] for row in corrected_rows(store, changed_only=True)] == ["row-1", "row-2"]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "rows.jsonl"
    text.write_text("{}\n")
    with pytest.raises(ReviewError, match="something else"):
        ReviewStore(text)
    assert text.read_text() == "{}\n"
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(ReviewError, match="another program"):
        ReviewStore(other)
    assert other.read_bytes() == before
    with pytest.raises(ReviewError, match="no file"):
        ReviewStore(tmp_path / "none.db", create=False)
    with pytest.raises(ReviewError, match="directory"):
        ReviewStore(tmp_path / "no" / "such.db")


def test_a_copy_of_a_review_that_is_in_use_is_a_review(store: ReviewStore, tmp_path: Path) -> None:
    """What is not in the copy is in the file beside it; the copy is never taken for something else."""
    store.add_items([item(1)])
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.path.read_bytes())
    with ReviewStore(copy, create=False) as copied:
        assert [*copied.items()] == []
    copy.write_bytes(store.path.read_bytes())
    (tmp_path / "copy.db-wal").write_bytes(store.path.with_name(store.path.name + "-wal").read_bytes())
    with ReviewStore(copy, create=False) as copied:
        assert [found.item for found in copied.items()] == [found.item for found in store.items()] != []


@pytest.mark.parametrize("content", [b"", "tables dropped"])
def test_a_database_without_tables_is_no_review_to_read(tmp_path: Path, content: bytes | str) -> None:
    empty = tmp_path / "empty.db"
    empty.write_bytes(b"")
    if content:
        with sqlite3.connect(empty) as connection:
            connection.executescript("CREATE TABLE mine (x); DROP TABLE mine")
        connection.close()
    with pytest.raises(ReviewError, match="found an empty one") as found:
        ReviewStore(empty, create=False)
    assert "-wal" in found.value.__notes__[0]
    ReviewStore(empty).close()
    ReviewStore(empty, create=False).close()


@pytest.mark.parametrize("what", ["moved", "deleted", "replaced"])
def test_nothing_is_saved_in_a_file_that_nobody_would_find(store: ReviewStore, tmp_path: Path, what: str) -> None:
    store.add_items([item(1)])
    kept = tmp_path / "kept.db"
    store.path.rename(kept)
    if what == "deleted":
        kept.unlink()
    elif what == "replaced":
        ReviewStore(store.path).close()
    with pytest.raises(ReviewUnavailableError, match="moved, deleted or replaced"):
        store.add_items([item(2)])
    with pytest.raises(ReviewUnavailableError, match="moved, deleted or replaced"):
        store.claim_next("Ann", [NAME])
    if what == "moved":
        kept.rename(store.path)
        assert store.claim_next("Ann", [NAME]) is not None


def test_processes_that_make_one_review_at_once(tmp_path: Path) -> None:
    """Each makes the tables, turns the journal on and adds its own records."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        added = pool.starmap(fill, [(tmp_path / f"{turn}.db", who) for turn in range(6) for who in range(4)])
    assert added == [5] * 24
    for turn in range(6):
        with ReviewStore(tmp_path / f"{turn}.db", create=False) as made:
            assert sum(1 for _ in made.items()) == 20


def fill(path: Path, who: int) -> int:
    with ReviewStore(path) as mine:
        return mine.add_items(item(100 * who + number) for number in range(5)).added


def test_a_newer_format_is_refused(store: ReviewStore) -> None:
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ReviewError, match="format 99"):
        ReviewStore(store.path)


def work(path: Path, reviewer: str) -> list[int]:
    done = []
    with ReviewStore(path) as mine:
        while found := mine.claim_next(reviewer, [NAME]):
            mine.decide(found.number, reviewer, "accept", found.item.proposed, version=found.version)
            done.append(found.number)
    return done


def test_processes_and_threads_share_the_work_and_no_record_is_done_twice(store: ReviewStore) -> None:
    store.add_items(item(number, number / 100) for number in range(60))
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        each = pool.starmap(work, [(store.path, f"person {number}") for number in range(3)])
    assert sorted(number for done in each for number in done) == [*range(1, 61)]
    store.add_items(item(number, number / 100) for number in range(100, 140))

    def in_thread(number: int) -> int:
        count = 0
        while found := store.claim_next(f"thread {number}", [NAME]):
            store.decide(found.number, f"thread {number}", "accept", {}, version=found.version)
            count += 1
        return count

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(in_thread, range(4))) == 40
    assert threading.active_count() >= 1


KILLED = """
import sys
from extractft.review import ReviewStore
store = ReviewStore(sys.argv[1])
while found := store.claim_next("Ann", ["complaints"]):
    store.decide(found.number, "Ann", "correct", {"customer": "Bob"}, version=found.version)
    print(found.number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 23])
def test_nothing_that_was_saved_is_lost_by_a_kill(store: ReviewStore, after: int) -> None:
    store.add_items(item(number) for number in range(2000))
    process = subprocess.Popen([sys.executable, "-c", KILLED, store.path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(after)]
    os.kill(process.pid, signal.SIGKILL)
    told += [int(line) for line in process.stdout if line.endswith("\n")]
    process.wait()
    with ReviewStore(store.path) as again:
        saved = {found.number for found in again.items(decided=True)}
        assert {*told} <= saved
        assert len(saved) <= len(told) + 1
        assert all(found.final and found.final.record == {"customer": "Bob"} for found in again.items(decided=True))
        assert again.claim_next("Bob", [NAME]) is not None
