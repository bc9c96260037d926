"""Verbatim fields, places and confidence, through the whole extractor with a tiny model or a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import torch
from pydantic import BaseModel
from safetensors.torch import load_file

from extractft import Extraction, Extractor, LoRAConfig, TrainingConfig, Verbatim
from extractft.artifact.manifest import content_digest
from extractft.errors import (
    ArtifactError,
    ConfigError,
    DatasetError,
    EmptyTextError,
    ExtractionError,
    InputTooLongError,
    LowConfidenceError,
)
from extractft.prompt import normalize_text
from extractft.testing import scripted_extractor


class Order(BaseModel):
    item: str
    note: str | None = None


class Copied(BaseModel):
    item: Annotated[str, Verbatim()]
    words: list[Annotated[str, Verbatim()]] = []
    note: Annotated[str | None, Verbatim(normalized=True)] = None


class OrderCopied(BaseModel):
    item: Annotated[str, Verbatim()]
    note: Annotated[str | None, Verbatim()] = None


OrderCopied.__name__ = "Order"
ROWS = [
    ("tea", Order(item="tea")),
    ("rice now", Order(item="rice", note="now")),
    ("one 茶", Order(item="茶")),
    ("salt", Order(item="salt")),
]
CONFIG = TrainingConfig(
    learning_rate=2e-2,
    num_train_epochs=60,
    warmup_steps=0,
    seed=1,
    early_stopping_patience=None,
    lora=LoRAConfig(r=8, lora_dropout=0.0),
)
HOSTILE = [
    'a"b\\c',
    "\x7f\x00a\x1f",
    "龙\r\n琳",
    "<|im_end|>",
    "e\u0301" * 3,
    "👩‍👧",
    "{}[]:,",
    " .",
    "\u2028.",
    "Ａ　ｂ",
]


@pytest.fixture(scope="module")
def fitted(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Extractor[Order], Path]:
    directory = tmp_path_factory.mktemp("trust")
    extractor = Extractor.fit(
        Order, ROWS, eval_data=[*ROWS, ("milk", Order(item="milk"))], base_model=str(tiny_base), config=CONFIG
    )
    extractor.save_pretrained(directory / "out")
    return extractor, directory / "out"


def test_fit_calibrates_on_the_held_out_rows_and_the_artifact_keeps_it(
    fitted: tuple[Extractor[Order], Path],
) -> None:
    extractor, path = fitted
    found = extractor.inspect("rice now")
    assert found.output == ROWS[1][1]
    assert found.confidence is not None
    assert found.confidence.calibrated
    assert 0 < found.confidence.record < 1
    assert set(found.confidence.fields) == {"item", "note"}
    assert [(s.start, s.end, s.method) for s in found.spans["note"]] == [(5, 8, "exact")]
    again = Extractor.from_pretrained(path).inspect("rice now")
    assert again.confidence is not None
    assert again.confidence.record == pytest.approx(found.confidence.record, abs=1e-4)
    assert again.confidence.calibrated


def test_calibrating_on_more_rows_replaces_the_curves_and_is_kept(
    fitted: tuple[Extractor[Order], Path], tmp_path: Path
) -> None:
    extractor = Extractor.from_pretrained(fitted[1])
    before = extractor.inspect("tea").confidence
    wrong = [(text, Order(item="milk")) for text, _ in ROWS]
    reports = extractor.calibrate(wrong * 3)
    after = extractor.inspect("tea").confidence
    assert before is not None
    assert after is not None
    assert after.calibrated
    assert after.record < min(before.record, 0.3)  # every answer to learn from was wrong
    assert reports["records"].count == 12
    assert reports["records"].accuracy == 0
    extractor.save_pretrained(tmp_path / "again")
    again = Extractor.from_pretrained(tmp_path / "again").inspect("tea").confidence
    assert again is not None
    assert again.record == pytest.approx(after.record, abs=1e-4)


def test_calibrating_on_nothing_keeps_the_curves(fitted: tuple[Extractor[Order], Path]) -> None:
    extractor = Extractor.from_pretrained(fitted[1])
    with pytest.raises(DatasetError, match="at least two"):
        extractor.calibrate(ROWS[:1])
    confidence = extractor.inspect("tea").confidence
    assert confidence is not None
    assert confidence.calibrated


def test_a_damaged_calibration_is_refused(fitted: tuple[Extractor[Order], Path], tmp_path: Path) -> None:
    _, path = fitted
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["calibration"]["values"]["method"] = "magic"
    manifest["manifest_sha256"] = content_digest(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="Expected the calibration"):
        Extractor.from_pretrained(copy)


def test_an_evaluation_says_how_far_confidences_can_be_believed(fitted: tuple[Extractor[Order], Path]) -> None:
    report = fitted[0].evaluate(ROWS)
    assert report.calibration is not None
    assert report.calibration["values"].count >= 4
    assert report.calibration["records"].count == 4


def test_doubtful_records_become_errors_that_hold_them(fitted: tuple[Extractor[Order], Path]) -> None:
    extractor, _ = fitted
    assert list(extractor.extract_many(["tea", "salt"], min_confidence=0)) == [ROWS[0][1], ROWS[3][1]]
    doubtful, failed = extractor.extract_many(["tea", "\ud800"], min_confidence=1.0)
    assert isinstance(doubtful, LowConfidenceError)
    assert doubtful.extraction.output == ROWS[0][1]
    assert doubtful.extraction.spans["item"][0].method == "exact"
    assert "tea" not in str(doubtful)
    assert isinstance(failed, ExtractionError)
    assert not isinstance(failed, LowConfidenceError)
    with pytest.raises(ConfigError, match="min_confidence"):
        extractor.extract_many(["tea"], min_confidence=2)


def test_inspect_many_gives_what_inspect_gives(fitted: tuple[Extractor[Order], Path]) -> None:
    extractor, _ = fitted
    one = extractor.inspect("tea")
    many, failed = extractor.inspect_many(["tea", "\ud800"])
    assert not isinstance(many, ExtractionError)
    assert (many.output, many.spans) == (one.output, one.spans)
    assert isinstance(failed, ExtractionError)


def test_inspect_many_explains_what_is_asked_for(fitted: tuple[Extractor[Order], Path]) -> None:
    extractor, _ = fitted
    whole = extractor.inspect("tea")
    (bare,) = extractor.inspect_many(["tea"], explain=())
    assert isinstance(bare, Extraction)
    assert (bare.output, bare.confidence, bare.spans) == (whole.output, None, {})
    (sure,) = extractor.inspect_many(["tea"], explain=["confidence"])
    assert isinstance(sure, Extraction)
    assert (sure.confidence, sure.spans) == (whole.confidence, {})
    with pytest.raises(ConfigError, match="found 'span'"):
        extractor.inspect_many(["tea"], explain=["span"])


def test_a_trained_extractor_can_be_made_verbatim_afterwards(fitted: tuple[Extractor[Order], Path]) -> None:
    free, path = fitted
    strict = Extractor.from_pretrained(path, schema=OrderCopied)
    assert strict.extract("tea").item == "tea"
    for text in ("zzz", "a cup", *HOSTILE):
        record = strict.extract(text)
        assert record.item in normalize_text(text).text
        assert record.note is None or record.note in normalize_text(text).text
    assert any(free.extract(text).item not in text for text in ("zzz", "a cup", *HOSTILE))


def test_even_an_untrained_model_invents_nothing_in_verbatim_fields(tiny_base: Path) -> None:
    extractor = Extractor.from_base(Copied, base_model=str(tiny_base))
    for text, outcome in zip(HOSTILE, extractor.inspect_many(HOSTILE), strict=True):
        if isinstance(outcome, ExtractionError):
            continue
        assert outcome.output.item
        for value in (outcome.output.item, *outcome.output.words):
            assert value in normalize_text(text).text
        assert outcome.spans["item"][0].method in ("exact", "normalized")


def test_an_empty_text_has_nothing_to_copy(tiny_base: Path) -> None:
    extractor = Extractor.from_base(Copied, base_model=str(tiny_base))
    with pytest.raises(EmptyTextError):
        extractor.extract("")


def test_training_rows_have_to_be_copies_too(tiny_base: Path) -> None:
    rows = [*ROWS, ("bread", Order(item="loaf"))]
    data = [(text, OrderCopied(**output.model_dump())) for text, output in rows]
    with pytest.raises(DatasetError, match="verbatim"):
        Extractor.fit(OrderCopied, data, base_model=str(tiny_base), config=CONFIG.replace(eval_fraction=0))


def test_a_scripted_extractor_is_held_to_copies() -> None:
    extractor = scripted_extractor(Copied, {"green tea": Copied(item="tea", note="GREEN")})
    found = extractor.inspect("green tea")
    assert found.output.note == "GREEN"
    assert [(s.start, s.end, s.method) for s in found.spans["note"]] == [(0, 5, "normalized")]


def test_the_adapter_is_merged_in_memory_and_saved_alone(fitted: tuple[Extractor[Order], Path], tmp_path: Path) -> None:
    merged, path = fitted
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["config"]["generation"]["merge_adapter"] = False
    manifest["manifest_sha256"] = content_digest(manifest)
    for file in path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    apart = Extractor.from_pretrained(tmp_path)
    loaded = Extractor.from_pretrained(path)

    def base_weights(extractor: Extractor[Order]) -> dict[str, torch.Tensor]:
        return {n: p for n, p in extractor._own_base().model.named_parameters() if "base_layer" in n}

    base = base_weights(apart)
    for extractor in (merged, loaded):
        assert any(not torch.equal(weight, base[name]) for name, weight in base_weights(extractor).items())
    for text in ("tea", "rice now", "one 茶"):
        assert len({extractor.inspect(text).raw_output for extractor in (merged, loaded, apart)}) == 1
    merged.save_pretrained(tmp_path / "again")
    first, again = (load_file(p / "adapter_model.safetensors") for p in (path, tmp_path / "again"))
    assert all(torch.equal(first[name], again[name]) for name in first | again)


def test_a_text_too_long_to_copy_from_is_refused_alone_and_not_quoted() -> None:
    extractor = scripted_extractor(Copied, {"green tea": Copied(item="tea", note="GREEN")})
    long = "secret Ann-Lee 12 Elm St. " * 2400
    outcomes = list(extractor.extract_many(["green tea", long, "green tea"]))
    assert [type(outcome).__name__ for outcome in outcomes] == ["Copied", "InputTooLongError", "Copied"]
    refused = outcomes[1]
    assert isinstance(refused, InputTooLongError)
    assert refused.text == long
    assert len(str(refused)) < 200
    assert "secret" not in str(refused)
    assert "split_long_texts" in refused.__notes__[0]
    assert refused.__cause__ is None
    assert refused.__suppress_context__
