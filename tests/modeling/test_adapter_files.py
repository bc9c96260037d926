"""Edited adapters are refused by what is in them, without any hash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from extractft.config import LoRAConfig
from extractft.errors import ArtifactError, ArtifactMismatchError
from extractft.modeling import attach_lora, load_adapter
from extractft.testing import tiny_model

LORA = LoRAConfig(r=4)
HUGE = 10**400


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    attach_lora(tiny_model(), LORA, seed=0).save_pretrained(str(tmp_path), save_embedding_layers=False)
    return tmp_path


def edit(saved: Path, **changes: Any) -> None:
    file = saved / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


STRANGE: list[tuple[str, Any]] = [
    ("use_rslora", True),
    ("use_dora", True),
    ("init_lora_weights", "pissa"),
    ("init_lora_weights", "olora"),
    ("init_lora_weights", "gaussian"),
    ("init_lora_weights", False),
    ("alpha_pattern", {"q_proj": 64}),
    ("rank_pattern", {"q_proj": 2}),
    ("exclude_modules", ["q_proj"]),
    ("layers_to_transform", [0]),
    ("layers_pattern", "layers"),
    ("layer_replication", [[0, 1], [0, 1]]),
    ("bias", "all"),
    ("lora_bias", True),
    ("modules_to_save", ["lm_head"]),
    ("trainable_token_indices", [1]),
    ("target_parameters", ["x"]),
    ("loftq_config", {"loftq_bits": 4}),
    ("megatron_config", {}),
    ("peft_type", "IA3"),
    ("peft_type", None),
    ("task_type", "SEQ_CLS"),
    ("task_type", None),
    ("r", 0),
    ("r", -4),
    ("r", 5),
    ("r", 10**9),
    ("r", HUGE),
    ("r", "4"),
    ("r", 4.0),
    ("r", None),
    ("r", True),
    ("lora_alpha", float("nan")),
    ("lora_alpha", float("inf")),
    ("lora_alpha", -32),
    ("lora_alpha", HUGE),
    ("lora_alpha", "32"),
    ("lora_alpha", True),
    ("lora_dropout", float("nan")),
    ("lora_dropout", [0.1]),
    ("target_modules", "(a+)+$"),
    ("target_modules", "all-linear"),
    ("target_modules", []),
    ("target_modules", [["q_proj"]]),
    ("target_modules", {"q_proj": 1}),
    ("target_modules", None),
    ("target_modules", ["q_proj"]),
    ("target_modules", ["nowhere"]),
    ("target_modules", ["lm_head"]),
]


@pytest.mark.parametrize(("name", "value"), STRANGE)
@pytest.mark.parametrize("known", [True, False])
def test_settings_that_are_no_plain_lora(saved: Path, name: str, value: Any, known: bool) -> None:
    edit(saved, **{name: value})
    with pytest.raises(ArtifactMismatchError):
        load_adapter(tiny_model(), saved, config=LORA if known else None)


@pytest.mark.parametrize(
    "changes", [{"lora_alpha": 3200}, {"lora_dropout": 0.5}, {"target_modules": ["q_proj", "v_proj"]}]
)
def test_settings_of_another_training(saved: Path, changes: dict[str, Any]) -> None:
    edit(saved, **changes)
    with pytest.raises(ArtifactMismatchError, match=f"{next(iter(changes))} "):
        load_adapter(tiny_model(), saved, config=LORA)


def test_settings_that_may_differ(saved: Path) -> None:
    edit(saved, base_model_name_or_path="elsewhere", revision="x", peft_version="0.17", inference_mode=False)
    content = json.loads((saved / "adapter_config.json").read_text())
    del content["kasa_config"], content["peft_version"]  # as an older PEFT writes it
    (saved / "adapter_config.json").write_text(json.dumps(content))
    load_adapter(tiny_model(), saved, config=LORA)


def test_every_linear_layer(tmp_path: Path) -> None:
    """PEFT writes down the layers' names."""
    config = LoRAConfig(r=4, target_modules="all-linear")
    attach_lora(tiny_model(), config, seed=0).save_pretrained(str(tmp_path), save_embedding_layers=False)
    load_adapter(tiny_model(), tmp_path, config=config)


WEIGHTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "not finite": lambda tensor: tensor * float("nan"),
    "infinite": lambda tensor: tensor + float("inf"),
    "integers": lambda tensor: tensor.to(torch.int32),
    "bytes": lambda tensor: tensor.to(torch.uint8),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "another rank": lambda tensor: tensor.repeat(2, 1) if tensor.shape[0] == 4 else tensor.repeat(1, 2),
    "flat": lambda tensor: tensor.flatten(),
    "no dimension": lambda tensor: tensor.sum(),
    "nothing": lambda tensor: tensor[:0],
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_are_none(saved: Path, kind: str) -> None:
    file = saved / "adapter_model.safetensors"
    save_file({name: WEIGHTS[kind](tensor).contiguous() for name, tensor in load_file(file).items()}, file)
    with pytest.raises(ArtifactMismatchError):
        load_adapter(tiny_model(), saved)


def test_no_weights_and_a_rank_without_end(saved: Path) -> None:
    save_file({}, saved / "adapter_model.safetensors")
    edit(saved, r=10**12)
    with pytest.raises(ArtifactMismatchError, match="no LoRA weights"):
        load_adapter(tiny_model(), saved)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 8, b"\xff" * 100, b"\x02" + bytes(7) + b"{}", b'\x08\0\0\0\0\0\0\0{"a": 1}']
)
def test_files_that_are_no_weights(saved: Path, content: bytes) -> None:
    (saved / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(ArtifactMismatchError):
        load_adapter(tiny_model(), saved)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_files_that_may_not_be_read(saved: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.name == name:
            raise PermissionError(13, "Permission denied", str(file))
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(ArtifactError, match=f"readable {name} .* Permission denied"):
        load_adapter(tiny_model(), saved)
