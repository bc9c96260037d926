"""What a run left is not replaced unless somebody says so, a good run says nothing, and what cannot load is not saved."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, LoRAConfig, TrainingConfig
from extractft.errors import SchemaError, TrainingError
from extractft.storage import LOCK_FILE, tree_digests

CONFIG = TrainingConfig(
    num_train_epochs=1,
    eval_fraction=0,
    per_device_train_batch_size=4,
    lora=LoRAConfig(r=2, lora_dropout=0),
    generation=GenerationConfig(max_new_tokens=16, keep_truncated=True),
)


class Order(BaseModel):
    item: str
    note: str | None = None


ROWS = [("tea", Order(item="tea")), ("rice now", Order(item="rice", note="now")), ("salt", Order(item="salt"))]


def fit(tiny_base: Path, rows: Any = ROWS, config: TrainingConfig = CONFIG, **more: Any) -> Extractor[Order]:
    return Extractor.fit(Order, rows, base_model=str(tiny_base), config=config, **more)


@pytest.fixture(scope="module")
def finished(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished") / "run"
    fit(tiny_base, output_dir=place)
    return place


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.parametrize("left", ["all", "no extractor", "the extractor alone"])
def test_a_finished_run_is_not_replaced_in_silence(run: Path, tiny_base: Path, left: str) -> None:
    if left == "no extractor":
        shutil.rmtree(run / "extractor")
    if left == "the extractor alone":
        for entry in run.iterdir():
            if entry.name != "extractor":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    before = tree_digests(run)
    with pytest.raises(TrainingError, match="expected no finished run") as caught:
        fit(tiny_base, output_dir=run)
    assert (str(run / "extractor") in str(caught.value)) == (left != "no extractor")
    advice = caught.value.__notes__[0]
    assert ("resume=True" in advice) == (left != "the extractor alone")
    assert "overwrite=True" in advice
    assert {**tree_digests(run), LOCK_FILE: ""} == {**before, LOCK_FILE: ""}


def test_an_extractor_without_its_run_is_not_replaced_by_resuming(run: Path, tiny_base: Path) -> None:
    (run / "run.json").unlink()
    (run / "result.json").unlink()
    shutil.rmtree(run / "best")
    with pytest.raises(TrainingError, match="expected no finished run"):
        fit(tiny_base, output_dir=run, resume=True)


def test_a_finished_run_gives_its_extractor_when_resumed(run: Path, tiny_base: Path) -> None:
    shutil.rmtree(run / "extractor")
    best = tree_digests(run / "best")
    again = fit(tiny_base, output_dir=run, resume=True)
    assert tree_digests(run / "best") == best
    assert again.training_result is not None
    assert (run / "extractor" / "manifest.json").exists()


def test_a_finished_run_is_replaced_when_asked(run: Path, tiny_base: Path) -> None:
    before = tree_digests(run)
    fit(tiny_base, ROWS[:2], config=CONFIG.replace(seed=5), output_dir=run, overwrite=True)
    after = tree_digests(run)
    for file in ("run.json", "best/adapter_model.safetensors", "extractor/adapter_model.safetensors"):
        assert after[file] != before[file]


def test_an_interrupted_run_is_not_replaced_when_asked(run: Path, tiny_base: Path) -> None:
    (run / "result.json").unlink()
    (run / "best").rename(run / "checkpoint-1")
    with pytest.raises(TrainingError, match="expected no interrupted run"):
        fit(tiny_base, output_dir=run, overwrite=True)


def test_what_could_not_be_loaded_is_not_saved(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = Extractor.from_base(Order, base_model=str(tiny_base))
    stored = dict(untrained.schema.to_dict())
    monkeypatch.setattr(type(untrained.schema), "to_dict", lambda self: stored | {"tree": {"kind": "unheard of"}})
    with pytest.raises(SchemaError, match="not be loaded again"):
        untrained.save_pretrained(tmp_path / "extractor")
    assert not (tmp_path / "extractor").exists()


@pytest.mark.parametrize("settings", [{}, {"dtype": "bfloat16"}, {"gradient_checkpointing": True}])
def test_a_good_run_says_nothing(
    tiny_base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], settings: dict[str, Any]
) -> None:
    generation = CONFIG.generation.replace(merge_adapter=True)
    config = CONFIG.replace(eval_fraction=0.3, generation=generation, **settings)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        fit(tiny_base, [*ROWS, ("oil", Order(item="oil"))], config=config).save_pretrained(tmp_path / "one")
        fit(tiny_base, config=CONFIG.replace(**settings), init_adapter=tmp_path / "one")
        for dtype in ("auto", "int8"):
            extractor = Extractor.from_pretrained(tmp_path / "one", schema=Order, dtype=dtype)
            list(extractor.extract_many(["tea", "rice"]))
            list(extractor.inspect_many(["tea"]))
        extractor.evaluate(ROWS)
        extractor.calibrate(ROWS)
        list(Extractor.from_base(Order, base_model=str(tiny_base), generation=CONFIG.generation).extract_many(["tea"]))
    assert [f"{warning.category.__name__}: {warning.message}" for warning in given] == []
    assert capfd.readouterr() == ("", "")
