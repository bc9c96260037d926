"""Paths are looked at before any work, and nothing is read that is written as well."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from extractft.cli.command_paths import STDOUT, CommandPaths, NamedPath, file_path, user_path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "old.jsonl").write_text("old\n")
    (tmp_path / "ext").mkdir()
    (tmp_path / "ext/manifest.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    return tmp_path


def refusal(**given: Any) -> str:
    with pytest.raises(typer.BadParameter) as caught:
        CommandPaths(**given).check()
    return caught.value.format_message()


def extracting(output: str | Path | None, review: str | Path | None = None, *, force: bool = False) -> dict[str, Any]:
    files = {"--output": output and Path(output), "--review": review and Path(review)}
    return {"inputs": {"TEXTS": "texts.jsonl"}, "sources": {"EXTRACTOR": "ext"}, "files": files, "force": force}


def test_new_outputs_beside_the_inputs_are_fine(place: Path) -> None:
    before = sorted(place.iterdir())
    CommandPaths(**extracting("records.jsonl", "review.jsonl")).check()
    CommandPaths(**extracting("old.jsonl", force=True)).check()
    CommandPaths(**extracting("/dev/null", "/dev/null")).check()
    CommandPaths(**extracting(STDOUT)).check()
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["texts.jsonl", "./ext/../texts.jsonl", "link", "hard", "ABSOLUTE"])
def test_an_output_that_is_an_input_under_any_name(place: Path, name: str, force: bool) -> None:
    (place / "link").symlink_to("texts.jsonl")
    os.link(place / "texts.jsonl", place / "hard")
    path = place / "texts.jsonl" if name == "ABSOLUTE" else Path(name)
    message = refusal(**extracting(path, force=force))
    assert "--output" in message
    assert "TEXTS" in message
    assert "--review" in refusal(**extracting(None, path, force=force))


@pytest.mark.parametrize("second", ["o.jsonl", "./o.jsonl", "O.JSONL", "empty/../o.jsonl", "dangling"])
def test_two_outputs_in_one_file(place: Path, second: str) -> None:
    (place / "dangling").symlink_to("o.jsonl")
    assert "--output as well" in refusal(**extracting("o.jsonl", second))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("output", "review"),
    [("o", "o.partial"), ("o.partial", "o"), ("o", "./O.PARTIAL"), ("o", ".o.extractft-partial"), ("o.partial", None)],
)
def test_unfinished_output_is_kept_apart_from_other_paths(
    place: Path, output: str, review: str | None, force: bool
) -> None:
    if review is None:
        CommandPaths(**extracting(output, force=force)).check()
        return
    said = refusal(**extracting(output, review, force=force))
    assert "where unfinished output goes" in said
    assert "--output" in said
    assert "--review" in said


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("name", ["o.partial", ".o.extractft-partial"])
def test_unfinished_output_that_would_go_into_an_input(place: Path, link: Any, name: str) -> None:
    link("texts.jsonl", name)
    assert "TEXTS as well" in refusal(**extracting("o", force=True))
    assert (place / "texts.jsonl").read_text() == '{"text": "a"}\n'


def test_two_outputs_on_standard_output(place: Path) -> None:
    assert "standard output" in refusal(**extracting(STDOUT, STDOUT))


def test_standard_output_that_goes_into_an_input(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (place / "texts.jsonl").open("a") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        message = refusal(**extracting(None))
    assert "TEXTS" in message
    with (place / "r.jsonl").open("w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert "standard output as well" in refusal(**extracting(None, "r.jsonl", force=True))


def test_what_exists_is_replaced_with_force_alone(place: Path) -> None:
    assert "--force" in refusal(**extracting("old.jsonl"))
    directory = NamedPath("--output", place / "ext")
    assert "--force" in refusal(directory=directory)
    CommandPaths(directory=directory, force=True).check()
    CommandPaths(directory=NamedPath("--output", place / "empty")).check()
    CommandPaths(directory=NamedPath("--output", place / "new/deep")).check()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("missing/o.jsonl", "no directory"),
        ("texts.jsonl/o.jsonl", "--output"),
        ("empty", "found the directory"),
        ("ext/records.jsonl", "lies in"),
        ("loop", "--output"),
        ("/proc/o.jsonl", "cannot be written"),
    ],
)
def test_places_where_no_file_can_be_written(place: Path, output: str, said: str) -> None:
    (place / "loop").symlink_to("loop")
    message = refusal(**extracting(output, force=True))
    assert said in message
    assert "--output" in message


def test_directories_that_cannot_be_published(place: Path) -> None:
    def told(path: str | Path, **further: Any) -> str:
        return refusal(directory=NamedPath("--output", Path(path)), force=True, **further)

    assert "you are in" in told(".")
    assert "you are in" in told("/")
    assert "you are in" in told(place.parent)
    assert "found the file" in told("old.jsonl")
    assert "--output" in told("old.jsonl/x")
    assert "--init-adapter as well" in told("ext", sources={"--init-adapter": "ext"})
    assert "DATA" in told("ext", inputs={"DATA": "ext/manifest.json"})
    assert "lies in" in told("ext/new", sources={"--init-adapter": "ext"})
    assert "--work-dir" in told("x", work_dir=NamedPath("--work-dir", Path("x/run")))
    assert "--work-dir" in told("x", work_dir=NamedPath("--work-dir", Path("x")))


def test_inputs_that_cannot_be_read(place: Path) -> None:
    assert "no such file: nope" in refusal(inputs={"DATA": "nope"})
    assert "found the directory" in refusal(inputs={"DATA": ["texts.jsonl", "ext"]})
    assert "too long" in refusal(inputs={"DATA": "x" * 5000})
    assert "empty" in refusal(inputs={"DATA": ""})
    CommandPaths(inputs={"DATA": "-", "--eval-data": None, "TEXTS": ["texts.jsonl"]}).check()


def test_paths_as_they_are_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/x") == Path("/home/me/x")
    assert file_path("-") == file_path("/dev/stdout") == STDOUT
    for text in ("", " ", "~nobody-of-that-name/x"):
        with pytest.raises(typer.BadParameter):
            user_path(text)
    with pytest.raises(typer.BadParameter):
        file_path("out/")


@given(
    names=st.lists(
        st.sampled_from(["a", "./a", "A", "d/../a", "d/a", "d/./a", "link", "hard", "b"]), min_size=2, max_size=2
    )
)
def test_two_names_are_refused_if_and_only_if_they_are_one_file(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    directory = tmp_path_factory.mktemp("names")
    (directory / "d").mkdir()
    (directory / "a").write_text("x")
    (directory / "link").symlink_to("a")
    os.link(directory / "a", directory / "hard")
    read, written = (directory / name for name in names)
    (directory / names[0]).touch()
    same = written.exists() and read.samefile(written)
    paths = CommandPaths(inputs={"DATA": str(read)}, files={"--output": written}, force=True)
    if same:
        with pytest.raises(typer.BadParameter):
            paths.check()
    else:
        paths.check()
