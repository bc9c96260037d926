"""`fit(add=...)`: corrections of a review go into the rows, held-out rows stay held out, both scores are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from extractft import Extractor, LoRAConfig, TrainingConfig
from extractft.artifact import load_manifest
from extractft.data import text_key
from extractft.errors import DatasetError, ReviewError
from extractft.extractor.corrections import load_corrections
from extractft.review import NewItem, ReviewStore
from extractft.schema import Schema

CONFIG = TrainingConfig(num_train_epochs=1, eval_fraction=0.25, lora=LoRAConfig(r=2), tracking={"mode": "off"})


class Order(BaseModel):
    """An order of something."""

    item: str
    note: str | None = None


SCHEMA = Schema.of(Order)
ROWS = [{"id": f"row-{i}", "text": f"thing {i} now", "output": {"item": f"thing {i}"}} for i in range(12)]


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved") / "orders"
    Extractor.fit(Order, ROWS, base_model=str(tiny_base), config=CONFIG).save_pretrained(place)
    return place


@pytest.fixture
def review(tmp_path: Path) -> Path:
    """A review in which a row was corrected, one confirmed and one is new."""
    path = tmp_path / "reviews.db"
    with ReviewStore(path) as store:
        texts = [ROWS[0]["text"], ROWS[1]["text"], "a new thing"]
        store.add_items(
            NewItem(text, {"item": "?", "note": None}, f"row-{i}", "orders") for i, text in enumerate(texts)
        )
        for number, item in [(1, "thing"), (2, "thing 1"), (3, "new thing")]:
            store.decide(number, "Ann", "correct", {"item": item, "note": None}, version=0)
    return path


def held_out_texts(directory: Path, rows: Any) -> set[str]:
    rule = load_manifest(directory).held_out_rule
    assert rule is not None
    return {row["text"] for row in rows if rule.holds(row["text"])}


def test_the_manifest_has_the_rule_and_no_row(saved: Path) -> None:
    manifest = load_manifest(saved)
    assert manifest.held_out is not None
    assert manifest.held_out.rows == 3
    assert len(held_out_texts(saved, ROWS)) == 3
    written = (saved / "manifest.json").read_text()
    assert "thing 1" not in written
    assert Extractor.from_pretrained(saved)._manifest().held_out == manifest.held_out


def test_corrections_of_a_review_are_trained_on_and_both_scores_are_there(
    saved: Path, review: Path, tmp_path: Path
) -> None:
    after = Extractor.fit(None, ROWS, add=review, init_adapter=saved, config=CONFIG)
    assert after.comparison is not None
    assert (
        after.comparison.before.rows
        == after.comparison.after.rows
        == len(held_out_texts(saved, [*ROWS, {"text": "a new thing"}]))
    )
    said = "\n".join(after.comparison.lines())
    assert "before" in said
    assert "after" in said
    after.save_pretrained(tmp_path / "next")
    before, next_one = load_manifest(saved), load_manifest(tmp_path / "next")
    assert before.held_out is not None
    assert next_one.held_out is not None
    assert next_one.held_out.ranges == before.held_out.ranges
    for name in ("schema_fingerprint", "base_model", "system_prompt"):
        assert getattr(next_one, name) == getattr(before, name)


def test_the_same_rows_are_said_to_be_the_same(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[str] = []
    from extractft.extractor import fit as module

    real = module.train

    def spy(model: Any, features: Any, **options: Any) -> Any:
        trained.append(str(len(features)))
        return real(model, features, **options)

    monkeypatch.setattr(module, "train", spy)
    changed = [{**ROWS[3], "output": {"item": "other"}}]
    other_seed = CONFIG.replace(seed=99, eval_fraction=0.5)
    after = Extractor.fit(None, ROWS[::-1], add=changed, init_adapter=saved, config=other_seed)
    assert after.comparison is not None
    assert after.comparison.same_rows
    assert trained == ["9"]


def test_from_scratch_takes_the_settings_and_leaves_the_weights(saved: Path, review: Path) -> None:
    import torch

    config = CONFIG.replace(learning_rate=1e-12)
    fresh = Extractor.fit(None, ROWS, add=review, init_adapter=saved, from_scratch=True, config=config)
    assert fresh.system_prompt == load_manifest(saved).system_prompt
    assert fresh.comparison is not None
    weights = {n: p for n, p in fresh._provenance.weights.model.named_parameters() if "lora_B" in n}  # type: ignore[union-attr]
    assert all(float(torch.max(torch.abs(p.detach()))) < 1e-6 for p in weights.values())
    started = Extractor.fit(None, ROWS, add=review, init_adapter=saved, config=config)
    moved = {n: p for n, p in started._provenance.weights.model.named_parameters() if "lora_B" in n}  # type: ignore[union-attr]
    assert any(float(torch.max(torch.abs(p.detach()))) > 1e-6 for p in moved.values())


def test_corrections_without_an_extractor_to_go_on_from(tiny_base: Path, review: Path) -> None:
    fitted = Extractor.fit(Order, ROWS, add=review, base_model=str(tiny_base), config=CONFIG)
    assert fitted.comparison is None


def test_corrections_out_of_all_kinds_of_places(review: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[4:6]))
    found = load_corrections([path, review], SCHEMA)
    assert [example.output.item for example in found.examples] == [
        "thing 4",
        "thing 5",
        "thing",
        "thing 1",
        "new thing",
    ]
    assert found.ids == ["row-4", "row-5", "row-0", "row-1", "row-2"]
    assert len({text_key(example.text) for example in found.examples}) == 5
    assert len(load_corrections(ROWS, SCHEMA).examples) == 12


def test_a_review_of_several_extractors(review: Path) -> None:
    with ReviewStore(review) as store:
        store.add_items([NewItem("receipt", {"total": 1}, "r", "receipts")])
    with pytest.raises(ReviewError, match="orders, receipts"):
        load_corrections(review, SCHEMA, "another")
    assert len(load_corrections(review, SCHEMA, "orders").examples) == 3


def test_an_empty_review_adds_nothing(tmp_path: Path) -> None:
    ReviewStore(tmp_path / "empty.db").close()
    assert load_corrections(tmp_path / "empty.db", SCHEMA).examples == []


def test_bad_corrections_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "x", "output": {"thing": 1}}\n')
    with pytest.raises(DatasetError, match=r"bad\.jsonl"):
        load_corrections(tmp_path / "bad.jsonl", SCHEMA)
