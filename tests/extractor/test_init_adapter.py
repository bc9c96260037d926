"""Going on from a saved extractor, which brings its schema, base model, columns and prompt along."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extractor, LoRAConfig, PromptConfig, TrainingConfig
from extractft.artifact import load_manifest
from extractft.errors import ArtifactMismatchError, ArtifactNotFoundError, DatasetError, SchemaError

CONFIG = TrainingConfig(
    num_train_epochs=1,
    eval_fraction=0,
    lora=LoRAConfig(r=3, lora_dropout=0),
    prompt=PromptConfig(instructions="Take it from the first line.", omit_defaults=False),
)
COLUMNS = {"text": "complaint", "item": "thing"}


class Order(BaseModel):
    """An order of something."""

    item: str
    note: str | None = None


class Other(BaseModel):
    item: int


def table(path: Path, *columns: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, ["tea now", "tea", "now"], ["rice", "rice", ""], ["salt", "salt", ""]])
    return path


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved")
    rows = table(place / "rows.csv", "complaint", "thing", "note")
    extractor = Extractor.fit(Order, rows, base_model=str(tiny_base), config=CONFIG, columns=COLUMNS)
    extractor.save_pretrained(place / "extractor")
    return place / "extractor"


def go_on(saved: Path, data: Any, schema: Any = None, **more: Any) -> Extractor[Any]:
    config = TrainingConfig(num_train_epochs=1, eval_fraction=0)
    return Extractor.fit(schema, data, config=config, init_adapter=saved, **more)


def test_everything_comes_from_the_extractor(saved: Path, tmp_path: Path) -> None:
    rows = table(tmp_path / "new.csv", "complaint", "thing", "note")
    go_on(saved, rows).save_pretrained(tmp_path / "next")
    before, after = load_manifest(saved), load_manifest(tmp_path / "next")
    assert after.schema_data == before.schema_data
    assert after.base_model == before.base_model
    assert after.columns == before.columns == COLUMNS
    assert after.system_prompt == before.system_prompt
    assert (after.config.prompt, after.config.lora) == (CONFIG.prompt, CONFIG.lora)
    again = Extractor.from_pretrained(tmp_path / "next")
    again.save_pretrained(tmp_path / "again")
    assert load_manifest(tmp_path / "again").columns == COLUMNS


def test_the_class_of_the_user_serves_as_well(saved: Path) -> None:
    extractor = go_on(saved, [("tea", Order(item="tea"))], Order)
    assert isinstance(extractor.extract("tea"), Order)
    assert extractor.schema.omit_defaults is False
    with pytest.raises(ArtifactMismatchError, match="Expected the schema"):
        go_on(saved, [("1", {"item": 1})], Other)


def test_its_columns_do_not_get_in_the_way(saved: Path, tmp_path: Path) -> None:
    rows = table(tmp_path / "new.csv", "text", "item", "note")
    with pytest.raises(DatasetError, match="complaint") as caught:
        go_on(saved, rows)
    assert any("columns={}" in note for note in caught.value.__notes__)
    assert go_on(saved, rows, columns={})._provenance.columns == {}
    assert go_on(saved, [("tea", {"item": "tea"})])._provenance.columns == COLUMNS


def test_another_base_model_is_refused(saved: Path, tmp_path: Path) -> None:
    from extractft.testing import byte_tokenizer, tiny_model

    tiny_model(num_hidden_layers=2).save_pretrained(tmp_path / "other")
    byte_tokenizer().save_pretrained(tmp_path / "other")
    with pytest.raises(ArtifactMismatchError, match="Expected base model"):
        go_on(saved, [("tea", {"item": "tea"})], base_model=str(tmp_path / "other"))


def test_without_an_extractor_there_has_to_be_a_schema(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="expected a schema, found None"):
        Extractor.fit(None, [("tea", {"item": "tea"})], base_model=str(tiny_base))
    with pytest.raises(ArtifactNotFoundError):
        go_on(tmp_path / "nowhere", [("tea", {"item": "tea"})])


def test_the_default_base_model_is_that_of_the_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def resolve(name: str, **_: Any) -> Any:
        asked.append(name)
        raise ArtifactNotFoundError("not here")

    monkeypatch.setattr("extractft.extractor.preflight.resolve_base_model", resolve)
    with pytest.raises(ArtifactNotFoundError):
        Extractor.fit(Order, [("tea", {"item": "tea"})])
    assert asked == ["Qwen/Qwen3-0.6B"]
