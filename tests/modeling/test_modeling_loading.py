from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from extractft.errors import ArtifactMismatchError, ArtifactNotFoundError, ConfigError
from extractft.modeling import load_model, load_tokenizer, resolve_base_model
from extractft.testing import tiny_model

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def edited(saved_model: Path, tmp_path: Path) -> Callable[..., str]:
    """A copy of the model with its weights or configuration changed."""

    def edit(*, weights: Edit | None = None, config: Edit | None = None) -> str:
        directory = tmp_path / "edited"
        shutil.copytree(saved_model, directory)
        if weights:
            tensors = load_file(directory / "model.safetensors")
            weights(tensors)
            save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        if config:
            content = json.loads((directory / "config.json").read_text())
            config(content)
            (directory / "config.json").write_text(json.dumps(content))
        return str(directory)

    return edit


def load(path: str, **options: Any) -> Any:
    return load_model(resolve_base_model(path), device="cpu", **options)


def test_loads_every_weight(saved_model: Path) -> None:
    model = load(str(saved_model))
    original = tiny_model()
    assert not model.training
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), original.parameters(), strict=True))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight  # tied, and not in the file


def test_dtype(saved_model: Path) -> None:
    assert load(str(saved_model)).dtype == torch.float32
    assert load(str(saved_model), dtype="bfloat16").dtype == torch.bfloat16


def test_threads_do_not_disturb_each_other(saved_model: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(load, [str(saved_model)] * 8))
    original = tiny_model()
    for model in models:
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), original.parameters(), strict=True))


def test_wrong_dtype_is_a_wrong_setting(saved_model: Path) -> None:
    with pytest.raises(ConfigError, match="int8"):
        load(str(saved_model), dtype="int8")


def test_a_missing_weight_is_never_drawn(edited: Callable[..., str]) -> None:
    path = edited(weights=lambda tensors: tensors.pop("model.layers.0.mlp.up_proj.weight"))
    with pytest.raises(ArtifactMismatchError, match=r"1 missing: model\.layers\.0\.mlp\.up_proj\.weight") as caught:
        load(path)
    assert "never initialised at random" in caught.value.__notes__[0]


def test_a_stray_weight(edited: Callable[..., str]) -> None:
    path = edited(weights=lambda tensors: tensors.update({"model.layers.7.extra.weight": torch.zeros(2)}))
    with pytest.raises(ArtifactMismatchError, match=r"1 unexpected: model\.layers\.7\.extra\.weight"):
        load(path)


def test_a_weight_of_another_shape(edited: Callable[..., str]) -> None:
    path = edited(config=lambda config: config.update(intermediate_size=32))
    with pytest.raises(ArtifactMismatchError):
        load(path)


def test_an_unknown_architecture(edited: Callable[..., str]) -> None:
    path = edited(config=lambda config: config.update(model_type="from_the_future"))
    with pytest.raises(ArtifactMismatchError, match="from_the_future"):
        load(path)


def test_code_of_the_model_is_never_run(edited: Callable[..., str]) -> None:
    auto_map = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    path = edited(config=lambda config: config.update(model_type="own_code", auto_map=auto_map))
    Path(path, "code.py").write_text("raise SystemExit('code of the model has run')")
    with pytest.raises(ArtifactMismatchError):
        load(path)


def test_pickles_are_never_read(saved_model: Path, tmp_path: Path) -> None:
    directory = tmp_path / "pickled"
    shutil.copytree(saved_model, directory, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(load_file(saved_model / "model.safetensors"), directory / "pytorch_model.bin")
    with pytest.raises(ArtifactNotFoundError, match="pickled ones are never read"):
        load(str(directory))


def test_damaged_weights(edited: Callable[..., str]) -> None:
    path = edited()
    Path(path, "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(ArtifactMismatchError):
        load(path)


def test_tokenizer(saved_model: Path) -> None:
    tokenizer = load_tokenizer(resolve_base_model(str(saved_model)))
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.backend_tokenizer.get_vocab_size() == 261
    assert tokenizer.chat_template


@pytest.mark.parametrize("broken", ["missing", "damaged"])
def test_no_tokenizer(saved_model: Path, tmp_path: Path, broken: str) -> None:
    directory = tmp_path / "mute"
    shutil.copytree(saved_model, directory, ignore=shutil.ignore_patterns("tokenizer*", "chat_template*"))
    if broken == "damaged":
        (directory / "tokenizer.json").write_text("{")
        (directory / "tokenizer_config.json").write_text("{")
    with pytest.raises(ArtifactNotFoundError, match="Expected a tokenizer"):
        load_tokenizer(resolve_base_model(str(directory)))
