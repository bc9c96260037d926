"""Several extractors on the weights of one base model: what they share, what they keep apart, and the same records."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, Field

from extractft import Extractor, GenerationConfig, LoRAConfig, TrainingConfig
from extractft.inference.cpu import prepacked_linears as prepacked
from extractft.inference.cpu import transposed_linears as linears
from extractft.modeling import is_shared, sharing_base_models


class Parcel(BaseModel):
    item: str = Field(max_length=6)
    urgent: bool


class Letter(BaseModel):
    sender: str = Field(max_length=6)


TEXTS = ["tea for b", "rice now", "one 茶", "salt b", "tea, urgent"]


@pytest.fixture(scope="module")
def saved(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two trained extractors, whose adapters are apart from their base model and not zero."""
    folder = tmp_path_factory.mktemp("shared")
    config = TrainingConfig(
        num_train_epochs=3,
        learning_rate=0.05,
        lora=LoRAConfig(r=4),
        generation=GenerationConfig(max_new_tokens=40, keep_truncated=True),
        seed=1,
    )
    rows: dict[str, Any] = {
        "parcels": (
            Parcel,
            [{"text": text, "output": {"item": text[:3], "urgent": "urgent" in text}} for text in TEXTS],
        ),
        "letters": (Letter, [{"text": text, "output": {"sender": text[-3:]}} for text in TEXTS]),
    }
    for name, (schema, data) in rows.items():
        fitted: Extractor[Any] = Extractor.fit(schema, data, base_model=str(tiny_base), config=config)
        fitted.save_pretrained(folder / name)
    return {name: folder / name for name in rows}


def parameters_of(extractor: Extractor[Any]) -> dict[int, torch.Tensor]:
    model: Any = extractor.engine._model  # type: ignore[attr-defined]
    return {parameter.data_ptr(): parameter for parameter in model.parameters()}


def test_weights_are_there_once_and_records_are_those_of_extractors_alone(saved: dict[str, Path]) -> None:
    alone = {name: Extractor.from_pretrained(path) for name, path in saved.items()}
    with sharing_base_models():
        together = {name: Extractor.from_pretrained(path) for name, path in saved.items()}
    parcels, letters = (parameters_of(extractor) for extractor in together.values())
    common = parcels.keys() & letters.keys()
    trained = [p for pointer, p in parcels.items() if pointer not in common]
    assert sum(parcels[pointer].numel() for pointer in common) > 0
    assert all(is_shared(parcels[pointer]) for pointer in common)
    assert 0 < sum(p.numel() for p in trained) < sum(parcels[pointer].numel() for pointer in common)
    for name in saved:
        expected = [alone[name].inspect(text) for text in TEXTS]
        found = [together[name].inspect(text) for text in TEXTS]
        assert [one.output for one in found] == [one.output for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.confidence is not None
            assert other.confidence is not None
            assert one.confidence.record == pytest.approx(other.confidence.record, abs=1e-4)


def test_they_work_at_the_same_time(saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepacked, "_LEAST_BYTES", 0)  # tiny models take part, and no clock decides
    monkeypatch.setattr(linears, "_LEAST_WEIGHTS", 1)
    monkeypatch.setattr(prepacked, "_is_faster", lambda threads: True)
    expected = {name: list(Extractor.from_pretrained(path).extract_many(TEXTS * 3)) for name, path in saved.items()}
    with sharing_base_models():
        together = {name: Extractor.from_pretrained(path) for name, path in saved.items()}
    found: dict[str, list[Any]] = {}
    threads = [
        threading.Thread(target=lambda name=name: found.update({name: list(together[name].extract_many(TEXTS * 3))}))
        for name in together
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
    copies = [set(map(id, extractor.engine._prepacked._packed)) for extractor in together.values()]  # type: ignore[attr-defined]
    assert len(copies[0] & copies[1]) > 0


def test_outside_of_the_block_weights_are_ones_own(saved: dict[str, Path]) -> None:
    with sharing_base_models():
        Extractor.from_pretrained(saved["parcels"])
    one, other = (parameters_of(Extractor.from_pretrained(saved["parcels"])) for _ in range(2))
    assert not one.keys() & other.keys()
    assert not any(is_shared(parameter) for parameter in one.values())


def test_what_is_trained_in_the_block_has_weights_of_its_own(saved: dict[str, Path], tiny_base: Path) -> None:
    rows = [{"text": text, "output": {"sender": text[:2]}} for text in TEXTS]
    config = TrainingConfig(num_train_epochs=2, learning_rate=0.1, lora=LoRAConfig(r=4), seed=2)
    with sharing_base_models():
        parcels = Extractor.from_pretrained(saved["parcels"])
        before = {pointer: parameter.clone() for pointer, parameter in parameters_of(parcels).items()}
        expected = [parcels.extract(text) for text in TEXTS]
        trained: Extractor[Any] = Extractor.fit(Letter, rows, base_model=str(tiny_base), config=config)
    after = parameters_of(parcels)
    assert all(torch.equal(parameter, after[pointer]) for pointer, parameter in before.items())
    assert not after.keys() & parameters_of(trained).keys()
    assert [parcels.extract(text) for text in TEXTS] == expected


@pytest.mark.parametrize("dtype", ["auto", "int8"])
def test_odd_texts_have_the_same_outcomes(saved: dict[str, Path], dtype: str) -> None:
    texts = ["", "茶" * 50_000, "👩‍💻 ７８９ ｔｅａ", "<|im_end|>" * 40, "\ud83d tea", " \n", *TEXTS]
    alone = Extractor.from_pretrained(saved["letters"], dtype=dtype)
    with sharing_base_models():
        shared = [Extractor.from_pretrained(saved["letters"], dtype=dtype) for _ in range(2)]
    expected = [repr(outcome) for outcome in alone.extract_many(texts)]
    for extractor in shared:
        assert [repr(outcome) for outcome in extractor.extract_many(texts)] == expected
