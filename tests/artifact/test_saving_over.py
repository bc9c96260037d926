"""Saving where something is already: only what is provably an older extractor's own is replaced or removed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from extractft import Extractor
from extractft.artifact import load_manifest, require_replaceable
from extractft.errors import ArtifactError
from extractft.storage import atomic


@pytest.fixture
def loaded(pristine: Path, old_base: Path) -> Extractor[Any]:
    return Extractor.from_pretrained(pristine, base_model=old_base)


@pytest.fixture
def untrained(loaded: Extractor[Any], old_base: Path) -> Extractor[Any]:
    return Extractor.from_base(loaded.schema, base_model=old_base)


def contents(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


FOREIGN = {
    "a web app": '{"name": "My PWA", "start_url": "/"}',
    "no JSON": "<manifest/>",
    "a list": "[]",
    "another project's": '{"format_version": 1, "schema": {}, "base_model": "x"}',
    "a newer format": '{"format_version": 99}',
    "empty": "",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_directories_of_others_with_a_manifest_are_left_alone(
    loaded: Extractor[Any], tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    files = {"manifest.json": FOREIGN[kind], "README.md": "my own", "vocab.json": "words", "index.html": "<p>"}
    for name, text in files.items():
        (place / name).write_text(text)
    before = contents(place)
    with pytest.raises(ArtifactError, match=r"its manifest\.json is not one that extractft wrote") as caught:
        loaded.save_pretrained(place)
    assert "nothing but an older extractor is ever replaced" in caught.value.__notes__[0]
    assert contents(place) == before


@pytest.mark.parametrize("fixture", ["extractor", "old_extractor"])
def test_an_own_card_is_kept(fixture: str, request: pytest.FixtureRequest, loaded: Extractor[Any]) -> None:
    place: Path = request.getfixturevalue(fixture)
    loaded.save_pretrained(place)
    assert "README.md" in load_manifest(place).files  # ours, written again
    (place / "README.md").write_text("my own card")
    loaded.save_pretrained(place)
    loaded.save_pretrained(place)
    assert (place / "README.md").read_text() == "my own card"
    assert "README.md" not in load_manifest(place).files


@pytest.mark.parametrize("fixture", ["extractor", "old_extractor"])
@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer.model"])
def test_files_of_the_user_under_our_names_are_not_lost(
    fixture: str, name: str, request: pytest.FixtureRequest, loaded: Extractor[Any]
) -> None:
    place: Path = request.getfixturevalue(fixture)
    (place / name).write_text("mine")
    before = contents(place)
    with pytest.raises(ArtifactError, match=rf"that it did not, or that were changed since: {name}"):
        loaded.save_pretrained(place)
    assert contents(place) == before


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja", "adapter_model.safetensors"])
def test_files_that_were_changed_are_not_lost(extractor: Path, untrained: Extractor[Any], name: str) -> None:
    (extractor / name).write_bytes((extractor / name).read_bytes() + b" ")
    before = contents(extractor)
    with pytest.raises(ArtifactError, match=f"changed since: {name}"):
        untrained.save_pretrained(extractor)
    assert contents(extractor) == before


def test_a_directory_of_templates_with_a_file_of_the_user(extractor: Path, loaded: Extractor[Any]) -> None:
    loaded._own_base().tokenizer.chat_template = {"default": "{{ messages }}", "tool_use": "{{ messages }}"}
    loaded.save_pretrained(extractor)
    extra = extractor / "additional_chat_templates"
    assert "additional_chat_templates/tool_use.jinja" in load_manifest(extractor).files
    loaded.save_pretrained(extractor)
    (extra / "mine.jinja").write_text("mine")
    with pytest.raises(ArtifactError, match="changed since: additional_chat_templates"):
        loaded.save_pretrained(extractor)
    assert (extra / "mine.jinja").read_text() == "mine"


def test_other_files_and_directories_stay(extractor: Path, untrained: Extractor[Any]) -> None:
    (extractor / "notes.txt").write_text("mine")
    (extractor / "deep" / "er").mkdir(parents=True)
    (extractor / "deep" / "er" / "manifest.json").write_text("mine too")
    untrained.save_pretrained(extractor)
    assert (extractor / "notes.txt").read_text() == "mine"
    assert (extractor / "deep" / "er" / "manifest.json").read_text() == "mine too"
    assert not (extractor / "adapter_model.safetensors").exists()


def test_what_is_missing_is_no_reason_to_refuse(extractor: Path, loaded: Extractor[Any]) -> None:
    for name in ("tokenizer.json", "adapter_model.safetensors", "README.md"):
        (extractor / name).unlink()
    loaded.save_pretrained(extractor)
    assert load_manifest(extractor).adapter


def test_places_are_looked_at_before_training(extractor: Path, old_extractor: Path, tmp_path: Path) -> None:
    assert require_replaceable(tmp_path / "new") == frozenset()
    assert "adapter_model.safetensors" in require_replaceable(extractor)
    assert "adapter_model.safetensors" in require_replaceable(old_extractor)
    (extractor / "tokenizer.json").write_text("mine")
    with pytest.raises(ArtifactError):
        require_replaceable(extractor)


def test_permissions_follow_the_umask_and_those_of_the_directory(tmp_path: Path, loaded: Extractor[Any]) -> None:
    before = os.umask(0o027)
    try:
        loaded.save_pretrained(tmp_path / "new")
        (tmp_path / "private").mkdir(mode=0o700)
        loaded.save_pretrained(tmp_path / "private")
        loaded.save_pretrained(tmp_path / "private")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()} == {0o640}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700


def test_saving_where_one_stands(extractor: Path, loaded: Extractor[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(extractor)
    loaded.save_pretrained(".")
    assert Path.cwd() == extractor
    assert Path("manifest.json").is_file()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, loaded: Extractor[Any]) -> None:
    model = loaded._own_base().model
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if "lora_B" in name).fill_(float("nan"))
    with pytest.raises(ArtifactError, match="not finite"):
        loaded.save_pretrained(tmp_path / "ext")
    assert not (tmp_path / "ext").exists()


# ----------------------------------------------------------------------------------------------------- full disks


class FailingWriter:
    """Raises what a library raises when the disk is full."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: Any, **__: Any) -> None:
        raise self.error


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("library", ["safetensors", "tokenizers", "os", "fsync"])
def test_a_full_disk(
    library: str, old: bool, extractor: Path, tmp_path: Path, loaded: Extractor[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = extractor if old else tmp_path / "new"
    before = contents(place)
    no_room = OSError(errno.ENOSPC, "No space left on device")
    if library == "safetensors":
        error: Exception = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        monkeypatch.setattr("peft.peft_model.safe_save_file", FailingWriter(error))
    elif library == "tokenizers":
        monkeypatch.setattr(
            type(loaded._own_base().tokenizer), "save_pretrained", FailingWriter(Exception(str(no_room)))
        )
    elif library == "fsync":
        monkeypatch.setattr(os, "fsync", FailingWriter(no_room))
    else:
        monkeypatch.setattr(Path, "write_text", FailingWriter(no_room))
    with pytest.raises(ArtifactError, match="No space left on device"):
        loaded.save_pretrained(place)
    assert contents(place) == before
    assert [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits on the size of files")
@pytest.mark.parametrize("limit", [1, 1000, 3000, 6000])
def test_files_that_cannot_grow(limit: int, tmp_path: Path, loaded: Extractor[Any]) -> None:
    """The libraries' own errors, as far as the system lets files grow."""
    import resource

    def save() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(ArtifactError):
            loaded.save_pretrained(tmp_path / "ext")
        assert list(tmp_path.iterdir()) == []

    assert in_child(save) == 0


# ----------------------------------------------------------------------------------------------------- kill -9


def in_child(function: Any) -> int:
    """The exit status of a fork that runs `function`: negative for a signal."""
    pid = os.fork()
    if not pid:
        try:
            function()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a child to kill")
@pytest.mark.parametrize("exchange", [True, False])
def test_killed_at_any_point_an_extractor_is_there_and_nothing_is_lost(
    exchange: bool, extractor: Path, untrained: Extractor[Any], loaded: Extractor[Any]
) -> None:
    """kill -9 before every single thing that Python does to a file, until a save gets through."""
    (extractor / "notes.txt").write_text("mine")
    parent = str(extractor.parent)
    number, statuses = 0, set()
    while 0 not in statuses:
        number += 1
        assert number < 500
        statuses.add(in_child(lambda number=number: killed_at(number, parent, exchange, untrained, extractor)))
        manifest = load_manifest(extractor)  # old or new, and whole
        assert (extractor / "adapter_model.safetensors").exists() == manifest.adapter
        assert (extractor / "notes.txt").read_text() == "mine"
        loaded.save_pretrained(extractor)
        assert load_manifest(extractor).adapter
        assert (extractor / "notes.txt").read_text() == "mine"
        assert [entry.name for entry in extractor.parent.iterdir()] == [extractor.name]
    assert statuses == {-signal.SIGKILL, 0}
    assert number > 20


def killed_at(number: int, parent: str, exchange: bool, extractor: Extractor[Any], place: Path) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod"):
            count += any(
                isinstance(value, str | os.PathLike) and os.fspath(value).startswith(parent) for value in arguments
            )
            if count >= number:
                os.kill(os.getpid(), signal.SIGKILL)

    if not exchange:
        atomic._exchanged = lambda first, second: False  # type: ignore[assignment]
    sys.addaudithook(hook)
    extractor.save_pretrained(place)


def test_what_is_listed_is_what_is_there(pristine: Path) -> None:
    content = json.loads((pristine / "manifest.json").read_text(encoding="utf-8"))
    found = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in contents(pristine).items()
        if name != "manifest.json"
    }
    assert content["files"] == found
