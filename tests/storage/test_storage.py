"""Publishing, locking and hashing, with processes that die at every point."""

import errno
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
    restore_lost,
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


# ------------------------------------------------------------------------------------------------- what killed ones leave


def leftover(target: Path, pid: int, suffix: str = "") -> Path:
    with atomic._beside(target) as name:
        return name.with_name(name.name.replace(f"-{os.getpid()}-", f"-{pid}-") + suffix)


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_a_directory_that_was_moved_away_is_put_back(tmp_path):
    target = tmp_path / "x"
    fill(leftover(target, dead_process(), ".old"), "old")
    restore_lost(target)
    assert (target / "ours").read_text() == "old"
    fill(leftover(target, dead_process(), ".old"), "older")
    restore_lost(target)
    assert (target / "ours").read_text() == "old"


def test_a_living_process_is_not_disturbed(tmp_path):
    target = tmp_path / "x"
    moved = leftover(target, os.getppid(), ".old")
    fill(moved, "old")
    restore_lost(target)
    atomic.remove_leftovers(target)
    assert moved.is_dir()
    assert not target.exists()


def test_a_process_that_always_has_the_same_number(tmp_path):
    """In a container it is 1, before a kill and after."""
    target = tmp_path / "x"
    fill(leftover(target, os.getpid()), "half")
    fill(leftover(target, os.getpid(), ".old"), "old")
    publish(target, "new")
    assert (target / "ours").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_another_machines_files_are_left_alone(tmp_path, monkeypatch):
    target = tmp_path / "x"
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_host", lambda: "01234567")
        other = leftover(target, dead_process())
    fill(other, "theirs")
    publish(target, "new")
    assert other.is_dir()


@pytest.mark.parametrize("name", ["龙" * 80, "x" * 250, "a.b.c", "[x](y)*"])
def test_names_of_all_kinds(tmp_path, name):
    publish(tmp_path / name, "old")
    fill(leftover(tmp_path / name, dead_process()), "half")
    publish(tmp_path / name, "new")
    publish_text(tmp_path / "file" if len(name) > 200 else tmp_path / f"{name}.txt", "text")
    assert (tmp_path / name / "ours").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_ctrl_c_between_two_renames_puts_the_old_one_back(tmp_path, monkeypatch):
    target = tmp_path / "x"
    publish(target, "old")
    rename = os.rename

    def interrupted(source, destination):
        if str(destination) == str(target) and not str(source).endswith(".old"):
            raise KeyboardInterrupt
        rename(source, destination)

    monkeypatch.setattr(atomic, "_exchanged", lambda first, second: False)
    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(target, "new")
    assert (target / "ours").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_directory_keeps_its_permissions(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(atomic, "_exchanged", lambda first, second: False)
    (tmp_path / "x").mkdir(mode=0o700)
    before = os.umask(0o022)
    try:
        publish(tmp_path / "x", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o700


@pytest.mark.parametrize("exchange", [True, False])
def test_a_file_that_comes_in_at_the_last_moment_is_kept(tmp_path, monkeypatch, exchange):
    target, real = tmp_path / "x", atomic._exchange
    publish(target, "old")

    def late(new, place):
        (place / "late.txt").write_text("mine")
        real(new, place)

    monkeypatch.setattr(atomic, "_exchange", late)
    if not exchange:
        monkeypatch.setattr(atomic, "_exchanged", lambda first, second: False)
    publish(target, "new")
    assert (target / "late.txt").read_text() == "mine"


def test_file_systems_that_cannot_flush_directories(tmp_path, monkeypatch):
    real = os.fsync

    def refused(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refused)
    publish(tmp_path / "x", "new")
    publish_text(tmp_path / "y", "new")
    assert (tmp_path / "x" / "ours").read_text() == "new"


def test_a_disk_that_fails_is_no_success(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    publish(tmp_path / "x", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="Input/output"):
        publish(tmp_path / "x", "new")
    assert (tmp_path / "x" / "ours").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="flock")
def test_file_systems_without_locks(tmp_path, monkeypatch):
    def refused(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refused)
    with lock_directory(tmp_path):
        pass
