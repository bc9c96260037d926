"""Every file of a saved extractor, damaged in many ways: an ExtractFTError, never a raw one or a silent load."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from extractft import Extractor
from extractft.artifact import load_manifest
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError, ExtractFTError

HASHED = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "manifest.json",
    "tokenizer.json",
    "tokenizer_config.json",
]


def flip(position: float) -> Callable[[bytes], bytes]:
    def flipped(content: bytes) -> bytes:
        at = int(position * (len(content) - 1))
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return flipped


def deep(_: bytes) -> bytes:
    return b"[" * 200_000 + b"]" * 200_000


def huge_numbers(content: bytes) -> bytes:
    return content.replace(b": 1,", b": 1e999,").replace(b": 32,", b": " + b"9" * 5000 + b",") + b" "


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "a byte less": lambda content: content[:-1],
    "a byte more": lambda content: content + b"\0",
    "first bit": flip(0),
    "bit in the middle": flip(0.5),
    "bit near the end": flip(0.9),
    "zeros": lambda content: bytes(len(content)),
    "no UTF-8": lambda content: b"\xff\xfe" + content[2:],
    "a list": lambda content: b"[]",
    "null": lambda content: b"null",
    "a string": lambda content: b'"text"',
    "a number": lambda content: b"12345678901234567890",
    "an empty object": lambda content: b"{}",
    "deep": deep,
    "huge numbers": huge_numbers,
    "other line ends": lambda content: content.replace(b"\n", b"\r\n") + b"\r\n",
}


@pytest.mark.parametrize("name", HASHED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_refused_by_name(extractor: Path, old_base: Path, name: str, damage: str) -> None:
    file = extractor / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    if name == "manifest.json" and damage in ("a byte less", "other line ends"):
        load_manifest(extractor)  # the same content, laid out differently
        return
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")) as caught:
        Extractor.from_pretrained(extractor, base_model=old_base)
    assert caught.value.__notes__


@pytest.mark.parametrize("name", HASHED)
def test_missing_files_are_refused_by_name(extractor: Path, old_base: Path, name: str) -> None:
    (extractor / name).unlink()
    with pytest.raises(ArtifactNotFoundError, match=name.replace(".", r"\.")):
        Extractor.from_pretrained(extractor, base_model=old_base)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("kind", ["directory", "pipe"])
@pytest.mark.parametrize("name", HASHED)
def test_something_else_in_the_place_of_a_file(extractor: Path, old_base: Path, name: str, kind: str) -> None:
    (extractor / name).unlink()
    if kind == "pipe":
        os.mkfifo(extractor / name)
    else:
        (extractor / name).mkdir()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        Extractor.from_pretrained(extractor, base_model=old_base)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"])
def test_cut_short_says_so(extractor: Path, old_base: Path, name: str) -> None:
    content = (extractor / name).read_bytes()
    (extractor / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=f"{name} in .* is cut short: expected {len(content)} bytes") as caught:
        Extractor.from_pretrained(extractor, base_model=old_base)
    assert caught.value.__notes__ == ["Copy the whole extractor again."]


def test_the_adapter_of_another_run(extractor: Path, old_base: Path) -> None:
    file = extractor / "adapter_model.safetensors"
    other = {name: torch.randn_like(tensor) for name, tensor in load_file(file).items()}
    save_file(other, file, metadata={"format": "pt"})
    with pytest.raises(ArtifactMismatchError, match=r"adapter_model\.safetensors .* is not the file") as caught:
        Extractor.from_pretrained(extractor, base_model=old_base)
    assert "SHA-256" in caught.value.expected


def test_a_shorter_file_that_is_whole_is_another_one(extractor: Path, old_base: Path) -> None:
    file = extractor / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text())))
    with pytest.raises(ArtifactMismatchError, match=r"adapter_config\.json in .* is not the file"):
        Extractor.from_pretrained(extractor, base_model=old_base)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = False
    for key, item in pairs:
        found = True
        yield from leaves(item, (*path, key))
    if not found:
        yield path


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return value + "x" if isinstance(value, str) else 1


def test_no_entry_of_the_manifest_can_be_changed(extractor: Path) -> None:
    file = extractor / "manifest.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    paths = list(leaves(whole))
    assert len(paths) > 90
    for path in paths:
        content = json.loads(file.read_text(encoding="utf-8"))
        place = content
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = changed(place[path[-1]])
        (extractor / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ArtifactError):
            load_manifest(extractor)
        file.write_text(json.dumps(whole), encoding="utf-8")
    load_manifest(extractor)


def test_no_entry_of_the_manifest_can_be_left_out(extractor: Path) -> None:
    file = extractor / "manifest.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    for name in whole:
        file.write_text(json.dumps({k: v for k, v in whole.items() if k != name}), encoding="utf-8")
        with pytest.raises(ArtifactError):
            load_manifest(extractor)


@pytest.mark.parametrize("version", [0, 1, -1, True, 2.5, "2", None])
def test_another_format_is_no_way_around_the_hashes(extractor: Path, version: Any) -> None:
    content = json.loads((extractor / "manifest.json").read_text(encoding="utf-8"))
    (extractor / "manifest.json").write_text(json.dumps({**content, "format_version": version}), encoding="utf-8")
    with pytest.raises(ArtifactError):
        load_manifest(extractor)


@pytest.mark.parametrize("name", ["added_tokens.json", "vocab.json", "special_tokens_map.json", "merges.txt"])
def test_a_file_that_was_not_saved_and_would_be_read(extractor: Path, old_base: Path, name: str) -> None:
    (extractor / name).write_text("{}")
    with pytest.raises(ArtifactError, match=f"found others beside them: {name}"):
        Extractor.from_pretrained(extractor, base_model=old_base)


def test_an_adapter_beside_an_untrained_extractor(tmp_path: Path, pristine: Path, old_base: Path) -> None:
    loaded = Extractor.from_pretrained(pristine, base_model=old_base)
    Extractor.from_base(loaded.schema, base_model=old_base).save_pretrained(tmp_path / "untrained")
    shutil.copy(pristine / "adapter_model.safetensors", tmp_path / "untrained")
    with pytest.raises(ArtifactError, match="Expected an untrained extractor"):
        Extractor.from_pretrained(tmp_path / "untrained")


def test_card_and_notes_are_for_people(extractor: Path, old_base: Path) -> None:
    (extractor / "README.md").write_text("my own words")
    (extractor / "notes.txt").write_text("mine")
    Extractor.from_pretrained(extractor, base_model=old_base)
    (extractor / "README.md").unlink()
    Extractor.from_pretrained(extractor, base_model=old_base)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "tokenizer.json", "manifest.json"])
def test_files_that_may_not_be_read(pristine: Path, old_base: Path, name: str) -> None:
    """As somebody else than who saved it: a service account, or a container."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        copy = Path(shutil.copytree(pristine, Path(place) / "extractor"))
        (copy / name).chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(ArtifactError, match=f"{name} .* may not be read: Permission denied"):
                load_manifest(copy)
        finally:
            os.seteuid(0)


@given(
    name=st.sampled_from(HASHED),
    start=st.floats(0, 1),
    removed=st.integers(0, 40),
    inserted=st.binary(max_size=40),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_edit_of_any_file_is_noticed(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, name: str, start: float, removed: int, inserted: bytes
) -> None:
    whole = (pristine / name).read_bytes()
    at = int(start * len(whole))
    edited = whole[:at] + inserted + whole[at + removed :]
    copy = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("edited") / "extractor"))
    (copy / name).write_bytes(edited)
    if name == "manifest.json" and same_json(edited, whole):
        load_manifest(copy)
    elif edited != whole:
        with pytest.raises(ArtifactError):
            load_manifest(copy)


def same_json(first: bytes, second: bytes) -> bool:
    try:
        first_form, second_form = (json.dumps(json.loads(content), sort_keys=True) for content in (first, second))
    except (ValueError, RecursionError):
        return False
    return first_form == second_form


def test_replaced_while_it_is_loaded(extractor: Path, old_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading reads several files; part of an older extractor and part of a newer one is no extractor."""
    from extractft.extractor import loaded_model as module

    real = module.LoadedModel.restored

    def slow(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        again = json.loads((extractor / "manifest.json").read_text(encoding="utf-8"))
        assert again["format_version"] == 3
        other = Extractor.from_base(loaded.schema, base_model=old_base)
        other.save_pretrained(extractor)
        return result

    loaded = Extractor.from_pretrained(extractor, base_model=old_base)
    monkeypatch.setattr(module.LoadedModel, "restored", slow)
    with pytest.raises(ArtifactError, match="was replaced while it was loaded"):
        Extractor.from_pretrained(extractor, base_model=old_base)


# ------------------------------------------------------------------------------------------ without hashes: format 1


def test_an_extractor_of_format_1_loads_and_is_saved_anew(old_extractor: Path, old_base: Path, tmp_path: Path) -> None:
    loaded = Extractor.from_pretrained(old_extractor, base_model=old_base)
    manifest = load_manifest(old_extractor)
    assert (manifest.format_version, manifest.files, manifest.chat_frame) == (1, {}, None)
    loaded.save_pretrained(tmp_path / "new")
    again = Extractor.from_pretrained(tmp_path / "new")
    assert load_manifest(tmp_path / "new").format_version == 3
    assert again.render("tea for b") == loaded.render("tea for b")
    old, new = (load_file(path / "adapter_model.safetensors") for path in (old_extractor, tmp_path / "new"))
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_what_format_1_kept_of_training_rows_is_neither_read_nor_kept(old_extractor: Path, old_base: Path) -> None:
    """It gave values of the rows away: names could be tried out on it."""
    file = old_extractor / "drafts.safetensors"
    assert file.exists()
    file.write_bytes(b"not read")
    Extractor.from_pretrained(old_extractor, base_model=old_base).save_pretrained(old_extractor)
    assert not file.exists()
    assert file.name not in load_manifest(old_extractor).files


@pytest.mark.parametrize("name", HASHED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_without_hashes_no_raw_error_escapes(old_extractor: Path, old_base: Path, name: str, damage: str) -> None:
    file = old_extractor / name
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with suppress(ExtractFTError):
        Extractor.from_pretrained(old_extractor, base_model=old_base)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_base_models(old_base: Path, tmp_path: Path, pristine: Path, name: str, damage: str) -> None:
    """Weights and configuration are known by their hash; the tokenizer is the extractor's own."""
    base = Path(shutil.copytree(old_base, tmp_path / "base"))
    (base / name).write_bytes(DAMAGES[damage]((base / name).read_bytes()))
    if name in ("config.json", "model.safetensors"):
        with pytest.raises(ArtifactError):
            Extractor.from_pretrained(pristine, base_model=base)
    else:
        Extractor.from_pretrained(pristine, base_model=base)
    schema = load_manifest(pristine).rebuild_schema()
    with suppress(ExtractFTError):
        Extractor.from_base(schema, base_model=base)
