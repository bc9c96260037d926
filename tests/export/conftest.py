"""A tiny tuned extractor on Qwen3's own tokenizer, which llama.cpp's converter knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from transformers import Qwen3Config, Qwen3ForCausalLM, set_seed

from extractft import Extractor, LoRAConfig, TrainingConfig


class Order(BaseModel):
    """An order."""

    item: str
    kind: Literal["a", "b"] = "a"
    note: str | None = None


ROWS = [
    ("tea for b", Order(item="tea", kind="b")),
    ("rice now", Order(item="rice", note="now")),
    ("one 茶", Order(item="茶")),
    ("salt b", Order(item="salt", kind="b")),
]
CONFIG = TrainingConfig(
    learning_rate=2e-2,
    num_train_epochs=40,
    per_device_train_batch_size=4,
    warmup_steps=0,
    eval_fraction=0,
    seed=1,
    lora=LoRAConfig(r=8, lora_dropout=0.0),
)


def small_qwen3(vocab_size: int, *, seed: int = 0) -> Qwen3ForCausalLM:
    """A tiny random Qwen3. Its heads are as wide as the real ones: transformers reads no other width out of a GGUF."""
    set_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=128,
        max_position_embeddings=4096,
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=151645,
        pad_token_id=151643,
    )
    model = Qwen3ForCausalLM(config)
    model.train(False)
    return model


@pytest.fixture(scope="session")
def qwen3_base(tmp_path_factory: pytest.TempPathFactory, qwen3_tokenizer: Any) -> Path:
    """A tiny random Qwen3 with the real tokenizer."""
    directory = tmp_path_factory.mktemp("qwen3-base")
    small_qwen3(len(qwen3_tokenizer)).save_pretrained(directory)
    qwen3_tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tuned(qwen3_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved extractor on it that has learned its rows."""
    path = tmp_path_factory.mktemp("tuned") / "extractor"
    Extractor.fit(Order, ROWS, base_model=qwen3_base, config=CONFIG).save_pretrained(path)
    return path


@pytest.fixture
def extractor(tuned: Path) -> Extractor[Order]:
    """The extractor, loaded anew: a test may change it."""
    return Extractor.from_pretrained(tuned, schema=Order)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows that it has learned, as a file."""
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [json.dumps({"text": text, "output": output.model_dump()}) for text, output in ROWS]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file
