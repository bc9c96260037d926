"""Models that the benchmarks make: a base model with a fresh adapter, or random weights of a known shape."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from extractft import TrainingConfig
from extractft.modeling import attach_lora, load_model, resolve_base_model

QWEN3_SHAPE = "qwen3-0.6b-shape"


def build_model(name: str, *, layers: int | None, config: TrainingConfig) -> Any:
    """The base model with a fresh adapter, whose `lora_B` is not zero so that every weight has a gradient."""
    if name == QWEN3_SHAPE:
        torch.manual_seed(0)
        shape = Qwen3Config(
            vocab_size=151936,
            hidden_size=1024,
            intermediate_size=3072,
            num_hidden_layers=layers or 28,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
            max_position_embeddings=40960,
            tie_word_embeddings=True,
        )
        base: Any = Qwen3ForCausalLM(shape)
    else:
        base = load_model(resolve_base_model(name), device=config.device, dtype=config.dtype)
    if config.device != "auto":
        base.to(config.device)
    model = attach_lora(base, config.lora, seed=0)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:
                parameter.normal_(std=1e-3)
    return model
