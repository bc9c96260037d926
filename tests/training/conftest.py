"""Rows of token ids and adapted tiny models of several families, made on the spot."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from extractft.config import PROJECTIONS
from extractft.training import TrainingRow

SIZES = {
    "vocab_size": 264,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
FAMILIES: dict[str, Callable[[], Any]] = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=True)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(
            **SIZES,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=7,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
    "granite": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=16, query_pre_attn_scalar=16)),
    "lfm2": lambda: Lfm2ForCausalLM(Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])),
}


@pytest.fixture(scope="session")
def adapted() -> Callable[..., Any]:
    """`adapted("qwen3", dropout=0.0)`: a PEFT model whose adapter is not zero anywhere."""

    def make(family: str = "qwen3", *, dropout: float = 0.0, moved: bool = True) -> Any:
        torch.manual_seed(0)
        targets = "all-linear" if family == "lfm2" else list(PROJECTIONS)
        config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=targets)
        model = get_peft_model(FAMILIES[family](), config)
        if moved:
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.1)
        return model

    return make


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., tuple[TrainingRow, ...]]:
    """`make_rows(4, prefix=20)`: rows of random ids and lengths behind one prefix."""

    def make(
        count: int, *, prefix: int = 20, prompt: int = 30, completion: int = 12, seed: int = 0
    ) -> tuple[TrainingRow, ...]:
        generator = random.Random(seed)

        def ids(length: int) -> tuple[int, ...]:
            return tuple(generator.randrange(256) for _ in range(length))

        start = ids(prefix)
        return tuple(
            TrainingRow(start + ids(generator.randint(1, prompt)), (*ids(generator.randint(0, completion - 1)), 258))
            for _ in range(count)
        )

    return make
