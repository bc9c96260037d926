"""Temporary directories and the deaths of their processes."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extractft.storage import lock_directory, scratch_directory
from extractft.storage.atomic import host_mark

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def wait() -> None:
    """Sleep until a signal comes; `signal.pause` would miss one that comes just before it."""
    while True:
        time.sleep(0.05)


def child(function: Callable[[], Any]) -> int:
    """A fork that runs `function`, and is there when it has said so."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            with scratch_directory("mine-") as made:
                (made / "weights").write_text("private")
                os.write(write, b"x")
                function()
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(read, 1) == b"x"
    os.close(read)
    return pid


def end(pid: int, number: int) -> int:
    os.kill(pid, number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_is_private_and_gone_afterwards(place: Path) -> None:
    with scratch_directory("mine-") as made:
        assert made.parent == place
        assert made.name.startswith("mine-")
        assert made.stat().st_mode & 0o777 == 0o700
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert list(place.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_sigterm_cleans_up_and_ends_the_process_as_before(place: Path) -> None:
    assert end(child(wait), signal.SIGTERM) == -signal.SIGTERM
    assert list(place.iterdir()) == []


def test_what_sigkill_leaves_goes_with_the_next(place: Path) -> None:
    alive, dead = child(wait), child(wait)
    end(dead, signal.SIGKILL)
    left = {path.name.split("-")[2] for path in place.iterdir()}
    assert left == {str(alive), str(dead)}
    with scratch_directory("mine-"):
        pass
    assert {path.name.split("-")[2] for path in place.iterdir()} == {str(alive)}
    end(alive, signal.SIGTERM)


def test_nothing_else_is_removed(place: Path) -> None:
    dead = end_of_a_process()
    other_host = place / f"mine-00000000-{dead}-abc"
    other_name = place / f"mine-{host_mark()}-{dead}"
    link = place / f"mine-{host_mark()}-{dead}-link"
    locked = place / f"mine-{host_mark()}-{dead}-locked"
    theirs = place / "theirs"
    for path in (other_host, other_name, locked, theirs):
        path.mkdir()
        (path / "file").write_text("x")
    link.symlink_to(theirs)
    with lock_directory(locked), scratch_directory("mine-"):
        pass
    assert {path.name for path in place.iterdir()} == {p.name for p in (other_host, other_name, link, locked, theirs)}
    assert (theirs / "file").read_text() == "x"


def end_of_a_process() -> int:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_a_fork_that_is_ended_leaves_the_directory_to_its_parent(place: Path) -> None:
    with scratch_directory("mine-") as made:
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(write, str(int(signal.getsignal(signal.SIGTERM) or 0)).encode())
            wait()
        assert os.read(read, 1) == str(int(signal.SIG_DFL)).encode()
        assert end(pid, signal.SIGTERM) == -signal.SIGTERM
        assert made.is_dir()


def test_a_handler_of_the_programs_own_stays(place: Path) -> None:
    def own(*_: Any) -> None: ...

    before = signal.signal(signal.SIGTERM, own)
    try:
        with scratch_directory("mine-"):
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
