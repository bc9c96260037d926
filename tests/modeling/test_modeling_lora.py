from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from extractft.config import LoRAConfig, TrainingConfig
from extractft.errors import ArtifactMismatchError, ArtifactNotFoundError, ConfigError
from extractft.modeling import attach_lora, count_parameters, load_adapter
from extractft.testing import tiny_model

LORA = LoRAConfig(r=4)
IDS = torch.arange(30)[None]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def adapter_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: p for name, p in model.named_parameters() if "lora_" in name}


def trained(seed: int = 0) -> PeftModel:
    """An adapter that does something, as training would leave it."""
    model = attach_lora(tiny_model(), LORA, seed=seed)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in adapter_of(model).values():
            parameter.normal_(0, 0.1, generator=generator)
    return model.eval()


def test_notebook_settings_on_qwen3_0_6b() -> None:
    """The numbers that PEFT prints for the notebook this recipe is known from."""
    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=1024,
        intermediate_size=3072,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
        adapted = attach_lora(model, TrainingConfig.notebook().lora, seed=0)
    assert count_parameters(adapted) == (5_046_272, 601_096_192)


def test_changes_nothing_until_trained() -> None:
    base = tiny_model()
    before = logits(base)
    assert torch.equal(logits(attach_lora(base, LORA, seed=0).eval()), before)


def test_only_the_adapter_is_trained() -> None:
    model = attach_lora(tiny_model(), LORA, seed=0)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == set(adapter_of(model))
    assert count_parameters(model) == model.get_nb_trainable_parameters()


def test_seed_decides_and_nothing_else_is_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = adapter_of(attach_lora(tiny_model_without_seeding(), LORA, seed=1))
    assert torch.equal(torch.rand(3), expected)
    again = adapter_of(attach_lora(tiny_model(), LORA, seed=1))
    other = adapter_of(attach_lora(tiny_model(), LORA, seed=2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def tiny_model_without_seeding() -> Any:
    state = torch.get_rng_state()
    model = tiny_model()
    torch.set_rng_state(state)
    return model


def test_adapter_is_float32_on_a_bfloat16_base() -> None:
    model = attach_lora(tiny_model().to(torch.bfloat16), LORA, seed=0)
    assert {p.dtype for p in adapter_of(model).values()} == {torch.float32}
    assert model(IDS).logits.dtype == torch.bfloat16
    full = adapter_of(attach_lora(tiny_model(), LORA, seed=0))
    assert all(torch.allclose(p, full[name], rtol=1e-2) for name, p in adapter_of(model).items())


def test_all_linear_leaves_the_head_alone() -> None:
    model = attach_lora(tiny_model(), LoRAConfig(r=4, target_modules="all-linear"), seed=0)
    assert set(adapter_of(model)) == set(adapter_of(attach_lora(tiny_model(), LORA, seed=0)))


def test_layers_of_other_architectures() -> None:
    base = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2))
    with pytest.raises(ConfigError, match=r"linear layers \(c_attn, c_fc, c_proj\), found 'q_proj'") as caught:
        attach_lora(base, LORA, seed=0)
    assert 'target_modules="all-linear"' in caught.value.__notes__[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert adapter_of(attach_lora(base, LoRAConfig(r=4, target_modules=("c_attn",)), seed=0))


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_embeddings_and_head_are_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=f"found '{target}'"):
        attach_lora(tiny_model(), LoRAConfig(target_modules=("q_proj", target)), seed=0)


@pytest.mark.parametrize("target", ["mlp", "norm", "proj", "act_fn"])
def test_only_linear_layers(target: str) -> None:
    with pytest.raises(ConfigError, match=f"found '{target}'"):
        attach_lora(tiny_model(), LoRAConfig(target_modules=(target,)), seed=0)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trained().save_pretrained(str(tmp_path), save_embedding_layers=False)
    return tmp_path


def test_load_gives_the_same_model(saved: Path, recwarn: pytest.WarningsRecorder) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    base = tiny_model()
    torch.manual_seed(7)
    loaded = load_adapter(base, saved)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(logits(loaded), logits(trained()))
    assert not loaded.training
    assert count_parameters(loaded)[0] == 0
    assert [w for w in recwarn if "base_model_name_or_path" in str(w.message)] == []


def test_load_to_go_on_training(saved: Path) -> None:
    loaded = load_adapter(tiny_model(), saved, trainable=True)
    assert loaded.training
    assert count_parameters(loaded) == count_parameters(trained())
    assert torch.equal(logits(loaded.eval()), logits(trained()))


def test_loaded_adapter_is_float32_on_a_bfloat16_base(saved: Path) -> None:
    loaded = load_adapter(tiny_model().to(torch.bfloat16), saved)
    assert all(torch.equal(p, adapter_of(trained())[name]) for name, p in adapter_of(loaded).items())


def edit_weights(saved: Path, edit: Any) -> None:
    weights = load_file(saved / "adapter_model.safetensors")
    edit(weights)
    save_file(weights, saved / "adapter_model.safetensors")


KEY = "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda w: w.pop(KEY), f"no {KEY}"),
        (lambda w: w.update({KEY.replace("layers.0", "layers.9"): torch.zeros(1)}), "a stray .*layers.9"),
        (lambda w: w.update({KEY: torch.zeros(3, 4)}), r"of shape \(3, 4\) instead of \(128, 4\)"),
    ],
)
def test_every_weight_has_its_place(saved: Path, edit: Any, found: str) -> None:
    edit_weights(saved, edit)
    with pytest.raises(ArtifactMismatchError, match=found):
        load_adapter(tiny_model(), saved)


def test_another_base_model(saved: Path) -> None:
    with pytest.raises(ArtifactMismatchError, match="does not fit the base model"):
        load_adapter(tiny_model(num_hidden_layers=2), saved)
    with pytest.raises(ArtifactMismatchError, match="does not fit the base model"):
        load_adapter(GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2)), saved)


@pytest.mark.parametrize("gone", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_file_is_missing(saved: Path, gone: str) -> None:
    (saved / gone).unlink()
    with pytest.raises(ArtifactNotFoundError, match=gone):
        load_adapter(tiny_model(), saved)


def test_pickled_adapter_is_not_read(saved: Path) -> None:
    torch.save(load_file(saved / "adapter_model.safetensors"), saved / "adapter_model.bin")
    (saved / "adapter_model.safetensors").unlink()
    with pytest.raises(ArtifactNotFoundError):
        load_adapter(tiny_model(), saved)


@pytest.mark.parametrize("content", ["{", '{"peft_type": "NOT_KNOWN"}', '{"peft_type": "IA3"}', "{}", "[]"])
def test_broken_configuration(saved: Path, content: str) -> None:
    (saved / "adapter_config.json").write_text(content)
    with pytest.raises(ArtifactMismatchError):
        load_adapter(tiny_model(), saved)


def test_broken_weights(saved: Path) -> None:
    (saved / "adapter_model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ArtifactMismatchError):
        load_adapter(tiny_model(), saved)


def test_settings_of_a_newer_peft_are_not_ignored(saved: Path) -> None:
    content = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**content, "from_the_future": False}))
    assert torch.equal(logits(load_adapter(tiny_model(), saved)), logits(trained()))
    (saved / "adapter_config.json").write_text(json.dumps({**content, "from_the_future": True}))
    with pytest.raises(ArtifactMismatchError, match="from_the_future"):
        load_adapter(tiny_model(), saved)
