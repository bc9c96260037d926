"""The cookbook's sizes of models: its formula against models of these shapes, its tables against its formula."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from extractft import LoRAConfig
from extractft.modeling import attach_lora
from extractft.training.memory import decoder_weights, recomputed_bytes_per_token, saved_bytes_per_token

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROW = re.compile(r"^\| (\d\.?\d?B) \| ([\d.]+) GiB \| ([\d.]+) GiB \| ([\d.]+) GiB \| ([\d.]+) GiB \| ([\d.]+) \S+ ([\d.]+) GiB \| ([\d.]+) GiB \|$", re.MULTILINE)  # fmt: skip
NAMES = ("0.6B", "1.7B", "4B", "8B")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The names that the block of the page defines."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "cookbook.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (code,) = [block for block in blocks if "def memory" in block]
    namespace: dict[str, Any] = {}
    exec(compile(code, "cookbook.md", "exec", dont_inherit=True), namespace)
    return namespace


def model(shape: tuple[float, int, int, int, int, int], *, layers: int, vocabulary: int) -> Any:
    _, _, hidden, mlp, heads, kv = shape
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=mlp,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv,
            head_dim=128,
            tie_word_embeddings=hidden < 4096,
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_those_of_the_shapes(page: dict[str, Any], name: str) -> None:
    shape = page["SHAPES"][name]
    with torch.device("meta"):
        found = model(shape, layers=shape[1], vocabulary=151936)
    assert sum(p.numel() for p in found.parameters()) / 1e9 == pytest.approx(shape[0], abs=1e-3)


@pytest.mark.parametrize("name", ["0.6B", "1.7B"])
def test_a_token_keeps_what_the_formula_says(page: dict[str, Any], name: str) -> None:
    shape = page["SHAPES"][name]
    _, layers, hidden, mlp, heads, kv = shape
    made = [attach_lora(model(shape, layers=n, vocabulary=512).bfloat16(), LoRAConfig(), seed=0) for n in (1, 2)]
    kept = [saved_bytes_per_token(one) for one in made]
    outputs = (heads + 2 * kv) * 128 + 2 * hidden + 2 * mlp
    layer = kept[1] - kept[0]
    assert layer == pytest.approx(11 * outputs, rel=0.05)
    recomputed = recomputed_bytes_per_token(made[1], 2 * layer, "layers")
    assert recomputed == pytest.approx(2 * hidden * 2 + layer, rel=0.01)
    trained = sum(p.numel() for p in made[1].parameters() if p.requires_grad) / 2 * layers
    assert page["memory"](name)[1] == pytest.approx(trained * 16 / 2**30, abs=0.06)


def test_linear_weights_explain_the_measured_times(page: dict[str, Any]) -> None:
    def weights(name: str) -> float:
        _, layers, *_ = shape = page["SHAPES"][name]
        return decoder_weights(model(shape, layers=1, vocabulary=512)) * layers / 1e6

    assert weights("0.6B") == pytest.approx(440, abs=1)
    assert [round(weights(name) / 106) for name in ("1.7B", "4B")] == [13, 34]
    assert weights("0.6B") / 106 == pytest.approx(4.31 / 1.06, rel=0.05)


@pytest.mark.parametrize("file", ["cookbook.md", "cookbook.zh.md"])
def test_the_table_has_the_numbers_of_the_formula(page: dict[str, Any], file: str) -> None:
    rows = {row[0]: [float(number) for number in row[1:]] for row in ROW.findall((DOCS / file).read_text("utf-8"))}
    assert tuple(rows) == NAMES
    for name, (weights, adapter, kept, recomputed, least, most, cache) in rows.items():
        assert [weights, adapter, kept, recomputed, cache] == page["memory"](name)
        assert least == pytest.approx(weights + adapter + recomputed, abs=0.11)
        assert most == pytest.approx(weights + adapter + kept, abs=0.11)
