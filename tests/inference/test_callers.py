"""Callers that come and go one text at a time: their rows are not left empty, and nobody waits for those who stay away."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel, Field

from extractft.completion import GenerationRequest
from extractft.config import GenerationConfig
from extractft.constraints import GrammarCompiler
from extractft.inference import TransformersEngine
from extractft.inference import engine as engines
from extractft.schema import Schema
from extractft.testing import tiny_model


class Short(BaseModel):
    ok: bool


class Long(BaseModel):
    words: list[str] = Field(min_length=30, max_length=30)


@pytest.fixture
def engine(tokenizer: Any) -> TransformersEngine:
    model = tiny_model()
    end = tokenizer.eos_token_id
    return TransformersEngine(model, end_token_id=end, pad_token_id=end, config=GenerationConfig(proposer="none"))


@pytest.fixture
def compiler(tokenizer: Any, engine: TransformersEngine) -> GrammarCompiler:
    width = engine._model.get_input_embeddings().num_embeddings  # type: ignore[no-untyped-call]
    return GrammarCompiler(tokenizer, vocab_size=width, end_token_id=tokenizer.eos_token_id)


def rows_of_passes(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each pass, noted as they are made."""
    rows: list[int] = []
    step = engine._scheduler.step

    def counted() -> int:
        rows.append(len(engine._scheduler))
        return step()

    monkeypatch.setattr(engine._scheduler, "step", counted)
    return rows


def run_side_by_side(engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, rows: list[int]) -> int:
    """One caller with a long record, one with six short ones; the pass after which the latter stops."""
    long = compiler.compile(Schema.of(Long), max_string_length=8)
    short = compiler.compile(Schema.of(Short), max_string_length=8)
    prompt = tuple(tokenizer("words").input_ids)
    assert engine.packed
    first = threading.Thread(target=lambda: list(engine.generate([GenerationRequest(prompt, long, 400)])))
    first.start()
    while not rows:
        time.sleep(0.001)
    for _ in range(6):
        list(engine.generate([GenerationRequest(prompt, short, 40)]))
    stopped = len(rows)
    first.join()
    return stopped


def test_a_row_is_not_empty_while_its_caller_comes_back(
    engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_passes(engine, monkeypatch)
    monkeypatch.setattr(engines, "_GRACE", 10_000.0)
    stopped = run_side_by_side(engine, compiler, tokenizer, rows)
    joined = rows.index(2)
    assert set(rows[joined:stopped]) == {2}
    assert len(rows) > stopped > joined + 6


def test_who_stays_away_holds_up_nobody_for_longer_than_a_share_of_a_pass(
    engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of_passes(engine, monkeypatch)
    waited: list[float] = []
    arrived = engine._arrived

    class Noted:
        def wait(self, timeout: float) -> bool:
            waited.append(timeout)
            return arrived.wait(timeout)

        def __getattr__(self, name: str) -> Any:
            return getattr(arrived, name)

    monkeypatch.setattr(engine, "_arrived", Noted())
    monkeypatch.setattr(engines, "_GRACE", 0.05)
    stopped = run_side_by_side(engine, compiler, tokenizer, rows)
    assert rows[stopped:]
    assert set(rows[stopped + 1 :]) == {1}
    assert len(waited) <= 2 * 6  # a spurious wake may split a wait; passes of the long record alone wait for nobody
    assert all(0 < seconds <= 0.05 * 60 for seconds in waited)


def test_one_caller_of_many_texts_waits_for_nobody(
    engine: TransformersEngine, compiler: GrammarCompiler, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(timeout: float) -> bool:
        raise AssertionError("waited for a caller that is this one")

    monkeypatch.setattr(engine._arrived, "wait", never)
    short = compiler.compile(Schema.of(Short), max_string_length=8)
    prompt = tuple(tokenizer("words").input_ids)
    requests = (GenerationRequest(prompt, short, 40) for _ in range(9))
    assert len(list(engine.generate(requests, batch_size=4))) == 9
