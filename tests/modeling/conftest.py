"""A tiny base model on disk, as a directory and as a GGUF file, and a cache of the tests' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from extractft.testing import byte_tokenizer, tiny_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Real weights stay in the machine's own cache, where they are converted once."""
    if request.node.get_closest_marker("real") is None:
        monkeypatch.setenv("EXTRACTFT_CACHE", str(tmp_path / "cache"))
    for name in ("EXTRACTFT_HUB", "USE_MODELSCOPE_HUB", "USE_MODELSCOPE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base") / "tiny"
    tiny_model().save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of one layer, its matrices quantised to 8 bits."""
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    width, heads, inner, tokens = 64, 2, 128, [*sorted(_alphabet()), "ab", "<|im_start|>", "<|im_end|>"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - 2) + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}")
    draw = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        values = draw.normal(0, 0.3, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, 1 + values)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", len(tokens), width)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", width, width)
    for name, shape in {"ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}.items():
        add(f"blk.0.{name}.weight", *shape)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        add(f"{name}.weight", width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _alphabet() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.ByteLevel.alphabet()
