"""Files written piece by piece: nothing is lost, nothing is mixed, whatever ends the run and when."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractft.storage import PartialFileExists, partial_path, publish_text, streamed_file


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def failing(path: Path, content: bytes, error: BaseException, *, replace: bool = False) -> None:
    with streamed_file(path, replace=replace) as file:
        file.write(content)
        raise error


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    with streamed_file(tmp_path / "a", replace=False) as file:
        file.write(b"1\n")
        file.flush()
        assert names(tmp_path) == [".a.extractft-partial", "a.partial"]
        assert partial_path(tmp_path / "a").read_bytes() == b"1\n"
        file.write(b"2\n")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"1\n2\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), ValueError()])
def test_what_was_written_stays_and_the_error_says_where(tmp_path: Path, error: BaseException) -> None:
    publish_text(tmp_path / "a", "old")
    with pytest.raises(type(error)) as caught:
        failing(tmp_path / "a", b"half", error, replace=True)
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a.partial").read_text() == "half"
    assert str(tmp_path / "a.partial") in caught.value.__notes__[0]


def test_nothing_stays_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        failing(tmp_path / "a", b"", ValueError())
    assert names(tmp_path) == []


def test_what_an_interrupted_run_left_is_replaced_only_on_demand(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        failing(tmp_path / "a", b"half", ValueError())
    with pytest.raises(PartialFileExists) as caught, streamed_file(tmp_path / "a", replace=False):
        pass
    assert not caught.value.in_use
    assert (tmp_path / "a.partial").read_bytes() == b"half"
    with streamed_file(tmp_path / "a", replace=True) as file:
        file.write(b"new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "own file", "empty file", "directory", "copy"])
def test_nothing_but_what_a_run_left_is_replaced(tmp_path: Path, kind: str, replace: bool) -> None:
    precious, partial = tmp_path / "precious", tmp_path / "a.partial"
    if kind == "copy":
        with pytest.raises(ValueError):
            failing(tmp_path / "a", b"half", ValueError())
        partial.unlink()
    precious.write_text("precious")
    match kind:
        case "symlink":
            partial.symlink_to("precious")
        case "dangling":
            partial.symlink_to("nowhere")
        case "hard link":
            partial.hardlink_to(precious)
        case "directory":
            partial.mkdir()
        case _:
            partial.write_text("" if kind == "empty file" else "precious")
    before = {path.name: path.lstat() for path in tmp_path.iterdir()}
    with pytest.raises(PartialFileExists) as caught, streamed_file(tmp_path / "a", replace=replace):
        pass
    assert caught.value.foreign
    assert caught.value.path == partial
    after = {path.name: path.lstat() for path in tmp_path.iterdir()}
    assert {name: (s.st_ino, s.st_size) for name, s in after.items()} == {
        name: (s.st_ino, s.st_size) for name, s in before.items()
    }
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("replace", [False, True])
def test_the_hidden_name_is_no_way_to_another_file_either(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".a.extractft-partial").symlink_to("precious")
    with pytest.raises(PartialFileExists) as caught, streamed_file(tmp_path / "a", replace=replace):
        pass
    assert caught.value.foreign
    assert (tmp_path / "precious").read_text() == "precious"


def test_what_was_moved_away_stays_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        failing(tmp_path / "a", b"half", ValueError())
    (tmp_path / "a.partial").rename(tmp_path / "saved")
    with streamed_file(tmp_path / "a", replace=False) as file:
        file.write(b"new")
    assert names(tmp_path) == ["a", "saved"]
    assert (tmp_path / "saved").read_bytes() == b"half"
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("replace", [False, True])
def test_of_two_runs_the_second_is_refused(tmp_path: Path, replace: bool) -> None:
    with streamed_file(tmp_path / "a", replace=replace) as file:
        file.write(b"first")
        file.flush()
        with pytest.raises(PartialFileExists) as caught, streamed_file(tmp_path / "a", replace=replace):
            pass
        assert caught.value.in_use
    assert (tmp_path / "a").read_bytes() == b"first"


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def write_while_another_finishes() -> None:
        with streamed_file(tmp_path / "a", replace=False) as file:
            file.write(b"mine")
            publish_text(tmp_path / "a", "yours")

    with pytest.raises(FileExistsError):
        write_while_another_finishes()
    assert (tmp_path / "a").read_text() == "yours"
    assert (tmp_path / "a.partial").read_text() == "mine"


def test_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with streamed_file(tmp_path / "a", replace=False) as file:
        file.write(b"1")
    assert names(tmp_path) == ["a"]
    with pytest.raises(FileExistsError), streamed_file(tmp_path / "a", replace=False) as file:
        file.write(b"2")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_killed_run_leaves_its_lines_and_no_lock(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        with streamed_file(tmp_path / "a", replace=False) as file:
            file.write(b"one\n")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "a.partial").read_bytes() == b"one\n"
    with pytest.raises(PartialFileExists) as caught, streamed_file(tmp_path / "a", replace=False):
        pass
    assert not caught.value.in_use


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    publish_text(tmp_path / "real", "old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    with streamed_file(tmp_path / "link", replace=True) as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_devices_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    before = os.stat(os.devnull)
    for _ in range(2):
        with streamed_file(os.devnull, replace=False) as file:
            file.write(b"x")
        publish_text(os.devnull, "x")
    assert os.path.samestat(before, os.stat(os.devnull))


@given(pieces=st.lists(st.binary(max_size=20), max_size=8), stop=st.integers(0, 8))
def test_the_file_is_the_old_or_the_new_and_the_partial_file_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], stop: int
) -> None:
    directory = tmp_path_factory.mktemp("streamed")
    publish_text(directory / "a", "old")
    try:
        with streamed_file(directory / "a", replace=True) as file:
            for number, piece in enumerate(pieces):
                if number == stop:
                    raise KeyboardInterrupt
                file.write(piece)
    except KeyboardInterrupt:
        written = b"".join(pieces[:stop])
        assert (directory / "a").read_bytes() == b"old"
        assert ((directory / "a.partial").read_bytes() if written else b"") == written
    else:
        assert names(directory) == ["a"]
        assert (directory / "a").read_bytes() == b"".join(pieces)
