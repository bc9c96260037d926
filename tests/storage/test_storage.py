"""Publishing, locking and hashing, with processes that die at every point."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from extractft.storage import (
    DirectoryInUse,
    atomic,
    file_digest,
    lock_directory,
    publish_text,
    published_directory,
    published_file,
    tree_digests,
)


def in_child(function):
    """The exit status of a fork that runs `function`: negative for a signal."""
    pid = os.fork()
    if not pid:
        try:
            function()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    file = tmp_path / "a.txt"
    publish_text(file, "old\n")

    def interrupted():
        with published_file(file, "w") as out:
            out.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert file.read_text() == "old\n"
    publish_text(file, "new\n")
    assert file.read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_link_and_permissions_stay(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "real.txt").chmod(0o640)
    (tmp_path / "link.txt").symlink_to("real.txt")
    publish_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real.txt").stat().st_mode) == 0o640


def test_a_new_directory_follows_the_umask(tmp_path):
    with published_directory(tmp_path / "x") as new:
        (new / "sub").mkdir(mode=0o700)
        (new / "sub" / "private").write_text("1")
        (new / "sub" / "private").chmod(0o600)
    usual = stat.S_IMODE((tmp_path / "x").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "x/sub").stat().st_mode) == usual
    assert stat.S_IMODE((tmp_path / "x/sub/private").stat().st_mode) == usual & 0o666


def fill(directory: Path, word: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "ours").write_text(word)


def publish(target: Path, word: str) -> None:
    with published_directory(target, keep=lambda entry: entry.name != "ours") as new:
        fill(new, word)


@pytest.mark.parametrize("exchange", [True, False])
def test_a_directory_keeps_what_is_the_users(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchanged", lambda first, second: False)
    target = tmp_path / "x"
    publish(target, "old")
    (target / "notes.txt").write_text("mine")
    (target / "deep" / "er").mkdir(parents=True)
    (target / "deep" / "er" / "a").write_text("mine too")
    publish(target, "new")
    assert (target / "ours").read_text() == "new"
    assert (target / "notes.txt").read_text() == "mine"
    assert (target / "deep/er/a").read_text() == "mine too"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("call", range(1, 9))
def test_killed_at_any_rename_link_or_removal_nothing_is_lost(tmp_path, monkeypatch, exchange, call):
    target = tmp_path / "x"
    publish(target, "old")
    (target / "notes.txt").write_text("mine")

    def killed():
        count = 0

        def dies(function):
            def counting(*args, **kwargs):
                nonlocal count
                count += 1
                if count == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return counting

        if exchange:
            atomic._exchanged = dies(atomic._exchanged)
        else:
            atomic._exchanged = lambda first, second: False
        os.rename, os.link, os.unlink, os.rmdir = map(dies, (os.rename, os.link, os.unlink, os.rmdir))
        publish(target, "new")

    in_child(killed)
    if exchange:
        assert (target / "ours").read_text() in ("old", "new")
        assert (target / "notes.txt").read_text() == "mine"
    publish(target, "newer")
    assert (target / "ours").read_text() == "newer"
    assert (target / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_living_process_keeps_what_it_writes(tmp_path):
    with published_file(tmp_path / "a", "w") as first:
        first.write("first")
        publish_text(tmp_path / "a", "second")
    assert (tmp_path / "a").read_text() == "first"  # the last to end


def test_a_lock_excludes_other_processes_and_threads_and_says_who(tmp_path):
    code = (
        "import sys, time\nfrom extractft.storage import lock_directory\n"
        "with lock_directory(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DirectoryInUse, match=f"process {holder.pid} on "), lock_directory(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with lock_directory(tmp_path):
        with pytest.raises(DirectoryInUse, match=f"process {os.getpid()} on "), lock_directory(tmp_path):
            pass
        assert json.loads((tmp_path / ".extractft-lock").read_text())["pid"] == os.getpid()
    with lock_directory(tmp_path):
        pass


def test_digests(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    assert file_digest(tmp_path / "b/c") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert list(tree_digests(tmp_path)) == ["a", "b/c"]
