"""GGUF files by llama.cpp's own converter: what is in them, and that transformers decodes the same records from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.errors import ArtifactError
from extractft.export.gguf_tools import CONVERTER_VARIABLE, QUANTIZER_VARIABLE
from extractft.modeling import load_tokenizer, resolve_base_model
from extractft.testing import byte_tokenizer, tiny_model
from extractft.verification import load_candidate, verify

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONVERTER = Path(__file__).resolve().parents[2] / ".cache" / "gguf-tools" / "convert_hf_to_gguf.py"
ROWS = [("tea for b", {"item": "tea", "kind": "b"}), ("rice now", {"item": "rice"}), ("salt b", {"item": "salt"})]


@pytest.fixture(autouse=True)
def converter(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.environ.get(CONVERTER_VARIABLE):
        if not CONVERTER.exists():
            pytest.fail(f"expected llama.cpp's converter at {CONVERTER}; `make setup` puts it there", pytrace=False)
        monkeypatch.setenv(CONVERTER_VARIABLE, str(CONVERTER))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Extractor[Any]:
    """A tiny tuned Llama with the tokenizer of SmolLM2."""
    directory = tmp_path_factory.mktemp("llama-base")
    tokenizer = load_tokenizer(resolve_base_model("smollm2-135m"))
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    training = TrainingConfig(
        learning_rate=2e-2,
        num_train_epochs=30,
        per_device_train_batch_size=3,
        warmup_steps=0,
        eval_fraction=0,
        lora=LoRAConfig(r=8, lora_dropout=0.0),
    )
    return Extractor.fit(dict[str, str], ROWS, base_model=directory, config=training)


def _text(reader: GGUFReader, key: str) -> str:
    field = reader.get_field(key)
    assert field is not None
    return str(field.contents())


@pytest.mark.parametrize("settings", [{"dtype": "float16"}, {"quantization": "q8_0"}])
def test_a_llama_as_gguf(llama: Extractor[Any], tmp_path: Path, settings: dict[str, Any]) -> None:
    export = llama.export(tmp_path / "out", format="gguf", **settings)
    assert export.weights_file is not None
    reader = GGUFReader(tmp_path / "out" / export.weights_file)
    assert _text(reader, "general.architecture") == "llama"
    assert _text(reader, "tokenizer.ggml.pre") == "smollm"
    assert llama.system_prompt.splitlines()[0] in _text(reader, "tokenizer.chat_template")
    candidate = load_candidate(tmp_path / "out", llama)
    assert candidate.quantized is ("quantization" in settings)
    report = verify(llama, candidate.extractor, ROWS, name=candidate.name, quantized=candidate.quantized)
    assert report.passed, str(report)
    assert report.prompts_equal == 3
    if "dtype" in settings:
        assert report.records_equal == 3
    assert {file.name for file in (tmp_path / "out").iterdir()} == {export.weights_file, "README.md", "export.json"}


def test_a_qwen3_as_gguf(extractor: Extractor[Any], rows: Path, tmp_path: Path) -> None:
    export = extractor.export(tmp_path / "out", format="ollama", dtype="float16")
    assert export.weights_file == "model-f16.gguf"
    reader = GGUFReader(tmp_path / "out" / "model-f16.gguf")
    assert _text(reader, "general.architecture") == "qwen3"
    assert _text(reader, "tokenizer.ggml.pre") == "qwen2"
    written = (tmp_path / "out" / "Modelfile").read_text(encoding="utf-8")
    assert written.startswith("FROM ./model-f16.gguf\n")
    report = verify(extractor, load_candidate(tmp_path / "out", extractor).extractor, rows)
    assert report.passed, str(report)


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "base")
    byte_tokenizer().save_pretrained(tmp_path / "base")
    extractor: Extractor[Any] = Extractor.from_base(dict[str, str], base_model=tmp_path / "base")
    with pytest.raises(ArtifactError, match="converter to GGUF") as caught:
        extractor.export(tmp_path / "out", format="gguf", dtype="float16")
    assert caught.value.__notes__
    assert not (tmp_path / "out").exists()


def test_a_quantizer_gets_the_wide_file_and_leaves_none(
    llama: Extractor[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a double of llama-quantize that copies: the real program is not on every machine."""
    program = tmp_path / "llama-quantize"
    program.write_text('#!/bin/sh\necho "$3" > "$(dirname "$0")/asked"\ncp "$1" "$2"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv(QUANTIZER_VARIABLE, str(program))
    export = llama.export(tmp_path / "out", format="gguf", quantization="q4_k_m")
    assert (tmp_path / "asked").read_text(encoding="utf-8").strip() == "Q4_K_M"
    assert (export.quantized, export.weights_file) == (True, "model-q4_k_m.gguf")
    assert {file.suffix for file in (tmp_path / "out").iterdir()} == {".gguf", ".md", ".json"}
    program.write_text('#!/bin/sh\necho "it broke" >&2\nexit 7\n', encoding="utf-8")
    with pytest.raises(ArtifactError, match="exit code 7") as caught:
        llama.export(tmp_path / "broken", format="gguf", quantization="q4_k_m")
    assert "it broke" in str(caught.value.__notes__)
    assert not (tmp_path / "broken").exists()
