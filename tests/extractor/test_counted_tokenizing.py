"""A text is composed and tokenized once for a request, a row once for training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import BaseModel

from extractft import Extractor, GenerationConfig, TrainingConfig
from extractft.prompt import chat_renderer
from extractft.prompt.text_codec import TextCodec
from extractft.testing import scripted_extractor


class Person(BaseModel):
    """A person."""

    name: str


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], Counter[str]]:
    """How often each text was composed, and how often it was tokenized."""
    composed: Counter[str] = Counter()
    tokenized: Counter[str] = Counter()
    encode, normalize = TextCodec.encode, chat_renderer.normalize_text

    def counting_encode(self: TextCodec, text: str) -> list[int]:
        tokenized[text] += 1
        return encode(self, text)

    def counting_normalize(text: str) -> object:
        composed[text] += 1
        return normalize(text)

    monkeypatch.setattr(TextCodec, "encode", counting_encode)
    monkeypatch.setattr(chat_renderer, "normalize_text", counting_normalize)
    return composed, tokenized


@pytest.mark.parametrize("settings", [{}, {"max_text_tokens": 50}, {"max_text_tokens": 50, "split_long_texts": True}])
def test_a_text_once_for_a_request(settings: dict[str, int], counted: tuple[Counter[str], Counter[str]]) -> None:
    text = "Ann wrote this."
    extractor = scripted_extractor(Person, {text: Person(name="Ann")}, **settings)
    for counter in counted:
        counter.clear()
    extractor._pipeline.job(text)
    composed, tokenized = counted
    assert (composed[text], tokenized[text]) == (1, 1)


@pytest.mark.parametrize("split", [False, True])
def test_a_row_once_for_training(
    tiny_base: Path, counted: tuple[Counter[str], Counter[str]], split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[str] = Counter()
    from extractft.extractor.pipeline import Pipeline

    job = Pipeline.job

    def counting_job(self: Pipeline[Person], text: str) -> object:
        decoded[text] += 1
        return job(self, text)

    monkeypatch.setattr(Pipeline, "job", counting_job)
    rows = [(f"{name} wrote this.", {"name": name}) for name in ("Ann", "Bob", "Cid", "Dot")]
    config = TrainingConfig(
        num_train_epochs=1, eval_fraction=0.5, device="cpu", generation=GenerationConfig(split_long_texts=split)
    )
    Extractor.fit(Person, rows, base_model=tiny_base, config=config)
    _, tokenized = counted
    assert sum(decoded.values()) >= 2  # the held-out rows, when they are scored
    for text, record in rows:
        assert tokenized[text] == 1 + decoded[text]
        assert tokenized[f'{{"name":"{record["name"]}"}}'] == 1
